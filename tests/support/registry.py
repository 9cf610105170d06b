"""A registry of images, Debian's docker-registry, on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from support.installed import installed
from support.processes import answers, eventually, free_port

INDEX = "application/vnd.oci.image.index.v1+json"


class Registry:
    """One that runs. `home` is a home folder in which skopeo reaches it without TLS."""

    def __init__(self, port: int, home: Path) -> None:
        self.host = f"127.0.0.1:{port}"
        self.home = home

    def tags(self, name: str) -> set[str]:
        """The tags of an image; none if there is no such image."""
        answer = httpx.get(f"http://{self.host}/v2/{name}/tags/list")
        return set(answer.json().get("tags") or ())

    def index(self, name: str, tag: str) -> dict[str, Any]:
        """Return what a tag stands for, which must be an index."""
        answer = httpx.get(f"http://{self.host}/v2/{name}/manifests/{tag}", headers={"Accept": INDEX})
        assert answer.headers["Content-Type"] == INDEX, answer.text
        return {"digest": answer.headers["Docker-Content-Digest"], **answer.json()}

    def has(self, name: str, digest: str) -> bool:
        """Whether it has a manifest of one platform."""
        kind = "application/vnd.oci.image.manifest.v1+json"
        path = f"http://{self.host}/v2/{name}/manifests/{digest}"
        return httpx.get(path, headers={"Accept": kind}).status_code == 200


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Run a registry until the block ends. It keeps what it has in the folder."""
    program, port = installed("docker-registry"), free_port()
    settings = folder / "registry.yml"
    settings.write_text(
        "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + str(folder / "storage") + "}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    home = folder / "home"
    (home / ".config" / "containers").mkdir(parents=True)
    insecure = f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n'
    (home / ".config" / "containers" / "registries.conf").write_text(insecure)
    with (
        (folder / "registry.log").open("wb") as log,
        subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log) as process,  # noqa: S603  # Debian's
    ):
        try:
            eventually(lambda: answers(f"http://127.0.0.1:{port}/v2/"), within=30)
            yield Registry(port, home)
        finally:
            process.kill()

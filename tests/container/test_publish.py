"""scripts/publish and scripts/image-scan, run for real: against a registry, and with a scanner that finds something."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from support import archives, engine
from support.installed import installed
from support.registry import Registry, registry
from support.scripts import SCRIPTS

NAME = "owner/proxy"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    installed("skopeo")
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def publish(store: Registry, *arguments: object, programs: str = "") -> subprocess.CompletedProcess[str]:
    """Run it. Its programs are those of a folder first, if one is given."""
    environ = {"PATH": f"{programs}:{os.environ['PATH']}".lstrip(":"), "HOME": str(store.home)}
    command = [str(SCRIPTS / "publish"), *map(str, arguments)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # our own script


def test_publish(store: Registry, tmp_path: Path) -> None:
    """G17, G20: the registry has the index under its digest, which lists the digests of the archives; tags follow."""
    digests = {arch: archives.write(tmp_path / f"{arch}.tar", arch=arch) for arch in ("amd64", "arm64")}
    pushed = publish(store, "push", f"{store.host}/{NAME}", "sha-1", tmp_path / "amd64.tar", tmp_path / "arm64.tar")
    assert pushed.returncode == 0, pushed.stderr
    index = store.index(NAME, "sha-1")
    assert pushed.stdout == f"{index['digest']}\n"
    assert {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]} == digests
    assert all(store.has(NAME, digest) for digest in digests.values())
    assert store.tags(NAME) == {"sha-1"}
    tagged = publish(store, "tag", f"{store.host}/{NAME}", index["digest"], "1.2.3", "latest")
    assert tagged.returncode == 0, tagged.stderr
    assert {store.index(NAME, tag)["digest"] for tag in ("1.2.3", "latest")} == {index["digest"]}


def skopeo(folder: Path, before: str) -> str:
    """Make one that does something before it does what it is asked. Return its folder."""
    program = folder / "programs" / "skopeo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{before}\nexec {installed("skopeo")} "$@"\n')
    program.chmod(0o755)
    return str(program.parent)


def test_digests_are_preserved(store: Registry, tmp_path: Path) -> None:
    """G17: skopeo is told to copy all platforms, and to fail rather than to write another manifest for one."""
    programs = skopeo(tmp_path, f'echo "$*" >>{tmp_path}/asked')
    archives.write(tmp_path / "a.tar")
    image = f"{store.host}/preserved"
    pushed = publish(store, "push", image, "sha-1", tmp_path / "a.tar", programs=programs)
    assert pushed.returncode == 0, pushed.stderr
    assert publish(store, "tag", image, pushed.stdout.strip(), "1", "2", programs=programs).returncode == 0
    copies = [line.split() for line in (tmp_path / "asked").read_text().splitlines() if line.startswith("copy ")]
    assert len(copies) == 3
    assert all({"--all", "--preserve-digests"} <= set(words) for words in copies)


def test_another_manifest_in_the_registry(store: Registry, tmp_path: Path) -> None:
    """G17: if the registry has something else under a tag than was pushed, that fails, and no further tag is set."""
    archives.write(tmp_path / "a.tar")
    image = f"{store.host}/changed"
    known = publish(store, "push", image, "sha-1", tmp_path / "a.tar").stdout.strip()
    programs = skopeo(tmp_path, '[ "$1" != inspect ] || { echo "{}"; exit 0; }')
    pushed = publish(store, "push", image, "sha-2", tmp_path / "a.tar", programs=programs)
    tagged = publish(store, "tag", image, known, "1", "2", programs=programs)
    for done in (pushed, tagged):
        assert (done.returncode, done.stdout) == (1, "")
        assert f"but {known} was pushed" in done.stderr
    assert store.tags("changed") == {"sha-1", "sha-2", "1"}


@pytest.mark.usefixtures("needs_engine")
def test_an_engine_pulls_it(store: Registry, tmp_path: Path) -> None:
    """P16: an engine, an old one too, finds its platform in the index, and has what was built, its health check too."""
    for arch in ("amd64", "arm64"):
        archives.write(tmp_path / f"{arch}.tar", arch=arch)
    image = f"{store.host}/pulled"
    pushed = publish(store, "push", image, "sha-1", tmp_path / "amd64.tar", tmp_path / "arm64.tar")
    engine.docker("pull", "--quiet", f"{image}@{pushed.stdout.strip()}")
    try:
        found = engine.inspect(f"{image}@{pushed.stdout.strip()}")
    finally:
        engine.docker("rmi", f"{image}@{pushed.stdout.strip()}")
    assert found["Architecture"] == engine.docker("version", "--format={{.Server.Arch}}")
    assert {key: found["Config"][key] for key in ("User", "Healthcheck")} == {
        key: archives.CONFIG[key] for key in ("User", "Healthcheck")
    }


def test_a_tampered_archive_is_not_pushed(store: Registry, tmp_path: Path) -> None:
    """G17: where one archive is not what its manifest says, nothing reaches the registry."""
    archives.write(tmp_path / "amd64.tar")
    archives.write(tmp_path / "arm64.tar", arch="arm64", tampered=True)
    files = (tmp_path / "amd64.tar", tmp_path / "arm64.tar")
    assert publish(store, "push", f"{store.host}/tampered", "sha-1", *files).returncode != 0
    assert store.tags("tampered") == set()


def test_an_unknown_digest_gets_no_tag(store: Registry) -> None:
    """G17: only what is there can be tagged, and the first tag that fails is the last that is tried."""
    unknown = f"sha256:{'0' * 64}"
    assert publish(store, "tag", f"{store.host}/{NAME}", unknown, "9.9.9", "latest").returncode != 0
    assert "9.9.9" not in store.tags(NAME)


@pytest.fixture
def scanner(tmp_path: Path) -> Path:
    """scripts/image-scan, in a tree of its own, where it keeps grype."""
    (tmp_path / "scripts").mkdir()
    return Path(shutil.copy(SCRIPTS / "image-scan", tmp_path / "scripts"))


def grype_version(scanner: Path) -> str:
    return scanner.read_text().partition("\nversion=")[2].partition("\n")[0]


def test_a_finding_fails_the_scan(scanner: Path) -> None:
    """G5, D35: grype is asked for what has a fix, of medium severity and above, and what it says is the result."""
    grype = scanner.parents[1] / ".tools" / f"grype-{grype_version(scanner)}" / "grype"
    grype.parent.mkdir(parents=True)
    grype.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    grype.chmod(0o755)
    done = subprocess.run([str(scanner), "docker:x"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # our own script
    assert done.returncode == 2
    assert done.stdout == "--only-fixed --fail-on medium docker:x\n"


def test_another_scanner_is_not_run(scanner: Path, tmp_path: Path) -> None:
    """P20: a download that is not the scanner that was reviewed is neither run nor kept."""
    installed("curl")
    version = grype_version(scanner)
    served = tmp_path / "served" / f"v{version}"
    served.mkdir(parents=True)
    evil = {"grype": f"#!/bin/sh\ntouch {tmp_path}/was-run\n".encode()}
    (served / f"grype_{version}_linux_amd64.tar.gz").write_bytes(gzip.compress(archives.tar(evil)))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environ = {"PATH": os.environ["PATH"], "GRYPE_MIRROR": f"http://127.0.0.1:{server.server_port}"}
        done = subprocess.run([str(scanner), "docker:x"], env=environ, capture_output=True, timeout=30, check=False)  # noqa: S603  # our own script
        server.shutdown()
    assert done.returncode == 1
    assert b"sha256sum: WARNING" in done.stderr
    assert list((tmp_path / ".tools").iterdir()) == []
    assert not (tmp_path / "was-run").exists()

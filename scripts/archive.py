#!/usr/bin/env python3
"""Work on images as the build leaves them: OCI archives of one platform each.

Needs nothing but Python. Whatever it reads, it checks against the digest by which it is named, so that what is
tested, scanned and published is the same to the byte.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def fail(reason: str) -> NoReturn:
    sys.exit(f"archive: {reason}")


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Archive:
    """An archive, whose blobs are all what their names say."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            self._files = {entry.name: self._read(archive, entry) for entry in archive if entry.isfile()}
        for name, content in self._files.items():
            if name.startswith("blobs/") and sha256(content) != f"sha256:{Path(name).name}":
                fail(f"{path}: {name} is not what its name says")
        found = json.loads(self._files["index.json"])["manifests"]
        if [entry["mediaType"] for entry in found] != [MANIFEST]:
            fail(f"{path}: one image for one platform is wanted, and nothing else")
        self.digest = str(found[0]["digest"])
        self.manifest: dict[str, Any] = json.loads(self.blob(self.digest))
        self.config: dict[str, Any] = json.loads(self.blob(self.manifest["config"]["digest"]))

    @staticmethod
    def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
        file = archive.extractfile(entry)
        return file.read() if file else b""

    def blob(self, digest: str) -> bytes:
        """Return a blob; the archive must have it."""
        content = self._files.get(digest.replace("sha256:", "blobs/sha256/"))
        return content if content is not None else fail(f"there is no {digest}")

    def blobs(self) -> dict[str, bytes]:
        """Return the manifest and all it names, by digest."""
        named = [
            self.digest,
            self.manifest["config"]["digest"],
            *(layer["digest"] for layer in self.manifest["layers"]),
        ]
        return {digest: self.blob(digest) for digest in named}

    def descriptor(self) -> dict[str, Any]:
        """Return how an index refers to it."""
        platform = {key: self.config[key] for key in ("architecture", "os", "variant") if key in self.config}
        size = len(self.blob(self.digest))
        return {"mediaType": MANIFEST, "digest": self.digest, "size": size, "platform": platform}


def write_index(folder: Path, archives: Sequence[Archive]) -> str:
    """Lay the archives out as one image for all their platforms, named `index`. Return its digest."""
    platforms = [archive.descriptor()["platform"] for archive in archives]
    if any(platforms.count(platform) > 1 for platform in platforms):
        fail(f"one archive for each platform is wanted: {platforms}")
    labels = [archive.config["config"].get("Labels") or {} for archive in archives]
    index: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [archive.descriptor() for archive in archives],
        # What the registry's page shows is what holds on all platforms.
        "annotations": dict(sorted(set.intersection(*(set(one.items()) for one in labels)))),
    }
    content = json.dumps(index, separators=(",", ":")).encode()
    blobs = {sha256(content): content}
    for archive in archives:
        blobs |= archive.blobs()
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for digest, blob in blobs.items():
        (folder / digest.replace("sha256:", "blobs/sha256/")).write_bytes(blob)
    named = {"org.opencontainers.image.ref.name": "index"}
    entry = {"mediaType": INDEX, "digest": sha256(content), "size": len(content), "annotations": named}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    return sha256(content)


def write_docker(target: Path, archive: Archive, name: str) -> None:
    """Write it as `docker load` of all versions reads it: the same configuration, the same layers, not compressed."""
    files: dict[str, bytes] = {}
    layers: list[str] = []
    wanted = archive.config["rootfs"]["diff_ids"]
    for layer, expected in zip(archive.manifest["layers"], wanted, strict=True):
        content = gzip.decompress(archive.blob(layer["digest"])) if "gzip" in layer["mediaType"] else b""
        if sha256(content) != expected:
            fail(f"layer {layer['digest']} is not {expected}, or not compressed by gzip")
        layers.append(f"{expected.removeprefix('sha256:')}.tar")
        files[layers[-1]] = content
    config = archive.manifest["config"]["digest"]
    files[f"{config.removeprefix('sha256:')}.json"] = archive.blob(config)
    manifest = [{"Config": f"{config.removeprefix('sha256:')}.json", "RepoTags": [name], "Layers": layers}]
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(target, "w") as made:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))


def check_loaded(archive: Archive, inspected: dict[str, Any]) -> None:
    """Check that the image that the engine has is the archive's. Its id for it depends on how it stores images."""
    if inspected["RootFS"]["Layers"] != archive.config["rootfs"]["diff_ids"]:
        fail("the engine has other layers")
    for key, value in archive.config["config"].items():
        if value and inspected["Config"].get(key) != value:
            fail(f"the engine has another {key}: {inspected['Config'].get(key)}")


def check_passed(images: Path, passed: Path, jobs: Sequence[str]) -> dict[str, str]:
    """Check that the archives ARCH/TARGET.tar are those that each job had, and wrote to JOB-TARGET-ARCH."""
    actual = {f"{path.stem}-{path.parent.name}": Archive(path).digest for path in sorted(images.glob("*/*.tar"))}
    wanted = {f"{job}-{name}": digest for job in jobs for name, digest in actual.items()}
    found = {path.name: path.read_text(encoding="utf-8").strip() for path in passed.iterdir()}
    if not wanted or found != wanted:
        fail(f"what passed is {found}, but wanted is {wanted}")
    return actual


def main() -> None:
    parser = argparse.ArgumentParser(description="Work on images as the build leaves them.")
    commands = parser.add_subparsers(dest="command", required=True)
    digest = commands.add_parser("digest", help="print the digest by which a registry will know it")
    digest.add_argument("archive", type=Path)
    index = commands.add_parser("index", help="make one image for all platforms, and print its digest")
    index.add_argument("folder", type=Path)
    index.add_argument("archive", type=Path, nargs="+")
    docker = commands.add_parser("docker", help="write what `docker load` reads")
    docker.add_argument("archive", type=Path)
    docker.add_argument("name", help="what the engine will call it")
    docker.add_argument("target", type=Path)
    loaded = commands.add_parser("loaded", help="check what `docker image inspect` printed")
    loaded.add_argument("archive", type=Path)
    loaded.add_argument("inspected", type=Path)
    passed = commands.add_parser("passed", help="check that archives are those that jobs had; print TARGET-ARCH=DIGEST")
    passed.add_argument("images", type=Path, help="a folder of archives ARCH/TARGET.tar")
    passed.add_argument("passed", type=Path, help="a folder of what the jobs wrote down: JOB-TARGET-ARCH")
    passed.add_argument("jobs", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "digest":
        print(Archive(arguments.archive).digest)
    elif arguments.command == "index":
        print(write_index(arguments.folder, [Archive(path) for path in arguments.archive]))
    elif arguments.command == "docker":
        write_docker(arguments.target, Archive(arguments.archive), arguments.name)
    elif arguments.command == "loaded":
        check_loaded(Archive(arguments.archive), json.loads(arguments.inspected.read_text(encoding="utf-8"))[0])
    else:
        for name, found in check_passed(arguments.images, arguments.passed, arguments.jobs).items():
            print(f"{name}={found}")


if __name__ == "__main__":
    main()

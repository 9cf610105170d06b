"""What an image is made of, layer by layer, as the engine saves it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass

from support import engine


@dataclass(frozen=True)
class Layer:
    """One layer: its digest as the image names it, and its bytes."""

    digest: str
    content: bytes

    @property
    def compressed(self) -> int:
        """Bytes that are sent, compressed as registries get it by default."""
        return len(gzip.compress(self.content, 6))

    def without_times_of_removals(self) -> str:
        """Return a digest that is the same for the same changes.

        The kernel dates the mark of a removed file, and Docker 20.10 keeps that date; newer builders replace it.
        """
        digest = hashlib.sha256()
        with tarfile.open(fileobj=io.BytesIO(self.content)) as archive:
            for member in archive:
                removal = member.name.rpartition("/")[2].startswith(".wh.")
                facts = (member.name, member.type, member.mode, member.uid, member.gid, member.linkname)
                digest.update(repr((*facts, None if removal else member.mtime)).encode())
                file = archive.extractfile(member) if member.isreg() else None
                digest.update(file.read() if file else b"")
        return digest.hexdigest()


def digests(image: str) -> list[str]:
    found = engine.inspect(image)["RootFS"]["Layers"]
    assert isinstance(found, list)
    return found


def layers(image: str, *, above: str | None = None) -> list[Layer]:
    """Return the layers of an image, or those above another that it was made from."""
    client = engine.client()
    assert client is not None
    saved = subprocess.run([client, "save", image], stdout=subprocess.PIPE, timeout=120, check=True).stdout  # noqa: S603  # the engine's client
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:

        def read(name: str) -> bytes:
            member = archive.getmember(name)
            # A layer that two images share may be saved as a link.
            file = archive.extractfile(member)
            assert file is not None
            return file.read()

        names = json.loads(read("manifest.json"))[0]["Layers"]
        first = len(digests(above)) if above else 0
        return [Layer(digest, read(name)) for digest, name in list(zip(digests(image), names, strict=True))[first:]]

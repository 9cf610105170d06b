"""OCI archives such as the build leaves, of images with one small file. Also a program: archives.py PATH NAME ARCH."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = {
    "User": "1000:1000",
    "Entrypoint": ["/hello"],
    "Cmd": ["serve"],
    "Healthcheck": {"Test": ["CMD", "/hello", "probe"], "Interval": 30000000000, "Retries": 3},
    "ExposedPorts": {"11434/tcp": {}},
}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            made.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def write(
    path: Path,
    name: str = "hello",
    arch: str = "amd64",
    *,
    tampered: bool = False,
    diff_id: str = "",
    kinds: Sequence[str] = (MANIFEST,),
) -> str:
    """Write an archive, and return the digest of its manifest. In one that is tampered with, the layer is another.

    With `diff_id`, its configuration names another layer; with `kinds`, its index calls the manifest these, in turn.
    """
    layer = tar({"hello": f"{name} for {arch}".encode()})
    packed = gzip.compress(layer, mtime=0)
    labels = {"org.opencontainers.image.title": name, "org.opencontainers.image.arch": arch}
    config = _json(
        architecture=arch,
        os="linux",
        config={**CONFIG, "Labels": labels},
        rootfs={"type": "layers", "diff_ids": [diff_id or sha256(layer)]},
    )
    manifest = _json(
        schemaVersion=2,
        mediaType=MANIFEST,
        config=_descriptor("application/vnd.oci.image.config.v1+json", config),
        layers=[_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
    )
    blobs = {sha256(blob): blob for blob in (config, manifest, packed)}
    if tampered:
        blobs[sha256(packed)] = gzip.compress(tar({"hello": b"evil"}), mtime=0)
    files = {f"blobs/{digest.replace(':', '/')}": blob for digest, blob in blobs.items()}
    files["index.json"] = _json(schemaVersion=2, manifests=[_descriptor(kind, manifest) for kind in kinds])
    files["oci-layout"] = _json(imageLayoutVersion="1.0.0")
    path.write_bytes(tar(files))
    return sha256(manifest)


def _json(**content: Any) -> bytes:
    return json.dumps(content).encode()


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": sha256(content), "size": len(content)}


if __name__ == "__main__":
    write(Path(sys.argv[1]), *sys.argv[2:])

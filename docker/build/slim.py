"""Take from an environment what no running program reads.

    slim.py ENVIRONMENT

Goes: debug symbols, sources of extension modules, type stubs, tests, the commands of dependencies, and the
READMEs in their METADATA. Each package's RECORD names what stays, so that whoever lists or verifies packages finds what
there is.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
from pathlib import Path

from trees import files, settle

# Below site-packages. One that matches nothing is out of date and fails the build.
DEAD = (
    "*.proto",
    "*.pxd",
    "*.pxi",
    "*.pyi",
    "*.pyx",
    "certifi/tests/*",
    "protobuf/testdata/*",
)
# A virtual environment's own, beside pyvenv.cfg.
KEPT_COMMANDS = ("python", "python3", "python3.12")


def main(environment: Path) -> None:
    (site,) = environment.glob("lib/python3.*/site-packages")
    before = _size(site)
    removed = _remove_dead(site) + _remove_commands(environment)
    libraries = [path for path in files(site) if path.suffix == ".so"]
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)
    for metadata in site.glob("*.dist-info/METADATA"):
        head, _, _ = metadata.read_text(encoding="utf-8").partition("\n\n")
        metadata.write_text(head + "\n", encoding="utf-8")
    for record in sorted(site.glob("*.dist-info/RECORD")):
        record.write_text(_corrected(record.read_text(encoding="utf-8"), site), encoding="utf-8")
    settle(environment)
    print(f"slim: {removed} files removed, {len(libraries)} stripped: {before} -> {_size(site)} bytes")


def _remove_dead(site: Path) -> int:
    dead = {pattern: [path for path in files(site) if path.match(pattern)] for pattern in DEAD}
    if unmatched := [pattern for pattern, paths in dead.items() if not paths]:
        sys.exit(f"slim: nothing matches {', '.join(unmatched)}")
    paths = {path for some in dead.values() for path in some}
    for path in paths:
        path.unlink()
    for folder in sorted({path.parent for path in paths}, reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(paths)


def _remove_commands(environment: Path) -> int:
    own = {"lib", "lib64", "bin", "pyvenv.cfg"}
    dead = [path for path in environment.iterdir() if path.name not in own]
    dead += [path for path in (environment / "bin").iterdir() if path.name not in KEPT_COMMANDS]
    for path in dead:
        path.unlink()
    return len(dead)


def _corrected(record: str, site: Path) -> str:
    """Return a RECORD without the files that are gone, and with the digests of those that changed."""
    rows = io.StringIO()
    for name, digest, size in csv.reader(io.StringIO(record)):
        path = site / name
        if path.exists() and (path.suffix == ".so" or path.name == "METADATA"):
            content = path.read_bytes()
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            csv.writer(rows, lineterminator="\n").writerow((name, f"sha256={sha256}", len(content)))
        elif path.exists():
            csv.writer(rows, lineterminator="\n").writerow((name, digest, size))
    return rows.getvalue()


def _size(root: Path) -> int:
    return sum(path.lstat().st_size for path in files(root))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

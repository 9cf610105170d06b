"""Check that an environment holds what its packages list, and nothing that runs before the program does.

    verify.py ENVIRONMENT [--allow NAME]... [--package NAME]...

A stolen package that steals keys is started by Python itself: a `.pth` file, `sitecustomize` or `usercustomize` is run
with each start, whoever imports what. So there may be none; and each file must have the digest that the RECORD of its
package gives, and each that is there must be in one. Bytecode is in no RECORD: it must stand beside a source that is,
and say that it was made of that. `--allow` is for what tools add to environments that are not shipped; with `--package`
only the digests of that package's files are looked at, which takes seconds where many are installed.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import importlib.util
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from trees import files

# What Python looks for at each start, by module name.
STARTED = ("sitecustomize", "usercustomize")
_MAGIC, _FLAGS, _HASH = slice(0, 4), slice(4, 8), slice(8, 16)  # of a compiled file (PEP 552)


def main(environment: Path, allowed: Collection[str] = (), packages: Collection[str] = ()) -> list[str]:
    """Return what is wrong, a line each. `packages`: whose digests are looked at, those of all if there are none."""
    (site,) = environment.resolve().glob("lib/python3.*/site-packages")
    wrong: list[str] = []
    listed: set[Path] = set()
    for record in sorted(site.glob("*.dist-info/RECORD")):
        looked_at = not packages or record.parent.name.partition("-")[0].replace("_", "-").lower() in packages
        for name, digest, _ in csv.reader(record.read_text(encoding="utf-8").splitlines()):
            path = Path(os.path.normpath(site / name))
            listed.add(path)
            if looked_at and (fault := _fault(path, digest, is_record=path == record)):
                wrong.append(f"{name}: {fault}")
    for path in files(site):
        if path.name in allowed or path.stem in allowed:
            continue
        wrong += [f"{path.relative_to(site)}: {fault}" for fault in _faults_of_place(path, site, listed)]
    return wrong


def _fault(path: Path, digest: str, *, is_record: bool) -> str:
    """Return what is wrong with a file that is listed."""
    if not path.is_file():
        return "" if path.suffix == ".pyc" else "is gone"
    if not digest:
        return "" if is_record or path.suffix == ".pyc" else "has no digest"
    algorithm, _, expected = digest.partition("=")
    found = base64.urlsafe_b64encode(hashlib.new(algorithm, path.read_bytes()).digest()).decode().rstrip("=")
    return "" if found == expected else "is not what its package brought"


def _faults_of_place(path: Path, site: Path, listed: set[Path]) -> Iterator[str]:
    """Yield what is wrong with a file being where it is."""
    top = path.relative_to(site).parts[0].partition(".")[0]
    if path.suffix == ".pth" or top in STARTED or path.stem.partition(".")[0] in STARTED:
        yield "would be run at each start"
    if path.suffix == ".pyc" and path.parent.name == "__pycache__":
        source = path.parent.parent / f"{path.name.partition('.')[0]}.py"
        if source not in listed:
            yield "is compiled from no source that a package lists"
        elif not _is_of(path.read_bytes(), source):
            yield "is compiled from another source"
    elif path not in listed:
        yield "is in no package's RECORD"


def _is_of(compiled: bytes, source: Path) -> bool:
    """Whether bytecode that is tied to its source by a hash is that of the source; one tied by a time Python checks."""
    by_hash = int.from_bytes(compiled[_FLAGS], "little") & 1
    if not by_hash or compiled[_MAGIC] != importlib.util.MAGIC_NUMBER:
        return True
    return compiled[_HASH] == importlib.util.source_hash(source.read_bytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check what is installed in an environment.")
    parser.add_argument("environment", type=Path)
    parser.add_argument("--allow", action="append", default=[], help="the name of a file that may be there")
    parser.add_argument(
        "--package", action="append", default=[], help="a package whose files are looked at, and no other"
    )
    arguments = parser.parse_args()
    if faults := main(arguments.environment, arguments.allow, arguments.package):
        sys.exit("\n".join(["verify: not as it was brought:", *faults]))
    print(f"verify: {arguments.environment} is what its packages list")

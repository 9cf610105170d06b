"""Gather from the base image what Python needs to run the proxy, and nothing else: no shell, no package manager.

    distroless.py TARGET

Taken: the interpreter, its standard library but for DROPPED, the shared libraries that they and the packages in /app
load, and for each of those the record of its Debian package, in the place where scanners look for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from trees import files, settle

LOCAL = Path("/usr/local")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
STDLIB = LOCAL / "lib" / PYTHON
# Below the standard library. One that matches nothing is out of date and fails the build.
DROPPED = (
    "config-*",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "tkinter",
    "turtle.py",
    "turtledemo",
)
CONFIGURATION = (
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/os-release",
    "/usr/lib/ssl/cert.pem",
    "/usr/lib/ssl/certs",
    "/usr/lib/ssl/openssl.cnf",
)
# Links of a merged /usr.
LINKS = ("/lib", "/lib64")
# Who brings the configuration; the rest is found by its libraries.
CONFIGURED_BY = ("base-files", "ca-certificates", "openssl")
DPKG = Path("/var/lib/dpkg")


def main(target: Path) -> None:
    _copy_python(target)
    libraries = sorted(_libraries(target))
    for name in (*LINKS, *CONFIGURATION):
        if os.path.lexists(name):
            _copy(Path(name), target)
    for path in libraries:
        _copy(path, target)
    packages = sorted({_owner(path.resolve()) for path in libraries} | _installed(CONFIGURED_BY))
    for package in packages:
        _record(package, target)
    (target / "tmp").mkdir()
    settle(target)
    (target / "tmp").chmod(0o1777)
    print(f"distroless: {len(libraries)} shared libraries and links to them, of {len(packages)} packages")


def _copy_python(target: Path) -> None:
    dropped = [path for pattern in DROPPED for path in STDLIB.glob(pattern)]
    if unmatched := [pattern for pattern in DROPPED if not any(STDLIB.glob(pattern))]:
        sys.exit(f"distroless: nothing matches {', '.join(unmatched)}")
    for name in ("python", "python3", PYTHON):
        _copy(LOCAL / "bin" / name, target)
    for path in files(STDLIB):
        # Some of a build's modules ask for what the image does not have: they load nowhere, here neither.
        if not any(gone == path or gone in path.parents for gone in dropped) and "not found" not in _linked(path):
            _copy(path, target)


def _libraries(target: Path) -> Iterator[Path]:
    """Yield what the interpreter, its modules and the packages load, each link on the way included."""
    users = [LOCAL / "bin" / PYTHON, *files(target / STDLIB.relative_to("/")), *files(Path("/app/lib"))]
    seen = {Path(name) for user in users for name in re.findall(r"(?:=> |^\s)(/\S+)", _linked(user), re.MULTILINE)}
    for path in seen:
        # Below the folder that the package names: /lib is a link to /usr/lib.
        step = path.parent.resolve() / path.name
        yield step
        while step.is_symlink():
            step = step.parent / step.readlink()
            yield step


def _linked(path: Path) -> str:
    if path.suffix != ".so" and path.parent != LOCAL / "bin":
        return ""
    return subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout


def _copy(path: Path, target: Path) -> None:
    copied = target / path.relative_to("/")
    if not os.path.lexists(copied):
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied, follow_symlinks=False)


def _owner(library: Path) -> str:
    """Return the Debian package that a library is of, or "" for Python's own, which scanners know by its name."""
    if LOCAL in library.parents:
        return ""
    # Releases before 13 know it by the name that it had before / and /usr were merged.
    for name in (library, Path("/", library.relative_to("/usr"))):
        found = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.partition(": ")[0]
    sys.exit(f"distroless: no package has {library}")


def _installed(packages: Iterable[str]) -> set[str]:
    return {package for package in packages if (DPKG / "info" / f"{package}.list").exists()}


def _record(package: str, target: Path) -> None:
    """Write what dpkg knows of a package, and its copyright, which is to go where its files go."""
    if not package:
        return
    status = subprocess.run(["dpkg-query", "--status", package], capture_output=True, text=True, check=True).stdout
    name = package.partition(":")[0]
    records = target / DPKG.relative_to("/") / "status.d"
    records.mkdir(parents=True, exist_ok=True)
    (records / name).write_text(status, encoding="utf-8")
    (records / f"{name}.md5sums").write_text(_sums(package, target), encoding="utf-8")
    _copy(Path("/usr/share/doc", name, "copyright").resolve(), target)


def _sums(package: str, target: Path) -> str:
    """Return the checksums of those of a package's files that were taken."""
    sums = DPKG / "info" / f"{package}.md5sums"
    lines = sums.read_text(encoding="utf-8").splitlines(keepends=True) if sums.exists() else []
    return "".join(line for line in lines if os.path.lexists(target / line.split(maxsplit=1)[1].rstrip()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

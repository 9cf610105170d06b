#!/usr/bin/env python3
"""Make the environment that the scripts next to this one use: .venv, exactly as uv.lock says.

Needs Python 3.11 or newer and nothing else: neither pip, venv nor uv. Does nothing, fast, when
nothing changed. Groups of dependencies once asked for stay, so that running and testing in turn
don't install and remove the same packages again and again.
"""

# Runs on any Python 3.7, to say in one line that it is too old.
from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "bootstrap.stamp"

MINIMUM_PYTHON = (3, 11)
KNOWN_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
MINIMUM_UV = (0, 9, 0)
LOCK = ROOT / "uv.lock"  # pins pip and uv too, in the group "tools"


def fail(reason: str) -> NoReturn:
    sys.exit(f"bootstrap: {reason}")


def ensure_python() -> None:
    """Go on under a newer Python than this, if this is too old."""
    if sys.version_info[:2] >= MINIMUM_PYTHON:
        return
    for name in KNOWN_PYTHONS:
        found = shutil.which(name)
        # Run first: a shim of pyenv's is found for a Python that is not selected, and only fails.
        if found is not None and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606  # no shell is wanted
    version = sys.version.split()[0]
    fail(f"Python 3.11 or newer is needed; this is {version}, and there is no {', '.join(KNOWN_PYTHONS)}")


def uv_version(uv: str) -> tuple[int, ...]:
    answer = subprocess.run([uv, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    match = re.match(r"uv (\d+)\.(\d+)\.(\d+)", answer)
    return tuple(map(int, match.groups())) if match else ()


def ensure_uv() -> str:
    """The uv on PATH if it is new enough to read our uv.lock, else the pinned one under .tools/."""
    on_path = shutil.which("uv")
    if on_path is not None and uv_version(on_path) >= MINIMUM_UV:
        return on_path
    version = locked("uv")["version"]
    home = TOOLS / f"uv-{version}"
    if not home.exists():
        install_uv(home, version)
    return str(home / "bin" / "uv")


def locked(name: str) -> dict[str, Any]:
    """What uv.lock says of a package: its version, and its wheels with their URLs and hashes."""
    import tomllib  # noqa: PLC0415  # not on the Pythons that ensure_python turns away

    with LOCK.open("rb") as file:
        packages: list[dict[str, Any]] = tomllib.load(file)["package"]
    return next(package for package in packages if package["name"] == name)


def install_uv(home: Path, version: str) -> None:
    print("bootstrap: installing uv into .tools/", file=sys.stderr)
    TOOLS.mkdir(exist_ok=True)
    # Moved into place when complete, so that an interrupted run leaves nothing half done behind.
    with tempfile.TemporaryDirectory(dir=TOOLS) as temporary:
        target, requirements = Path(temporary) / "uv", Path(temporary) / "requirements.txt"
        hashes = " ".join(f"--hash={wheel['hash']}" for wheel in locked("uv")["wheels"])
        requirements.write_text(f"uv=={version} {hashes}\n", encoding="utf-8")
        options = ["--quiet", "--retries=2", "--disable-pip-version-check", "--only-binary=:all:", "--no-deps"]
        command = [*pip_command(Path(temporary)), "install", *options, f"--target={target}"]
        command += ["--require-hashes", f"--requirement={requirements}"]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or ["pip failed"]
            fail(f"can't install uv (is PyPI within reach?): {reasons[-1]}")
        target.replace(home)


def pip_command(folder: Path) -> list[str]:
    """This Python's pip; else the wheel that its ensurepip carries; else one from PyPI. Debian's has neither."""
    module = [sys.executable, "-m", "pip"]
    if subprocess.run([*module, "--version"], capture_output=True, check=False).returncode == 0:
        return module
    carried = sorted(Path(os.__file__).parent.glob("ensurepip/_bundled/pip-*.whl"))
    wheel = carried[-1] if carried else download_pip(folder)
    return [sys.executable, str(wheel / "pip")]


def download_pip(folder: Path) -> Path:
    (wheel,) = locked("pip")["wheels"]
    try:
        with urllib.request.urlopen(wheel["url"], timeout=60) as response:
            content: bytes = response.read()
    except OSError as error:
        fail(f"can't download {wheel['url']}: {error}")
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != wheel["hash"]:
        fail(f"{wheel['url']} is not the file it should be (sha256)")
    path = folder / str(wheel["url"]).rpartition("/")[2]
    path.write_bytes(content)
    return path


def fingerprint() -> str:
    """What the environment is made from. The folder counts too: the environment's scripts hold its path."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "uv.lock"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def ensure_environment(python: str | None, wanted: list[str]) -> None:
    """Make the environment, if what is there is another one. Who comes meanwhile waits, and has its groups too."""
    import fcntl  # noqa: PLC0415  # not everywhere where this file is read

    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_environment(python, wanted)


def make_environment(python: str | None, wanted: list[str]) -> None:
    usable = (ENVIRONMENT / "bin" / "python").exists()  # false too if the Python it links to is gone
    stamped = usable and STAMP.exists()
    made_from, *groups = STAMP.read_text(encoding="utf-8").split() if stamped else [""]
    if made_from == fingerprint() and set(wanted) <= set(groups) and python is None:
        return
    groups = sorted({*groups, *wanted})
    command = [ensure_uv(), "sync", "--frozen", "--no-default-groups", *(f"--group={group}" for group in groups)]
    if python is not None or not usable:
        command.append(f"--python={python or sys.executable}")
    elif not stamped:
        command.append("--inexact")  # someone made it by hand: what they put in stays
    environ = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_PYTHON_DOWNLOADS": "never"}
    environ.pop("VIRTUAL_ENV", None)  # uv would warn that this is not the one it uses
    STAMP.unlink(missing_ok=True)
    if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode:
        fail("uv could not make the environment, for the reason above")
    STAMP.write_text("\n".join([fingerprint(), *groups]) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the environment in .venv, if it is not there.")
    parser.add_argument("--group", action="append", default=[], help="a dependency group to install too")
    parser.add_argument("--python", help="the interpreter to use, e.g. 3.13 or /usr/bin/python3.13")
    parser.add_argument("--uv", action="store_true", help="only print where uv is, installing it if needed")
    arguments = parser.parse_args()
    ensure_python()
    if arguments.uv:
        print(ensure_uv())
    else:
        ensure_environment(arguments.python, arguments.group)


if __name__ == "__main__":
    main()

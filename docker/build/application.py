"""Put what the proxy itself is into a tree of its own, which becomes a layer: package, command, probe, user, and
the folders that it may write to.

application.py ENVIRONMENT TARGET
"""

from __future__ import annotations

import csv
import os
import py_compile
import shutil
import sys
from pathlib import Path

from trees import compile_all, settle

NAME = "ollama_openai_proxy"
# What the installer notes of its own: a path and a time of the build.
NOTES = ("direct_url.json", "uv_cache.json")
# A number for who runs it, and a name for whoever looks; the image works under any other number too.
USER = ("appuser:x:1000:1000::/app:/usr/sbin/nologin", "appuser:x:1000:")


def main(environment: Path, target: Path) -> None:
    (record,) = environment.glob(f"lib/python3.*/site-packages/{NAME}-*.dist-info/RECORD")
    site = record.parent.parent
    rows = [
        line for line in record.read_text(encoding="utf-8").splitlines() if not line.partition(",")[0].endswith(NOTES)
    ]
    record.write_text("\n".join((*rows, "")), encoding="utf-8")
    for name, *_ in csv.reader(rows):
        source = (site / name).resolve()
        copied = target / source.relative_to("/")
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copied)
        copied.chmod(source.stat().st_mode)
    inside = target / site.relative_to("/")
    modules = sorted(inside.rglob("*.py"))
    compile_all((Path("/", module.relative_to(target)) for module in modules), root=target)
    _compile_probe(site / NAME / "probe.py", target / environment.relative_to("/") / "probe.pyc")
    _add_user(target / "etc")
    folders = [target / "var" / place / "ollama-openai-proxy" for place in ("lib", "log")]
    for folder in folders:
        folder.mkdir(parents=True)
    settle(target)
    # A new volume gets owner and mode from here. The group is for platforms that choose a number: it is always theirs.
    for folder in folders:
        os.chown(folder, 1000, 0)
        folder.chmod(0o775)


def _compile_probe(source: Path, target: Path) -> None:
    """Compile the health check to a file that is run by itself, without looking for packages."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), str(target), doraise=True, invalidation_mode=mode)


def _add_user(etc: Path) -> None:
    etc.mkdir()
    for name, line in zip(("passwd", "group"), USER, strict=True):
        (etc / name).write_text(Path("/etc", name).read_text(encoding="utf-8") + line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

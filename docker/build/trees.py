"""What the scripts of this folder share: they run inside the build, where only Python itself is there."""

from __future__ import annotations

import os
import py_compile
from collections.abc import Iterable, Iterator
from pathlib import Path

# Every file in the images is as old as this: a layer whose files are the same is the same layer. Before any commit,
# so that tools which move later times to SOURCE_DATE_EPOCH leave it alone.
EPOCH = 315532800  # 1980-01-01, what zip files begin at


def files(root: Path) -> Iterator[Path]:
    """Yield the files below a folder, links included, in an order that is always the same."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def compile_all(sources: Iterable[Path], root: Path | None = None) -> int:
    """Compile sources, to the place below `root` where Python looks for it, and return how many.

    The bytecode holds no time of its source and is never compared with it: neither changes in an image.
    """
    count = 0
    for source in sources:
        cached = source.parent / "__pycache__" / f"{source.stem}.cpython-312.pyc"
        target = cached if root is None else root / cached.relative_to("/")
        py_compile.compile(
            str(source), str(target), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        count += 1
    return count


def settle(root: Path) -> None:
    """Give everything below a folder, and the folder, the same time, and take the right to write from all but root."""
    for folder, folders, names in os.walk(root):
        for path in (Path(folder), *(Path(folder, name) for name in (*folders, *names))):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o022)
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)

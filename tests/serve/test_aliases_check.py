"""The folder of the aliases, looked at before the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ollama_openai_proxy.serve import aliases as limits
from ollama_openai_proxy.serve.aliases import Aliases, check
from ollama_openai_proxy.translate.aliases import Alias, decode, encode

A = Alias("a:latest", "m", 1)
NO_FOLDER = Path("/proc/self")  # where not even root can make a file


def file_of(folder: Path) -> Path:
    return folder / "aliases.json"


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_check_changes_nothing(tmp_path: Path) -> None:
    """A folder that is good is left as it is, but for the lock."""
    check(tmp_path, writable=False)
    assert [*tmp_path.iterdir()] == []
    file_of(tmp_path).write_bytes(encode([A]))
    check(tmp_path, writable=True)
    assert decode(file_of(tmp_path).read_bytes()) == (A,)
    assert files(tmp_path) == {"aliases.json", "aliases.lock"}


@pytest.mark.parametrize("data", [b"", b"{", b'{"version": 9}', b"x" * (2 * limits.MAX_TABLE + 1)])
def test_check_of_a_bad_file(tmp_path: Path, data: bytes) -> None:
    """A file that is no table is named, with what is wrong, in one line; it is left as it is."""
    file_of(tmp_path).write_bytes(data)
    with pytest.raises(OSError, match=r"^DATA_DIR: [^\n]*aliases\.json [^\n]+$"):
        check(tmp_path, writable=True)
    assert file_of(tmp_path).read_bytes() == data


def test_check_of_a_large_file(tmp_path: Path) -> None:
    """Limits: no more is read than a table may have, though the rest were nothing but space."""
    file_of(tmp_path).write_bytes(encode([A]).ljust(2 * limits.MAX_TABLE))
    check(tmp_path, writable=False)
    file_of(tmp_path).write_bytes(encode([A]).ljust(2 * limits.MAX_TABLE + 1))
    with pytest.raises(OSError, match=r"aliases\.json is too large$"):
        check(tmp_path, writable=False)


def test_check_of_what_is_no_file(tmp_path: Path) -> None:
    """What can't be read is told with the system's reason."""
    file_of(tmp_path).mkdir()
    with pytest.raises(OSError, match=r"aliases\.json can't be read: Is a directory$"):
        check(tmp_path, writable=False)


def test_check_of_a_bad_folder(tmp_path: Path) -> None:
    """A folder that is none, or can't be written when it must be, is told with the system's reason."""
    with pytest.raises(OSError, match=r"^DATA_DIR can't be used: No such file or directory$"):
        check(tmp_path / "no", writable=False)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^DATA_DIR can't be used: Not a directory$"):
        check(tmp_path / "file", writable=True)
    with pytest.raises(OSError, match=r"^DATA_DIR can't be used: "):
        check(NO_FOLDER, writable=True)
    check(NO_FOLDER, writable=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_check_of_a_read_only_folder(tmp_path: Path) -> None:
    """A folder without the right to write is refused, unless nothing is to be written."""
    tmp_path.chmod(0o500)
    check(tmp_path, writable=False)
    with pytest.raises(OSError, match=r"^DATA_DIR can't be used: Permission denied$"):
        check(tmp_path, writable=True)


@pytest.mark.parametrize("left", ["link", "file"])
async def test_what_is_in_the_way(tmp_path: Path, left: str) -> None:
    """A new file is new: nothing is written through a link that stands there, and nobody else may read it."""
    other, folder = tmp_path / "other", tmp_path / "folder"
    folder.mkdir()
    other.write_text("precious")
    new = folder / "aliases.json.new"
    if left == "link":
        new.symlink_to(other)
    else:
        new.touch()
        new.chmod(0o666)
    check(folder, writable=True)
    assert files(folder) == {"aliases.lock"}
    if left == "link":
        new.symlink_to(other)
    else:
        new.touch()
        new.chmod(0o666)
    await Aliases(folder).put(A)
    assert other.read_text() == "precious"
    assert not file_of(folder).is_symlink()
    assert file_of(folder).stat().st_mode & 0o777 == 0o600

"""Settings that name files, and the file of settings to copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from architecture.files import ROOT
from ollama_openai_proxy.settings import Settings, SettingsError, load

ENTRY = re.compile(r"^#([A-Z_]+)=(.*)$", re.MULTILINE)
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
ENTRIES = dict(ENTRY.findall(EXAMPLE))
# A key belongs to a backend, and the one of the example wants one.
NEEDED = {
    "OPENAI_API_BASE_URL": "OPENAI_API_KEY",
    "OPENAI_API_KEY": "OPENAI_API_BASE_URL",
    "OPENAI_API_KEY_FILE": "OPENAI_API_BASE_URL",
}


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a `.env` of whoever runs the tests counts."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def uncomment(*names: str) -> Settings:
    """Load the example with these lines uncommented. The files that are read with them are some that exist."""
    Path("key").write_text("sk-1")
    Path("models").touch()
    text = ENTRY.sub(lambda entry: entry[0][1:] if entry[1] in names else entry[0], EXAMPLE)
    for setting in ("OPENAI_API_KEY_FILE", "PROXY_API_KEY_FILE"):
        text = text.replace(ENTRIES[setting], "key")
    text = text.replace(ENTRIES["MODELS_FILE"], "models")
    Path(".env").write_text(text)
    return load()


def test_example_has_all() -> None:
    """`.env.example` has each setting once."""
    assert [name for name, _ in ENTRY.findall(EXAMPLE)] == [name.upper() for name in Settings.model_fields]


@pytest.mark.parametrize("name", ENTRIES)
def test_example_is_valid(name: str) -> None:
    """Each line of `.env.example` can be uncommented as it is, and then counts."""
    settings = uncomment(name, *([NEEDED[name]] if name in NEEDED else []))
    assert name.lower() in settings.model_fields_set


def test_example_is_valid_as_a_whole() -> None:
    """All lines of `.env.example` can be uncommented, but for one of the two ways to give a key."""
    loaded = uncomment(*(name for name in ENTRIES if not name.endswith("_KEY_FILE")))
    assert loaded.api_key == "sk-..."
    assert loaded.client_keys == ("a-long-random-key",)


def test_log_file_default() -> None:
    """Without a setting there is no log file; one may have 10 MiB."""
    settings = load()
    assert (settings.log_file, settings.log_file_size) == (None, 10 * 1024 * 1024)


def test_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOG_FILE is a path, and LOG_FILE_SIZE a number of bytes from 64 KiB to 1 GiB."""
    monkeypatch.setenv("LOG_FILE", '"/var/log/a proxy.log"')
    monkeypatch.setenv("LOG_FILE_SIZE", "65536")
    assert (load().log_file, load().log_file_size) == (Path("/var/log/a proxy.log"), 65536)
    monkeypatch.setenv("LOG_FILE_SIZE", "1073741824")
    assert load().log_file_size == 2**30


@pytest.mark.parametrize("value", ["65535", "1073741825", "10MB", "0", "-1", "nan"])
def test_refused_log_file_size(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Any other size is refused in one line that names the variable."""
    monkeypatch.setenv("LOG_FILE_SIZE", value)
    with pytest.raises(SettingsError, match=r"^LOG_FILE_SIZE [^\n]+$"):
        load()


@pytest.mark.parametrize("name", ["LOG_FILE", "OPENAI_API_KEY_FILE"])
def test_path_that_is_none(name: str) -> None:
    """A `.env` with a NUL in a path is one line that names the variable, not an error of Python."""
    Path(".env").write_text(f"{name}=canary\0\n")
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value) == f"{name} holds a character that no path has"

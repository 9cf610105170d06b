"""Values of settings that have a form of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from architecture.files import ROOT
from ollama_openai_proxy.setting_values import host_and_port, keep_alive, read_models, read_secret
from ollama_openai_proxy.settings import Settings, SettingsError, load
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.modelsfile import Entry

CANARY = "sk-canary-0123456789"
MODELS_PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
TABLE = MODELS_PAGE.partition("| `match` |")[1] + MODELS_PAGE.partition("| `match` |")[2].partition("\n\n")[0]
FOREVER = float("inf")


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a `.env` of whoever runs the tests counts."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def models_file(content: str | bytes) -> Path:
    path = Path("models.toml")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5m", 300), ("1h30m", 5400), ("0", 0), ("0s", 0), ("42", 42), ("-1", FOREVER), ("-1s", FOREVER), ("500ms", 0.5)],
)
def test_keep_alive(value: str, seconds: float) -> None:
    """Contract 9.3: a Go duration or bare seconds; negative is for ever."""
    assert keep_alive(value) == seconds


@pytest.mark.parametrize("value", ["", "soon", "1d", "5 m", CANARY])
def test_no_keep_alive(value: str) -> None:
    """Anything else is refused, and not repeated."""
    with pytest.raises(ValueError, match="must be a duration") as caught:
        keep_alive(value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("127.0.0.1:11434", ("127.0.0.1", 11434)),
        ("0.0.0.0", ("0.0.0.0", 11434)),  # noqa: S104  # the value that containers set
        (":1234", ("0.0.0.0", 1234)),  # noqa: S104  # what Go listens on without a host
        ("http://example.com", ("example.com", 80)),
        ("https://example.com/path", ("example.com", 443)),
        ("[::1]:7", ("::1", 7)),
        ("::1", ("::1", 11434)),
    ],
)
def test_host_and_port(value: str, expected: tuple[str, int]) -> None:
    """Contract 9.2: hosts with and without scheme, port and brackets."""
    assert host_and_port(value) == expected


@pytest.mark.parametrize("value", ["h:port", "h:65536", "h:-1"])
def test_no_port(value: str) -> None:
    """A port is a number that ports have."""
    with pytest.raises(ValueError, match="has a port that is none"):
        host_and_port(value)


def test_secret(tmp_path: Path) -> None:
    """A secret is what the file holds, without the end of its line; one that can't be read is told without its path."""
    (tmp_path / "key").write_text(f"{CANARY}\n")
    assert read_secret(tmp_path / "key") == CANARY
    with pytest.raises(ValueError, match=r"^OPENAI_API_KEY_FILE can't be read: No such file or directory$"):
        read_secret(tmp_path / "none")


def test_models_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """MODELS_FILE is read once, at the start; a mark at its beginning, as Windows writes it, is no part of it."""
    path = models_file('\ufeff[[model]]\nmatch = "m"\ncontext_length = 5\n')
    monkeypatch.setenv("MODELS_FILE", str(path))
    settings = load()
    path.unlink()
    assert settings.models.apply([Model(id="m")])[0].context_length == 5
    assert settings.model_copy(update={"log_level": "debug"}).models is settings.models


def test_no_models_file() -> None:
    """Without the setting nothing is said of any model."""
    assert load().models.entries == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"KEY={CANARY}", "MODELS_FILE is not TOML: Invalid value (at line 1, column 5)"),
        ('[[model]]\nmatch = "m"\nsize = "x"', "MODELS_FILE has an error in model 1: size: expected int, got str"),
        (f"{CANARY}\xff".encode("latin-1"), "MODELS_FILE is not text in UTF-8"),
        ("#" * (1024 * 1024 + 1), "MODELS_FILE has more than 1048576 bytes"),
        (None, "MODELS_FILE can't be read: No such file or directory"),
    ],
)
def test_bad_models_file(monkeypatch: pytest.MonkeyPatch, content: str | bytes | None, message: str) -> None:
    """A file that can't be used stops the start: one line names the setting and the place, and repeats no value."""
    path = Path("none") if content is None else models_file(content)
    monkeypatch.setenv("MODELS_FILE", str(path))
    with pytest.raises(SettingsError) as caught:
        load()
    assert str(caught.value) == message


def test_largest_models_file() -> None:
    """A file of just the size that is allowed is read."""
    assert read_models(models_file("#" * (1024 * 1024))).entries == ()


def test_folder_as_models_file(tmp_path: Path) -> None:
    """A folder is no file; Docker makes one where a file to be mounted is missing."""
    with pytest.raises(ValueError, match=f"^MODELS_FILE can't be read: {os.strerror(21)}$"):
        read_models(tmp_path)


@pytest.mark.parametrize(("value", "tokens"), [(None, 32768), ("0", 32768), ("4096", 4096)])
def test_context_length(monkeypatch: pytest.MonkeyPatch, value: str | None, tokens: int) -> None:
    """OLLAMA_CONTEXT_LENGTH is for models of which nobody tells it; 0 means the default."""
    if value:
        monkeypatch.setenv("OLLAMA_CONTEXT_LENGTH", value)
    assert load().context_length == tokens


@pytest.mark.parametrize("block", re.findall(r"^```toml\n(.*?)^```$", MODELS_PAGE, re.MULTILINE | re.DOTALL))
def test_documented_models_files(block: str) -> None:
    """Each example of docs/models.md can be used as it is."""
    assert read_models(models_file(block)).entries


def test_documented_keys() -> None:
    """docs/models.md has each key of a model, and no other."""
    keys = {key.removeprefix("[model.").removesuffix("]") for key in re.findall(r"^\| `(\S+)` \|", TABLE, re.MULTILINE)}
    assert keys | {"parameter_size"} == set(Entry.__struct_fields__)

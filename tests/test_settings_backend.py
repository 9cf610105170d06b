"""The backend's URL and key: normalised, read from the right place, and never shown."""

import traceback
from pathlib import Path

import pytest

from ollama_openai_proxy.settings import Settings, SettingsError, load

KEY = "sk-canary-4711"
BACKEND = "https://backend.example/v1"


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a `.env` of whoever runs the tests counts."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def refusal() -> str:
    with pytest.raises(SettingsError) as raised:
        load()
    return str(raised.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://backend.example/v1", "https://backend.example/v1"),
        ("https://backend.example/v1/", "https://backend.example/v1"),
        ("https://backend.example/v1//", "https://backend.example/v1"),
        ("https://backend.example", "https://backend.example/v1"),
        ("https://backend.example/", "https://backend.example/v1"),
        ("http://10.0.0.1:8000", "http://10.0.0.1:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("https://backend.example/openai/deployments/x", "https://backend.example/openai/deployments/x"),
        ("HTTP://Backend.Example/v1", "HTTP://Backend.Example/v1"),
        ("http://bücher.example/v1", "http://bücher.example/v1"),
        (' "https://backend.example/v1" ', "https://backend.example/v1"),
    ],
)
def test_l8_base_url(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    """Slashes at the end go, and a URL without a path gets the `/v1` that is surely meant (L8)."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", value)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert load().base_url == expected


@pytest.mark.parametrize(
    "value",
    [
        "canary.example/v1",
        "//canary.example/v1",
        "http:///canary",
        "http://",
        "file:///canary/passwd",
        "unix:/canary.sock",
        "ftp://canary.example",
        "https://user:canary@backend.example/v1",
        "https://canary@backend.example/v1",
        "https://@canary.example/v1",
        "https://backend.example/v1?canary=1",
        "https://canary.example/v1?",
        "https://backend.example/v1#canary",
        "https://canary.example/v1#",
        "http://backend.example:canary/v1",
        "http://canary.example:66000/v1",
        "http://[::1/canary",
        "http://[canary]/v1",
        "http://back end.canary/v1",
        "http://backend.exa\tmple/canary",
    ],
)
def test_l8_refused_base_url(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """What is no plain http(s) URL of a base is refused, without repeating it: it may hold a password (L8)."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", value)
    message = refusal()
    assert message.startswith("OPENAI_API_BASE_URL ")
    assert "\n" not in message
    assert "canary" not in message


def test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key comes from its variable, without spaces around it."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert load().api_key == KEY


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"{KEY}\r\n"], ids=["bare", "newline", "CRLF"])
def test_l6_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    """The key may stand in a file, where editors end the line (L6)."""
    file = tmp_path / "key"
    file.write_bytes(content.encode())
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))
    assert load().api_key == KEY


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\r\n",
        KEY.encode() + b"\n\n",
        KEY.encode() + b"\nX-Evil: canary",
        b"sk-\xffcanary",
        b"sk canary",
        b"c" * 65537,
    ],
    ids=["empty", "newline", "CRLF", "two newlines", "two lines", "not ASCII", "space", "too large"],
)
def test_l6_refused_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    """A file that holds no key, or more than one, is refused: its bytes would go into a header (L6)."""
    file = tmp_path / "key"
    file.write_bytes(content)
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))
    message = refusal()
    assert message.startswith("OPENAI_API_KEY_FILE ")
    assert "\n" not in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "No such file or directory"), (".", "Is a directory")], ids=["missing", "folder"]
)
def test_l6_unreadable_key_file(monkeypatch: pytest.MonkeyPatch, name: str, reason: str) -> None:
    """A file that can't be read is told with the reason (L6)."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", name)
    assert refusal() == f"OPENAI_API_KEY_FILE can't be read: {reason}"


def test_l6_two_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key and a file with a key contradict each other, even when they agree (L6)."""
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "key")
    assert refusal() == "OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set; give one"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_API_KEY_FILE"])
def test_key_without_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """A key without a URL is a mistake: nobody says where it belongs."""
    (tmp_path / "canary").write_text(KEY)
    monkeypatch.setenv(name, "canary")
    assert refusal() == f"{name} is set and OPENAI_API_BASE_URL is not; give the URL of the backend"


@pytest.mark.parametrize(
    "value",
    [
        "https://api.openai.com/v1",
        "https://API.OpenAI.com",
        "https://eu.api.openai.com/v1",
        "https://me.openai.azure.com/openai/v1",
        "https://openrouter.ai/api/v1",
    ],
)
def test_missing_key(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Bad input: a service that is known to answer nobody without a key stops the start without one."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", value)
    assert refusal() == "OPENAI_API_KEY is not set, and the backend that OPENAI_API_BASE_URL names wants one"
    Path("key").write_text(KEY)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "key")
    assert load().api_key == KEY


@pytest.mark.parametrize(
    "value",
    [
        "http://localhost:8000/v1",
        "https://backend.example/v1",
        "https://notopenrouter.ai/v1",
        "https://api.openai.com.backend.example/v1",
    ],
)
def test_no_key(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A backend of which nothing is known may well want no key: vLLM and llama.cpp do not."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", value)
    assert load().api_key == ""


@pytest.mark.parametrize("key", ["sk-canary 1", "sk-canary\r\nX-Evil: 1", "sk-canary-é"])
def test_refused_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A key with characters that no header takes is refused, and not repeated."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert refusal() == "OPENAI_API_KEY holds characters that no key has"


def test_l12_m3_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is in no representation of the settings, nor in the traceback of another setting's error (L12, M3)."""
    monkeypatch.setenv("OPENAI_API_BASE_URL", BACKEND)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings = load()
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()} {vars(settings)}"
    assert BACKEND in shown
    assert KEY not in shown
    monkeypatch.setenv("PROXY_PORT", "no")
    with pytest.raises(SettingsError) as raised:
        load()
    assert "canary" not in "".join(traceback.format_exception(raised.value))

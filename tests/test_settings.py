"""Every setting: its default, what it takes, and what is said of a value that it does not take."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ollama_openai_proxy.settings import Settings, SettingsError, load

BACKEND = "https://backend.example/v1"
FOREVER = float("inf")
EVERYWHERE = "0.0.0.0"  # noqa: S104  # compared with, nothing is bound to it


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a `.env` of whoever runs the tests counts."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("openai_api_base_url", None),
        ("openai_api_key", None),
        ("openai_api_key_file", None),
        ("upstream_profile", "auto"),
        ("forward_unknown_models", False),
        ("models_refresh", 60),
        ("proxy_host", None),
        ("proxy_port", None),
        ("ollama_host", "127.0.0.1:11434"),
        ("ollama_origins", None),
        ("ollama_keep_alive", "5m"),
        ("ollama_version", "0.14.0"),
        ("connect_timeout", 5),
        ("first_byte_timeout", 300),
        ("idle_timeout", 120),
        ("request_timeout", 600),
        ("stream_timeout", 0),
        ("max_body_size", 32 * 1024 * 1024),
        ("drain_delay", None),
        ("drain_timeout", 60.0),
        ("ready_needs_upstream", False),
        ("metrics_enabled", True),
        ("metrics_port", None),
        ("added_time_header", False),
        ("workers", 1),
        ("log_format", "json"),
        ("log_level", "info"),
        ("env", "production"),
    ],
)
def test_default(name: str, default: object) -> None:
    """Nothing needs to be set."""
    assert getattr(load(), name) == default


def test_derived_defaults() -> None:
    """Without settings the proxy listens where Ollama does, with no backend, and keeps models for five minutes."""
    settings = load()
    assert (settings.host, settings.port, settings.is_loopback) == ("127.0.0.1", 11434, True)
    assert (settings.base_url, settings.api_key, settings.origins, settings.keep_alive) == ("", "", (), 300)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("UPSTREAM_PROFILE", "VLLM", "vllm"),
        ("FORWARD_UNKNOWN_MODELS", "true", True),
        ("MODELS_REFRESH", "1", 1),
        ("PROXY_PORT", "0", 0),
        ("PROXY_PORT", "65535", 65535),
        ("OLLAMA_VERSION", "0.9.12", "0.9.12"),
        ("CONNECT_TIMEOUT", "0.25", 0.25),
        ("FIRST_BYTE_TIMEOUT", "86400", 86400),
        ("IDLE_TIMEOUT", " 7 ", 7),
        ("REQUEST_TIMEOUT", "0", 0),
        ("STREAM_TIMEOUT", "'90'", 90),
        ("MAX_BODY_SIZE", "1024", 1024),
        ("DRAIN_DELAY", "0", 0.0),
        ("DRAIN_TIMEOUT", "0", 0.0),
        ("READY_NEEDS_UPSTREAM", "true", True),
        ("METRICS_ENABLED", "false", False),
        ("METRICS_PORT", "9464", 9464),
        ("ADDED_TIME_HEADER", "1", True),
        ("WORKERS", "4", 4),
        ("LOG_FORMAT", "TEXT", "text"),
        ("LOG_LEVEL", "Warning", "warning"),
        ("ENV", "development", "development"),
        ("PROXY_HOST", f'"{EVERYWHERE}"', EVERYWHERE),
    ],
)
def test_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object) -> None:
    """A setting is read from its variable, without the spaces and quotes around it (contract 9.1)."""
    monkeypatch.setenv(name, value)
    assert getattr(load(), name.lower()) == expected


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
@pytest.mark.parametrize("value", ["", "  ", '""', "' '"], ids=["empty", "spaces", "quotes", "quoted space"])
def test_empty(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An empty value is refused, in one line that names the variable: it is never the default in disguise."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value) == f"{name} is empty; unset it or give it a value"


MALFORMED = [
    ("UPSTREAM_PROFILE", "azure-canary"),
    ("FORWARD_UNKNOWN_MODELS", "maybe-canary"),
    ("MODELS_REFRESH", "0.5"),
    ("MODELS_REFRESH", "nan"),
    ("PROXY_PORT", "65536"),
    ("PROXY_PORT", "-1"),
    ("PROXY_PORT", "http-canary"),
    ("PROXY_PORT", "80.5"),
    ("OLLAMA_VERSION", "1.0.1e"),
    ("OLLAMA_VERSION", "v0.14.0"),
    ("OLLAMA_VERSION", "0.14"),
    ("CONNECT_TIMEOUT", "0.0"),
    ("CONNECT_TIMEOUT", "-3"),
    ("CONNECT_TIMEOUT", "five-canary"),
    ("FIRST_BYTE_TIMEOUT", "inf"),
    ("IDLE_TIMEOUT", "nan"),
    ("IDLE_TIMEOUT", "0.0"),
    ("REQUEST_TIMEOUT", "-7"),
    ("REQUEST_TIMEOUT", "1e9"),
    ("STREAM_TIMEOUT", "10s-canary"),
    ("MAX_BODY_SIZE", "32MB"),
    ("MAX_BODY_SIZE", "1023"),
    ("DRAIN_DELAY", "-1"),
    ("DRAIN_TIMEOUT", "86401"),
    ("DRAIN_TIMEOUT", "inf"),
    ("METRICS_PORT", "0"),
    ("METRICS_ENABLED", "maybe"),
    ("WORKERS", "0"),
    ("WORKERS", "65"),
    ("LOG_FORMAT", "xml"),
    ("LOG_LEVEL", "loud-canary"),
    ("ENV", "staging-canary"),
    ("OLLAMA_ORIGINS", "localhost:9-canary"),
    ("OLLAMA_ORIGINS", "https-canary"),
    ("OLLAMA_ORIGINS", "https"),
    ("OLLAMA_ORIGINS", "https://a-canary,ftp://b-canary"),
    ("OLLAMA_ORIGINS", "https://*.canary.*"),
    ("OLLAMA_KEEP_ALIVE", "1d-canary"),
    ("OLLAMA_KEEP_ALIVE", "1.5"),
    ("OLLAMA_KEEP_ALIVE", "--7"),
    ("OLLAMA_KEEP_ALIVE", "canary"),
    ("OLLAMA_HOST", "127.0.0.1:66000"),
    ("OLLAMA_HOST", ":-1"),
    ("OLLAMA_HOST", ":canary"),
    ("OLLAMA_HOST", "[::1]:canary"),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED, ids=[f"{name}={value}" for name, value in MALFORMED])
def test_l11_malformed(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A malformed value is refused in one clear line that names the variable and does not hold the value (L11)."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load()
    message = str(raised.value)
    assert message.startswith(f"{name} ")
    assert "\n" not in message
    assert len(message) > len(name) + 10
    assert value not in message.split()
    assert "canary" not in message


def test_all_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several mistakes are told at once, still in one line."""
    monkeypatch.setenv("PROXY_PORT", "no")
    monkeypatch.setenv("LOG_LEVEL", "no")
    with pytest.raises(SettingsError, match=r"^PROXY_PORT [^;\n]+; LOG_LEVEL [^;\n]+$"):
        load()


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("1.2.3.4", "1.2.3.4", 11434),
        ("1.2.3.4:1234", "1.2.3.4", 1234),
        ("example.com:1234", "example.com", 1234),
        (":1234", EVERYWHERE, 1234),
        ("example.com", "example.com", 11434),
        ("http://1.2.3.4", "1.2.3.4", 80),
        ("https://1.2.3.4", "1.2.3.4", 443),
        ("http://1.2.3.4:1234", "1.2.3.4", 1234),
        ("https://example.com/ollama", "example.com", 443),
        ("[::1]", "::1", 11434),
        ("::1", "::1", 11434),
        ("[::1]:1337", "::1", 1337),
        ("[::]", "::", 11434),
        ("http://[::1]:1337/", "::1", 1337),
        ("example.com/", "example.com", 11434),
        (" 1.2.3.4 ", "1.2.3.4", 11434),
        ('"1.2.3.4"', "1.2.3.4", 11434),
        ("'1.2.3.4'", "1.2.3.4", 11434),
        (":0", EVERYWHERE, 0),
    ],
)
def test_ollama_host(monkeypatch: pytest.MonkeyPatch, value: str, host: str, port: int) -> None:
    """OLLAMA_HOST is read as Ollama reads it (contract 9.2)."""
    monkeypatch.setenv("OLLAMA_HOST", value)
    settings = load()
    assert (settings.host, settings.port) == (host, port)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PROXY_HOST": "::1"}, ("::1", 9)),
        ({"PROXY_HOST": "[::1]"}, ("::1", 9)),
        ({"PROXY_PORT": "0"}, ("10.0.0.1", 0)),
        ({"PROXY_HOST": "localhost", "PROXY_PORT": "7"}, ("localhost", 7)),
    ],
)
def test_proxy_host_and_port(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: tuple[str, int]) -> None:
    """PROXY_HOST and PROXY_PORT each replace their part of OLLAMA_HOST; an IPv6 address may have brackets."""
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.1:9")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.host, settings.port) == expected


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("[::1]", True),
        ("localhost", True),
        (EVERYWHERE, False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.com", False),
    ],
)
def test_is_loopback(monkeypatch: pytest.MonkeyPatch, host: str, loopback: bool) -> None:
    """Only an address of this machine alone counts as loopback: it switches the host check on (contract 1.6)."""
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert load().is_loopback is loopback


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("300", 300), ("-1", FOREVER), ("10m", 600), ("1h30m", 5400), ("-5m", FOREVER), ("1.5h", 5400)],
)
def test_keep_alive(monkeypatch: pytest.MonkeyPatch, value: str, seconds: float) -> None:
    """OLLAMA_KEEP_ALIVE is a Go duration or bare seconds; negative is for ever (contract 9.3)."""
    monkeypatch.setenv("OLLAMA_KEEP_ALIVE", value)
    assert load().keep_alive == seconds


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        ("https://a.example, moz-extension://*", ("https://a.example", "moz-extension://*")),
        ("*.example", ("*.example",)),
    ],
)
def test_origins(monkeypatch: pytest.MonkeyPatch, value: str, origins: tuple[str, ...]) -> None:
    """OLLAMA_ORIGINS is a list with commas; each entry has a scheme that is known, or one star (contract 1.5)."""
    monkeypatch.setenv("OLLAMA_ORIGINS", value)
    assert load().origins == origins


def test_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `.env` in the current folder is read, keys of other programs in it are none of our business, and the
    environment outranks it."""
    (tmp_path / ".env").write_text(f"OPENAI_API_BASE_URL='{BACKEND}'\nLOG_LEVEL=debug\nOTHER=1\n")
    monkeypatch.setenv("LOG_LEVEL", "error")
    settings = load()
    assert (settings.base_url, settings.log_level) == (BACKEND, "error")


def test_dotenv_that_is_no_text(tmp_path: Path) -> None:
    """A `.env` in another encoding is told, not repeated."""
    (tmp_path / ".env").write_bytes(b"LOG_LEVEL=canary\xff\n")
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value) == ".env can't be read as text"


def test_frozen() -> None:
    """Settings do not change after the start."""
    settings: Any = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.log_level = "debug"

"""Settings that say who may ask: ALLOWED_HOSTS and OLLAMA_ORIGINS."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.settings import SettingsError, load


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("ollama.example.com", ("ollama.example.com",)),
        (" a.example , *.b.example,*", ("a.example", "*.b.example", "*")),
        ("proxy,my_stack-1.lan,full.example.", ("proxy", "my_stack-1.lan", "full.example.")),
        ("203.0.113.9,2001:db8::7,[2001:db8::8]", ("203.0.113.9", "2001:db8::7", "[2001:db8::8]")),
    ],
)
def test_allowed_hosts(monkeypatch: pytest.MonkeyPatch, value: str, names: tuple[str, ...]) -> None:
    """Names, all below a name, any, and addresses, separated by commas."""
    monkeypatch.setenv("ALLOWED_HOSTS", value)
    assert load(_env_file=None).allowed == names


def test_no_allowed_hosts() -> None:
    """Unless it is set, there are no other names."""
    assert load(_env_file=None).allowed == ()


@pytest.mark.parametrize(
    "value",
    [
        "https://a.example",
        "a.example:443",
        "a.example/x",
        "a.*.example",
        "*a.example",
        "*.*.example",
        "**",
        "a b",
        "a..example",
        ".example",
        "é.example",
        "a.example,b.example:1",
        ",",
    ],
)
def test_what_is_no_host(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Anything else stops the start with one line, which names the setting and nothing of its value."""
    monkeypatch.setenv("ALLOWED_HOSTS", value)
    with pytest.raises(SettingsError) as caught:
        load(_env_file=None)
    message = str(caught.value)
    assert message.startswith("ALLOWED_HOSTS must hold names such as models.example.com or *.example.com")
    assert "\n" not in message


ORIGINS = [
    ("https://a.example", True),
    ("chrome-extension://*", True),
    ("moz-extension://abc,safari-extension://abc,ms-browser-extension://abc", True),
    ("*", True),
    ("*.a.example, https://*.b.example", True),
    ("a.example", False),
    ("app://obsidian.md", False),
    ("tauri://x", False),
    ("https://*.a.*", False),
    ("https://a.example,b.example", False),
]


@pytest.mark.parametrize(("value", "starts"), ORIGINS)
def test_origins(monkeypatch: pytest.MonkeyPatch, value: str, starts: bool) -> None:
    """Contract 1.5: an origin has one star, or none and a scheme that is known; else the start fails."""
    monkeypatch.setenv("OLLAMA_ORIGINS", value)
    if starts:
        assert load(_env_file=None).origins == tuple(map(str.strip, value.split(",")))
        return
    with pytest.raises(SettingsError, match="OLLAMA_ORIGINS"):
        load(_env_file=None)

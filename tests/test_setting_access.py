"""The options that say who may use the proxy."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.settings import SettingsError, load


@pytest.mark.parametrize("value", ["", "example.com", "http*://*", "gopher://example.com"])
def test_malformed_origins(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 9.2: an origin without a scheme that browsers send, or with two stars, stops the start."""
    monkeypatch.setenv("OLLAMA_ORIGINS", value)
    with pytest.raises(SettingsError, match="OLLAMA_ORIGINS"):
        load()


def test_origins_are_listed() -> None:
    """Contract 9.2: origins come separated by commas, with spaces around them or not."""
    assert load(ollama_origins="https://a.example, http://b.example").origins == (
        "https://a.example",
        "http://b.example",
    )

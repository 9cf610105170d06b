"""The key would go over the wire for all to read (reliability 2.L, L9)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import parsed, served
from support.processes import eventually

WARNING = "OPENAI_API_BASE_URL begins with http: the key and all prompts can be read on their way to the backend"


@pytest.mark.parametrize(
    ("url", "key", "warned"),
    [
        ("http://backend.invalid/v1", "sk-canary", True),
        ("https://backend.invalid/v1", "sk-canary", False),
        ("http://backend.invalid/v1", None, False),
        ("http://127.0.0.1:1/v1", "sk-canary", False),
    ],
)
def test_l9_warning(tmp_path: Path, url: str, key: str | None, warned: bool) -> None:
    """L9: a start with a key for a backend far away and without TLS says so in one line; any other start does not."""
    settings = {"OPENAI_API_BASE_URL": url, **({"OPENAI_API_KEY": key} if key else {})}
    with served(tmp_path, "serve", **settings) as running:
        lines = eventually(lambda: parsed(running.out) if '"ready"' in running.out else None, within=30)
    told = [line for line in lines if line["message"] == WARNING]
    assert [line["level"] for line in told] == (["WARNING"] if warned else [])
    assert "sk-canary" not in running.out

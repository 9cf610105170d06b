"""The lines of a start, of an end and of what is between them."""

import json
import socket
from typing import Any

import pytest

from ollama_openai_proxy.observe.logs import State, fail, lifecycle
from support.lines import logged


def test_lifecycle() -> None:
    """2.K: each change of state is one line, with its reason, code or seconds, if it has one."""
    changes: list[tuple[State, dict[str, Any]]] = [
        ("starting", {}),
        ("ready", {"seconds": 0.25}),
        ("not_ready", {"reason": "upstream", "code": None}),
        ("draining", {"reason": "SIGTERM"}),
        ("stopped", {"code": 0}),
    ]
    with logged() as lines:
        for state, facts in changes:
            lifecycle(state, **facts)
        told = lines.read()
    assert {(line["message"], line["logger"], line["level"]) for line in told} == {
        ("lifecycle", "ollama_openai_proxy.lifecycle", "INFO")
    }
    assert [
        {name: line.get(name) for name in ("state", "seconds", "reason", "code") if name in line} for line in told
    ] == [
        {"state": "starting"},
        {"state": "ready", "seconds": 0.25},
        {"state": "not_ready", "reason": "upstream"},
        {"state": "draining", "reason": "SIGTERM"},
        {"state": "stopped", "code": 0},
    ]


def test_k9_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """K9, G13: a failed start is one line on standard error, as JSON or for people, before any log is configured."""
    fail("PROXY_PORT has a\nport", fmt="json", version="1.2.3")
    fail("PROXY_PORT has a\nport \x1b[31m", fmt="text")
    captured = capsys.readouterr()
    assert captured.out == ""
    line, text = captured.err.splitlines()
    fields = json.loads(line)
    assert fields.pop("time")
    assert fields == {
        "level": "CRITICAL",
        "logger": "ollama_openai_proxy",
        "message": "PROXY_PORT has a\nport",
        "host": socket.gethostname(),
        "version": "1.2.3",
    }
    assert text == "ollama-openai-proxy: PROXY_PORT has a\\nport \\x1b[31m"

"""docs/operations.md says what there is: each figure, each outcome, each field of a log line."""

from __future__ import annotations

import dataclasses
import logging
import re
from typing import Any

import pytest

from architecture.files import ROOT
from ollama_openai_proxy.observe.logs import log_exchange
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.metrics_labels import OUTCOMES
from ollama_openai_proxy.observe.record import Record

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def first_column(heading: str) -> set[str]:
    """Return the names in the first column of the first table below a heading."""
    section = PAGE.split(f"{heading}\n", 1)[1]
    rows = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert rows
    return {name for row in rows[0].splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_figures() -> None:
    """All that `/metrics` shows is in the table, and nothing else."""
    page, _ = Metrics(version="0").render("")
    shown = set(re.findall(r"^# HELP ollama_proxy_(\w+)", page.decode(), re.MULTILINE))
    assert first_column("## Metrics") == shown


def test_outcomes() -> None:
    """The table of outcomes is the closed list."""
    assert first_column("### Outcomes") == OUTCOMES


def test_fields(caplog: pytest.LogCaptureFixture) -> None:
    """What an exchange's line can hold is in the table, and nothing else."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.exchange")
    known = {*vars(logging.makeLogRecord({})), "message"}
    everything: dict[str, Any] = {
        field.name: 1 if field.type in ("int", "int | None") else "x" for field in dataclasses.fields(Record)
    }
    fields: set[str] = set()
    for route in ("/api/chat", ""):
        record = Record(**{**everything, "route": route, "client_gone": True, "streamed": True})
        log_exchange(record)
        fields |= {name for name in vars(caplog.records[-1]) if name not in known}
    documented = first_column("## Logs")
    assert documented | {"path"} == fields | {"path"}
    assert "path" in fields

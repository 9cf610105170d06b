"""How exchanges ended, as the log tells it."""

from __future__ import annotations

import logging

import pytest

from support.waiting import eventually

_EXCHANGES = "ollama_openai_proxy.exchange"


class Outcomes:
    """The words of the exchanges with a backend since the fixture began."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        caplog.set_level(logging.INFO, _EXCHANGES)

    @property
    def records(self) -> list[logging.LogRecord]:
        found = (record for record in self._caplog.records if record.name == _EXCHANGES)
        return [record for record in found if record.__dict__.get("route") in ("/api/chat", "/api/embed")]

    async def expect(self, *outcomes: str) -> None:
        """Assert that so the exchanges ended, in turn. A line may come a moment after the answer."""
        await eventually(lambda: len(self.all) >= len(outcomes))
        assert self.all == list(outcomes)

    @property
    def all(self) -> list[str]:
        return [record.__dict__["outcome"] for record in self.records]

"""What holds for the run of all tests."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ollama_openai_proxy.observe.log_json import JsonLines
from support.proxy import KEY, PROMPT

# How long an example takes says something of the machine, and of what else runs on it.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# What tests call the files that a proxy's output goes to.
LOGS = ("*.log", "out", "err")


class Written(logging.Handler):
    """What was logged in this process, as it would be written, if it should not have been."""

    def __init__(self) -> None:
        super().__init__()
        self.private: list[str] = []
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        if is_private(line := self.format(record)):
            self.private.append(line)


def is_private(text: str) -> bool:
    return KEY in text or PROMPT in text


@pytest.fixture(scope="session", autouse=True)
def hang_up_is_not_ignored() -> None:
    """What is run below `nohup` would hand its deafness on to each process that a test starts."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def nothing_private_is_logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """M3, M4: in the whole run no line of a log holds the key or the prompt that the tests use."""
    written = Written()
    logging.getLogger("ollama_openai_proxy").addHandler(written)
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addHandler(written)
    yield
    files = [path for pattern in LOGS for path in Path(tmp_path_factory.getbasetemp()).rglob(pattern) if path.is_file()]
    private = [str(path) for path in files if is_private(path.read_text(encoding="utf-8", errors="replace"))]
    assert written.private + private == []

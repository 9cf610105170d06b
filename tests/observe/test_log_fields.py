"""What is taken from a line that some logger was given."""

import asyncio
import logging
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamTimeout
from ollama_openai_proxy.observe.log_fields import Line, facts_of, message_of
from ollama_openai_proxy.observe.record import request_id

CANARY = "sk-canary-1234"


def line(message: Any, *args: Any, logger: str = "any", **extra: Any) -> logging.LogRecord:
    return logging.getLogger().makeRecord(logger, logging.ERROR, "file.py", 7, message, args, None, extra=extra)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (line("plain 100 %"), "plain 100 %"),
        (line("%s of %d", "one", 2), "one of 2"),
        (line("%(name)s", {"name": "mapped"}), "mapped"),
        (line("no list: %s", ValueError(CANARY)), "no list: ValueError (text left out)"),
        (line("no list: %s after %d", UpstreamTimeout("no answer"), 3), "no list: no answer after 3"),
        (line(OSError(98, CANARY)), "OSError: [Errno 98] Address already in use"),
        (line("Exception in ASGI application\n"), "Exception in ASGI application"),
        (line(f"a\nTraceback (most recent call last):\nE: {CANARY}"), "a\nTraceback (most recent call last):"),
        (line(None), "None"),
    ],
)
def test_message(written: logging.LogRecord, told: str) -> None:
    """A message is as its logger gave it, but for what exceptions say: that may be anybody's."""
    assert message_of(written) == told


async def test_k13_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    """K13: what asyncio says of a task or callback that failed shows neither its result nor its arguments."""

    async def fail() -> None:
        raise ValueError(CANARY)

    def fail_with(_argument: str) -> None:
        raise ValueError(CANARY)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    loop = asyncio.get_running_loop()
    loop.call_soon(fail_with, CANARY)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    loop.call_exception_handler({"message": "odd", "future": CANARY})
    assert CANARY in caplog.text
    told = [message_of(record) for record in caplog.records]
    assert len(told) == 3
    assert CANARY not in "".join(told)
    assert told[0] == "Task exception was never retrieved"
    assert told[1].startswith("Exception in callback")
    assert told[2] == "odd"


def test_facts() -> None:
    """The facts are those that were given, and nothing of logging's own, nor a copy of the message with colours."""
    assert facts_of(line("x", color_message="\x1b[1mx", route="/api/chat", host="forged", time=0)) == {
        "route": "/api/chat"
    }


def test_request_id() -> None:
    """Within a request each line has its id; one that was given stays."""
    assert facts_of(line("x")) == {}
    token = request_id.set("r1")
    try:
        assert facts_of(line("x")) == {"request_id": "r1"}
        assert facts_of(line("x", request_id="r2")) == {"request_id": "r2"}
    finally:
        request_id.reset(token)


def test_facts_of_an_exchange_can_be_taken_twice() -> None:
    """What one reader takes away of the facts is there for the next, as of any line."""
    exchange = Line("any", {"status": 200, "path": "/"})
    facts_of(exchange).clear()
    assert facts_of(exchange) == {"status": 200, "path": "/"}

"""Log lines: one JSON object each, whoever writes them and whatever they hold."""

import io
import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from ollama_openai_proxy.observe.logs import configure, log_exchange
from ollama_openai_proxy.observe.record import Record, request_id

LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


class Lines:
    """The stream that is written to."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def read(self) -> list[dict[str, Any]]:
        text = self.stream.getvalue()
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def only(self) -> dict[str, Any]:
        (line,) = self.read()
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is written from here on; afterwards logging is as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # `configure` would close them
    kept = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in LOGGERS}
    written = Lines()
    configure("info", written.stream)
    yield written
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, (own_level, propagate) in kept.items():
        logging.getLogger(name).setLevel(own_level)
        logging.getLogger(name).propagate = propagate


def exchange(**facts: Any) -> Record:
    return Record("id-1", **facts)


def test_line(lines: Lines) -> None:
    """A line is one object that tells when, how bad, who and what."""
    logging.getLogger("some.module").warning("no list: %s", "timed out")
    line = lines.only()
    assert line.pop("time").startswith("20")
    assert line == {"level": "WARNING", "logger": "some.module", "message": "no list: timed out"}


def test_request_id(lines: Lines) -> None:
    """Within a request every line names its id, without anybody passing it on; outside none does."""
    token = request_id.set("abc-123")
    logging.getLogger("any").info("inside")
    request_id.reset(token)
    logging.getLogger("any").info("outside")
    inside, outside = lines.read()
    assert inside["request_id"] == "abc-123"
    assert "request_id" not in outside


def test_own_request_id(lines: Lines) -> None:
    """The line of an exchange names the exchange's own id."""
    token = request_id.set("another")
    log_exchange(exchange())
    request_id.reset(token)
    assert lines.only()["request_id"] == "id-1"


def test_exchange(lines: Lines) -> None:
    """The line of an exchange tells who asked for what, how it ended, how much went by and how long it took."""
    record = exchange(method="POST", path="/api/chat", model="demo", status=200, outcome="up_truncated", bytes_in=81)
    record.started = time.perf_counter_ns() - 1_500_000_000
    record.bytes_out, record.first_byte = 412, record.started + 12_345_678
    log_exchange(record)
    line = lines.only()
    assert line.pop("time")
    assert 1500 <= line.pop("duration_ms") < 60_000
    assert line == {
        "level": "INFO",
        "logger": "ollama_openai_proxy.exchange",
        "message": "exchange",
        "request_id": "id-1",
        "method": "POST",
        "path": "/api/chat",
        "model": "demo",
        "status": 200,
        "outcome": "up_truncated",
        "bytes_in": 81,
        "bytes_out": 412,
        "first_byte_ms": 12.346,
    }


def test_exchange_that_broke(lines: Lines) -> None:
    """An exchange that came to no end is told as our own fault; without a byte there is no time of the first."""
    log_exchange(exchange())
    line = lines.only()
    assert line["outcome"] == "internal"
    assert "first_byte_ms" not in line


def test_bytes_sent(lines: Lines) -> None:
    """The bytes of a reply are summed, and the first of them is the one that is timed."""
    record = exchange(outcome="client_abort")
    record.sent(10)
    first = record.first_byte
    record.sent(7)
    assert record.first_byte == first
    assert first is not None
    log_exchange(record)
    line = lines.only()
    assert line["bytes_out"] == 17
    assert line["first_byte_ms"] == round((first - record.started) / 1e6, 3)


@pytest.mark.parametrize(("outcome", "milliseconds"), [("ok", 250), ("client_abort", 10_000)])
def test_duration(lines: Lines, outcome: str, milliseconds: int) -> None:
    """An exchange that went well took until its last byte was sent, any other until it was over."""
    record = exchange(outcome=outcome)
    record.started = time.perf_counter_ns() - 10_000_000_000
    record.first_byte = record.last_byte = record.started + 250_000_000
    log_exchange(record)
    assert lines.only()["duration_ms"] == pytest.approx(milliseconds, abs=0 if outcome == "ok" else 5000)


@pytest.mark.parametrize("field", ["path", "model"])
def test_long_names(lines: Lines, field: str) -> None:
    """What a client chose is cut to 128 characters: a log is no store for its bytes (M5)."""
    log_exchange(exchange(**{field: "x" * 1_000_000}))
    assert lines.only()[field] == "x" * 128


@pytest.mark.parametrize(
    "hostile",
    [
        'a\n{"level": "INFO", "forged": true}',
        "a\r\nb",
        "\x1b[31mred",
        'quote " and \\',
        "\u2028\u2029\x85",
        "\x00",
        "😀 é",
        "\ud800",
    ],
    ids=["newline", "CRLF", "ANSI", "quotes", "separators", "NUL", "emoji", "half a pair"],
)
def test_injection(lines: Lines, hostile: str) -> None:
    """No text forges a line or needs more than ASCII: it comes back as it was, out of one line (M5, L16)."""
    log_exchange(exchange(model=hostile))
    logging.getLogger("any").info("said %s", hostile)
    assert lines.stream.getvalue().isascii()
    assert not {*"\x1b\x00\r"} & {*lines.stream.getvalue()}
    first, second = lines.read()
    assert first["model"] == hostile
    assert second["message"] == f"said {hostile}"


def test_traceback(lines: Lines) -> None:
    """A traceback stays within its line."""
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("any").exception("failed")
    line = lines.only()
    assert line["level"] == "ERROR"
    assert "ZeroDivisionError" in line["exc_info"]


def test_warning(lines: Lines) -> None:
    """Python's warnings are lines like all others."""
    logging.captureWarnings(capture=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        configure("info", lines.stream)  # within this block, which has saved what shows them
        warnings.warn("odd", stacklevel=1)
        logging.captureWarnings(capture=False)
    line = lines.only()
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "odd" in line["message"]


@pytest.mark.parametrize(
    ("logger", "level", "written"),
    [
        ("uvicorn.error", logging.INFO, False),
        ("uvicorn.error", logging.WARNING, True),
        ("uvicorn.access", logging.INFO, False),
        ("uvicorn.access", logging.ERROR, False),
        ("asyncio", logging.INFO, False),
        ("asyncio", logging.ERROR, True),
        ("aiohttp.client", logging.INFO, True),
        ("any", logging.DEBUG, False),
    ],
)
def test_other_loggers(lines: Lines, logger: str, level: int, written: bool) -> None:
    """Other libraries' warnings are written, but not what our own lines tell better."""
    logging.getLogger(logger).log(level, "theirs")
    assert [line["message"] for line in lines.read()] == (["theirs"] if written else [])


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_log_level(lines: Lines, level: str, written: int) -> None:
    """The level is the least severe that is written; the line of an exchange is an INFO."""
    configure(level, lines.stream)
    logging.getLogger("any").debug("detail")
    log_exchange(exchange())
    logging.getLogger("any").warning("trouble")
    assert len(lines.read()) == written


def test_stdout(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go to standard output, where containers look for them."""
    configure("info", sys.stdout)
    log_exchange(exchange())
    captured = capsys.readouterr()
    assert json.loads(captured.out)["message"] == "exchange"
    assert (captured.err, lines.read()) == ("", [])

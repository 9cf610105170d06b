"""Log lines: one JSON object each, whoever writes them and whatever they hold."""

import io
import json
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ollama_openai_proxy.observe.logs import configure, log_exchange
from ollama_openai_proxy.observe.record import Record, request_id
from support.lines import Lines, as_before, logged


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is written from here on; afterwards logging is as it was before."""
    with logged() as written:
        yield written


def exchange(**facts: Any) -> Record:
    return Record("id-1", **facts)


def test_line(lines: Lines) -> None:
    """A line is one object that tells when, how bad, who, what and where."""
    logging.getLogger("some.module").warning("no list: %s", "timed out")
    line = lines.only()
    assert line.pop("time").startswith("20")
    assert line == {
        "level": "WARNING",
        "logger": "some.module",
        "message": "no list: timed out",
        "host": socket.gethostname(),
    }


def test_source() -> None:
    """Each line names the version and the environment that it comes from."""
    with logged(version="1.2.3", environment="test") as lines:
        log_exchange(exchange())
        logging.getLogger("any").warning("odd")
    for line in lines.read():
        assert (line["version"], line["environment"], line["host"]) == ("1.2.3", "test", socket.gethostname())


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


ALWAYS = {
    "level": "INFO",
    "logger": "ollama_openai_proxy.exchange",
    "message": "exchange",
    "host": socket.gethostname(),
    "request_id": "id-1",
    "status": 0,
    "outcome": "internal",
    "attempts": 0,
    "in_bytes": 0,
    "out_bytes": 0,
    "client_gone": False,
}


def test_exchange(lines: Lines) -> None:
    """Section 2.0: the line tells who asked whom for what, how it ended, how much went by and how long it took."""
    record = exchange(method="POST", path="/api/chat", front="ollama", route="/api/chat", model="demo", status=200)
    record.outcome, record.error, record.upstream = "up_truncated", "UpstreamBroken", "main"
    record.attempts, record.client_gone, record.added, record.trace_id = 2, True, 1_234_567, "ab" * 16
    record.prompt_tokens, record.completion_tokens = 5, 7
    record.bytes_in, record.bytes_out = 81, 412
    record.started = time.perf_counter_ns() - 1_500_000_000
    record.first_byte = record.started + 12_345_678
    record.ended = record.started + 1_500_000_000
    log_exchange(record)
    line = lines.only()
    assert line.pop("time")
    assert line == ALWAYS | {
        "front": "ollama",
        "route": "/api/chat",
        "method": "POST",
        "model": "demo",
        "upstream": "main",
        "status": 200,
        "outcome": "up_truncated",
        "attempts": 2,
        "ttft_ms": 12.346,
        "dur_ms": 1500.0,
        "in_bytes": 81,
        "out_bytes": 412,
        "tokens": {"prompt": 5, "completion": 7},
        "client_gone": True,
        "err_class": "UpstreamBroken",
        "added_ms": 1.235,
        "trace_id": "ab" * 16,
    }


def test_exchange_that_broke(lines: Lines) -> None:
    """An exchange that came to no end is told as our own fault; what is not known is left out."""
    log_exchange(exchange())
    line = lines.only()
    assert line.pop("time")
    assert line.pop("dur_ms") >= 0
    assert line == ALWAYS


@pytest.mark.parametrize(("route", "path"), [("", "/no/such"), ("/api/chat", None)])
def test_path(lines: Lines, route: str, path: str | None) -> None:
    """The path is told when no route took it, for only then it is news."""
    log_exchange(exchange(path="/no/such", route=route))
    assert lines.only().get("path") == path


@pytest.mark.parametrize(
    ("prompt", "completion", "told"),
    [
        (None, None, None),
        (3, None, {"prompt": 3}),
        (None, 0, {"completion": 0}),
        (3, 9, {"prompt": 3, "completion": 9}),
    ],
)
def test_tokens(lines: Lines, prompt: int | None, completion: int | None, told: dict[str, int] | None) -> None:
    """Counts of tokens are told as far as the backend gave them; none given is not zero."""
    log_exchange(exchange(prompt_tokens=prompt, completion_tokens=completion))
    assert lines.only().get("tokens") == told


@pytest.mark.parametrize(("outcome", "milliseconds"), [("ok", 250), ("client_abort", 10_000)])
def test_duration(lines: Lines, outcome: str, milliseconds: int) -> None:
    """An exchange that went well took until its last byte was sent, any other until it was over."""
    record = exchange(outcome=outcome)
    record.started = time.perf_counter_ns() - 10_000_000_000
    record.first_byte = record.last_byte = record.started + 250_000_000
    log_exchange(record)
    assert lines.only()["dur_ms"] == pytest.approx(milliseconds, abs=0 if outcome == "ok" else 5000)


@pytest.mark.parametrize("field", ["path", "model", "method"])
def test_m5_long_names(lines: Lines, field: str) -> None:
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
def test_m5_l16_injection(lines: Lines, hostile: str) -> None:
    """No text forges a line or needs more than ASCII: it comes back as it was, out of one line (M5, L16)."""
    log_exchange(exchange(model=hostile))
    logging.getLogger("any").info("said %s", hostile)
    assert lines.text().isascii()
    assert not {*"\x1b\x00\r"} & {*lines.text()}
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


@pytest.mark.parametrize(
    ("logger", "level", "written"),
    [
        ("uvicorn.error", logging.INFO, False),
        ("uvicorn.error", logging.WARNING, True),
        ("uvicorn.access", logging.INFO, False),
        ("uvicorn.access", logging.ERROR, False),
        ("asyncio", logging.INFO, False),
        ("asyncio", logging.ERROR, True),
        ("another.client", logging.INFO, True),
        ("any", logging.DEBUG, False),
    ],
)
def test_other_loggers(lines: Lines, logger: str, level: int, written: bool) -> None:
    """Other libraries' warnings are written, but not what our own lines tell better."""
    logging.getLogger(logger).log(level, "theirs")
    assert [line["message"] for line in lines.read()] == (["theirs"] if written else [])


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_log_level(level: str, written: int) -> None:
    """The level is the least severe that is written; the line of an exchange is an INFO."""
    with logged(level) as lines:
        logging.getLogger("any").debug("detail")
        log_exchange(exchange())
        logging.getLogger("any").warning("trouble")
    assert len(lines.read()) == written


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go to standard output, where containers look for them."""
    with as_before():
        logs = configure("info")
        log_exchange(exchange())
        logs.close(10)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["message"] == "exchange"
    assert captured.err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "colour", "coloured"),
    [(Terminal, None, True), (Terminal, False, False), (io.StringIO, None, False), (io.StringIO, True, True)],
)
def test_text(stream: type[io.StringIO], colour: bool | None, coloured: bool) -> None:
    """LOG_FORMAT=text is for people; colours are for terminals, unless the caller knows better."""
    output = stream()
    with logged(fmt="text", stream=output, colour=colour):
        log_exchange(exchange(method="POST", route="/api/chat", model="llama3", status=200, outcome="ok"))
    assert "POST /api/chat llama3 200 ok" in output.getvalue()
    assert ("\x1b[" in output.getvalue()) == coloured


class Broken:
    def __str__(self) -> str:
        raise LookupError("sk-canary")


@pytest.mark.parametrize("fmt", ["json", "text"])
@pytest.mark.parametrize("argument", [Broken(), "no number"], ids=["raises", "wrong"])
def test_line_that_fails(fmt: str, argument: object, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that can't be made is told as such, and raises and prints nothing."""
    with logged(fmt=fmt) as lines:
        logging.getLogger("any").warning("%d", argument, extra={"fact": argument})
        logging.getLogger("any").warning("next")
    first, second = lines.text().splitlines()
    assert "a line that can't be shown, from test_logs.py:" in first
    assert "next" in second
    assert capsys.readouterr() == ("", "")


def test_no_number(lines: Lines) -> None:
    """JSON has no NaN and no infinity: a line with one is told as one that can't be shown, and no reader stumbles."""
    logging.getLogger("any").warning("odd", extra={"fact": float("inf")})
    assert "Infinity" not in lines.text()
    assert lines.only()["message"].startswith("a line that can't be shown")


def test_object_that_changes(lines: Lines) -> None:
    """A line tells what was so when it was logged."""
    state = ["then"]
    logging.getLogger("any").info("state %s", state)
    state[0] = "now"
    assert lines.only()["message"] == "state ['then']"

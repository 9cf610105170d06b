"""A line for people: short, and safe to show on a terminal."""

import io
import logging
import re
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.observe.log_text import TextLines, escape, is_wanted

HOSTILE = st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))
EXCHANGE: dict[str, Any] = {
    "method": "POST",
    "route": "/api/chat",
    "model": "llama3",
    "status": 200,
    "outcome": "ok",
    "dur_ms": 12.345,
    "client_gone": False,
}


def record(
    message: str, *args: Any, level: int = logging.INFO, logger: str = "ollama_openai_proxy.x", **extra: Any
) -> logging.LogRecord:
    return logging.getLogger().makeRecord(logger, level, "f.py", 7, message, args, None, extra=extra)


def made(line: logging.LogRecord, *, colour: bool = False) -> str:
    """The line without its time."""
    line.created = 1_700_000_000.5
    text = TextLines(colour=colour).format(line)
    clock = time.strftime("%H:%M:%S", time.localtime(1_700_000_000))
    assert text.removeprefix("\x1b[2m").startswith(clock)
    return text.removeprefix("\x1b[2m").removeprefix(clock).removeprefix("\x1b[0m").removeprefix(" ")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (record("listening on %s", "127.0.0.1:1"), "INFO  listening on 127.0.0.1:1"),
        (record("odd", level=logging.WARNING), "WARN  odd"),
        (record("bad", level=logging.ERROR, logger="uvicorn.error"), "ERROR bad logger=uvicorn.error"),
        (record("end", level=logging.CRITICAL), "FATAL end"),
        (
            record("fact", a=1, b="two words", c='q"', d="", e="x=y"),
            'INFO  fact a=1 b="two words" c="q\\"" d="" e="x=y"',
        ),
        (record("lifecycle", state="not_ready", reason="draining"), "INFO  not ready reason=draining"),
        (record("exchange", **EXCHANGE), "INFO  POST /api/chat llama3 200 ok 12.3 ms"),
        (
            record("exchange", **EXCHANGE | {"client_gone": True, "tokens": {"prompt": 3, "completion": 9}}),
            "INFO  POST /api/chat llama3 200 ok 12.3 ms client_gone=True tokens=prompt:3,completion:9",
        ),
        (
            record("exchange", method="GET", path="/no where", status=404, outcome="not_found", dur_ms=0.04),
            'INFO  GET "/no where" 404 not_found 0.0 ms',
        ),
    ],
)
def test_layout(line: logging.LogRecord, told: str) -> None:
    """Time, level and message, then the facts by name; an exchange and a change of state read like a sentence."""
    assert made(line) == told


def test_colours() -> None:
    """With colours the level and the names stand out; the text is the same without them."""
    painted = made(record("bad", level=logging.ERROR, a=1), colour=True)
    assert painted == "\x1b[31mERROR\x1b[0m bad \x1b[2ma=\x1b[0m1"


def test_m5_forged_line() -> None:
    """M5: a model's name can't forge a line, send a terminal a command or look like the words beside it."""
    name = "a\n12:34:56 INFO  forged \x1b[31m\x9b2J\u202e\u2028 200 ok"
    (line,) = made(record("exchange", **EXCHANGE | {"model": name})).split("\n")
    assert '"a\\n12:34:56 INFO  forged \\x1b[31m\\x9b2J\\u202e\\u2028 200 ok" 200 ok' in line
    assert line.isprintable()


@given(message=HOSTILE, value=HOSTILE, name=HOSTILE.filter(lambda name: not name.startswith("_")))
def test_l16_m5_any_text(message: str, value: str, name: str) -> None:
    """L16, M5: whatever it is given, a line is one line, and all of it can be seen."""
    line = record("%s", message)
    line.__dict__[f"x{name}"] = {"inner": value}
    line.__dict__["value"] = value
    assert made(line).isprintable()


def test_traceback() -> None:
    """A traceback follows on lines of its own, which are indented: none of them looks like a line of the log."""
    line = record("failed", level=logging.ERROR)
    try:
        int("sk-canary")
    except ValueError:
        line.exc_info = sys.exc_info()
    first, *rest = made(line).split("\n")
    assert first == "ERROR failed"
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError (text left out)"
    assert all(line.startswith("    ") for line in rest)


def test_length() -> None:
    """A long message and a long value are cut."""
    assert len(made(record("x" * 1_000_000, fact="y" * 1_000_000))) < 5000


def test_escape() -> None:
    """What can be seen stays, in any script; what can't is shown as Python writes it."""
    assert escape("naïve 日本 😀") == "naïve 日本 😀"
    assert escape("a\tb\r\n\x00\x7f\x85\ud800") == "a\\tb\\r\\n\\x00\\x7f\\x85\\ud800"
    assert re.fullmatch(r"[\x20-\x7e]*", escape("\u200b\u2066\ufeff\U000e0001"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("given_format", "stream", "wanted"),
    [
        ("text", io.StringIO(), True),
        (' "TEXT" ', io.StringIO(), True),  # as the settings read it
        ("json", Terminal(), False),
        ("nonsense", Terminal(), False),
        (None, Terminal(), True),
        (None, io.StringIO(), False),
        (None, None, False),
    ],
)
def test_before_the_settings(given_format: str | None, stream: io.StringIO | None, wanted: bool) -> None:
    """A start that fails tells people what LOG_FORMAT or, without it, a terminal asks for; all else is JSON."""
    environ = {} if given_format is None else {"LOG_FORMAT": given_format}
    assert is_wanted(environ, stream) is wanted

"""A line for machines: one JSON object in one line of ASCII, of a limited length."""

import json
import logging
import re
import socket
import string
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_openai_proxy.observe.log_fields import Line
from ollama_openai_proxy.observe.log_json import MAX_LINE, JsonLines

TEXTS = (
    st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])) | st.text(string.printable)
)


def record(message: Any = "hello", *args: Any, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    return logging.getLogger().makeRecord("any", logging.WARNING, "f.py", 7, message, args, exc_info, extra=extra)


def made(line: logging.LogRecord, **source: str) -> dict[str, Any]:
    """The object of a line; it is one by the strict rules of JSON, too."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = JsonLines(**source).format(line)
    assert text.isascii()
    assert text.isprintable()
    fields: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return fields


def test_fields() -> None:
    """Each line tells when, how bad, who and what, and from which host, version and environment it comes."""
    fields = made(record("hello %s", "you", route="/api/chat"), version="1.2.3", environment="test")
    assert fields.pop("time")
    assert fields == {
        "level": "WARNING",
        "logger": "any",
        "message": "hello you",
        "route": "/api/chat",
        "host": socket.gethostname(),
        "version": "1.2.3",
        "environment": "test",
    }


def test_unknown_source() -> None:
    """What is not known is left out."""
    assert {"version", "environment"} & made(record()).keys() == set()


@pytest.mark.parametrize("created", [0.0, 1_700_000_000.0, 1_700_000_000.9999, 1_782_259_200.123456])
def test_time(created: float) -> None:
    """P13: the time is RFC 3339, in UTC whatever the time zone is, and always as long."""
    line = record()
    line.created = created
    told = made(line)["time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told)
    assert abs(datetime.fromisoformat(told) - datetime.fromtimestamp(created, UTC)).total_seconds() < 0.0011


FACTS = st.dictionaries(
    st.sampled_from(["request_id", "route", "path", "method", "model", "status", "dur_ms", "tokens", "client_gone"]),
    TEXTS
    | st.sampled_from(["bench", "/api/chat", 'a"b', "a\\b", "a/b", "\x7f", "x" * MAX_LINE])
    | st.integers()
    | st.integers(0, 10**17).map(lambda nanoseconds: round(nanoseconds / 1e6, 3))
    | st.booleans()
    | st.dictionaries(st.sampled_from(["prompt", "completion"]), st.integers(0, 2**70)),
)


@given(facts=FACTS, created=st.floats(0, 4e9))
@example(facts={"model": "a\x7fb"}, created=0.0)
@example(facts={"model": "a\x1fb"}, created=0.0)
@example(facts={"model": "a/b\\c"}, created=0.0)
def test_short_way(facts: dict[str, Any], created: float) -> None:
    """The line of an exchange is the same, to the byte, as that of any logger with the same facts."""
    lines, line = JsonLines(version="1.2.3", environment="test"), Line("any", facts)
    other = logging.getLogger("any").makeRecord("any", logging.INFO, "", 0, "exchange", (), None, extra=facts)
    line.created = other.created = created
    assert lines.format(line) == lines.format(other)


@given(created=st.floats(0, 4e9) | st.integers(0, 4 * 10**9).map(lambda second: second + 0.9999997))
def test_moments(created: float) -> None:
    """Milliseconds are those of the time to the microsecond, of which the rest is left out."""
    line = record()
    line.created = created
    exact = datetime.fromtimestamp(created, UTC)
    assert made(line)["time"] == exact.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(message=TEXTS, model=TEXTS)
def test_l16_any_text(message: str, model: str) -> None:
    """G13, L16: any text, control characters and halves of pairs included, comes back as it was, out of one line."""
    fields = made(record("%s", message, model=model))
    assert fields["model"] == paired(model)
    assert fields["message"] == paired(message.strip("\n"))


def paired(text: str) -> str:
    """The text with two halves that stand together as the one character that they are in JSON."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@pytest.mark.parametrize(
    "value",
    [None, True, 1.5, 10**30, [1, "a"], {"a": {"b": 1}}, b"\xff", Path("/x"), Decimal(1), int, object(), {1, 2}],
    ids=repr,
)
def test_any_value(value: Any) -> None:
    """A fact that is no JSON value does not cost the line."""
    assert "fact" in made(record(fact=value))


def test_exception_as_fact() -> None:
    """G13: an exception that is given as a fact does not show its text."""
    fields = made(record(fact=ValueError("sk-canary"), facts=[KeyError("sk-canary")]))
    assert fields["fact"] == "ValueError (text left out)"
    assert fields["facts"] == ["KeyError (text left out)"]


def test_traceback() -> None:
    """G13: a traceback stays within its line, in a field of its own, and shows no foreign text."""
    try:
        int("sk-canary")
    except ValueError:
        fields = made(record("failed", exc_info=sys.exc_info()))
    assert fields["message"] == "failed"
    assert fields["exc_info"].startswith("Traceback (most recent call last):\n")
    assert fields["exc_info"].endswith("\nValueError (text left out)")
    assert "exc_info" not in made(record(exc_info=(None, None, None)))


@pytest.mark.parametrize("char", ["x", "\n", "😀"])
def test_length(char: str) -> None:
    """A line has at most 16 KiB, which Docker's drivers do not split: the middle of what is too long is missing."""
    line = record("begins " + char * 1_000_000 + " ends", fact=char * 1_000_000)
    assert len(JsonLines().format(line)) <= MAX_LINE
    fields = made(line)
    assert fields["message"].startswith("begins ")
    assert fields["message"].endswith(" ends")


def test_object_as_message() -> None:
    """An object that is logged instead of a message becomes fields."""
    fields = made(record({"a": 1}))
    assert (fields["a"], fields["level"], fields["message"]) == (1, "WARNING", "")

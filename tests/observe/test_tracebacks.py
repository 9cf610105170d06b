"""A traceback tells where and what class, and nothing of what was asked, answered or configured."""

import errno
import json
import socket
from contextlib import suppress

import pytest

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, UpstreamTimeout
from ollama_openai_proxy.observe.tracebacks import describe, summary, without_texts

CANARY = "sk-canary-1234"


def raised(error: BaseException) -> BaseException:
    """The error as it is where it was caught."""
    with suppress(type(error)):
        raise error
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        TypeError(f"can't use {CANARY}"),
        RuntimeError(CANARY, CANARY),
        AssertionError(CANARY),
        UnicodeDecodeError("utf-8", CANARY.encode(), 0, 3, CANARY),
        json.JSONDecodeError("bad", CANARY, 3),
        OSError(CANARY),
        OSError(errno.ENOENT, CANARY, CANARY),
        socket.gaierror(socket.EAI_NONAME, CANARY),
        type("Theirs", (AttributeError,), {})(CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY), ExceptionGroup(CANARY, [KeyError(CANARY)])]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_text(error: BaseException) -> None:
    """G13: the text of a foreign exception, its notes and what led to it are left out; its class is told."""
    error.add_note(CANARY)
    error.__cause__ = raised(LookupError(CANARY))
    told = describe(raised(error))
    assert CANARY not in told + summary(error)
    assert type(error).__name__ in told
    assert "LookupError" in told
    assert "test_tracebacks.py" in told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UpstreamTimeout("no answer in time"), "UpstreamTimeout: no answer in time"),
        (InvalidRequest("missing request body"), "InvalidRequest: missing request body"),
        (ModelNotFound(CANARY), "ModelNotFound: model not found"),
        (OSError(errno.EADDRINUSE, "x"), "OSError: [Errno 98] Address already in use"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "ConnectionResetError: [Errno 104] Connection reset by peer"),
        (NameError("name 'x' is not defined"), "NameError: name 'x' is not defined"),
        (AttributeError("'int' object has no attribute 'x'"), "AttributeError: 'int' object has no attribute 'x'"),
        (ValueError("x"), "ValueError (text left out)"),
    ],
)
def test_safe_text(error: BaseException, told: str) -> None:
    """Our own messages are fit for a client, an error number's words are the system's, a name is code."""
    assert summary(error) == told


def test_places() -> None:
    """Each frame has its file, line, function and code; what led to what is told in Python's order and words."""

    def inner() -> None:
        raise ValueError(CANARY)

    def outer() -> None:
        try:
            inner()
        except ValueError as error:
            raise UpstreamTimeout("too late") from error

    try:
        outer()
    except UpstreamTimeout as error:
        told = describe(error)
    first, second = told.split("direct cause of the following exception")
    assert "in inner\n    raise ValueError(CANARY)" in first
    assert "ValueError (text left out)" in first
    assert "in outer\n    raise UpstreamTimeout(" in second
    assert told.endswith("UpstreamTimeout: too late")


def test_context() -> None:
    """What was raised while something else was handled is told so, unless `from None` says that it does not matter."""
    error, other = raised(ValueError()), raised(KeyError())
    error.__context__ = other
    assert "During handling of the above exception" in describe(error)
    error.__suppress_context__ = True
    assert "KeyError" not in describe(error)


def test_limits() -> None:
    """However deep the recursion, long the chain and large the group, a traceback stays short."""

    def deeper(left: int) -> None:
        if left:
            between(left - 1)
        raise ValueError

    def between(left: int) -> None:  # frames that differ, for equal ones are told once
        deeper(left)

    try:
        deeper(200)
    except ValueError as error:
        deep: BaseException = error
    assert len(describe(deep)) < 5000
    chain = deep
    for _ in range(200):
        link = ValueError()
        link.__cause__ = chain
        chain = link
    chain.__cause__.__cause__ = chain  # type: ignore[union-attr]  # a circle
    assert len(describe(chain)) < 5000
    group: ExceptionGroup[Exception] = ExceptionGroup("", [ValueError()] * 100)
    for _ in range(20):
        group = ExceptionGroup("", [group] * 100)
    assert len(describe(group)) < 5000


def test_text_of_a_traceback() -> None:
    """Starlette hands uvicorn a traceback as a text: only the places of it are kept."""
    place = '  File "/a b.py", line 3, in f'
    text = f"before\nTraceback (most recent call last):\n{place}\n    f(x)\n  x: {CANARY}\nE: {CANARY}\n"
    told = without_texts(text)
    assert CANARY not in told
    assert told.startswith("before\nTraceback")
    assert place in told
    assert without_texts("nothing\nof it") == "nothing\nof it"

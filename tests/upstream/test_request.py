"""The heads of requests: exactly these bytes, and never more of them than was meant."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.upstream.request import Requests

HEADERS = {"Content-Type": "application/json", "User-Agent": "agent/1"}


def requests(base_url: str = "http://backend.example:8000/v1") -> Requests:
    return Requests(base_url, b"backend.example:8000", HEADERS)


def test_post() -> None:
    """A call with a body is a POST with its length, and ends in a blank line (RFC 9112, 2.1)."""
    call = Call("/chat/completions", b'{"model":"m"}', streamed=True, headers=(("X-Request-Id", "1"),))
    assert requests().head(call) == (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"Host: backend.example:8000\r\n"
        b"Content-Type: application/json\r\n"
        b"User-Agent: agent/1\r\n"
        b"Accept: text/event-stream\r\n"
        b"Content-Length: 13\r\n"
        b"X-Request-Id: 1\r\n"
        b"\r\n"
    )


def test_get() -> None:
    """A call without a body is a GET, has no length, and asks for JSON."""
    assert requests().head(Call("/models")) == (
        b"GET /v1/models HTTP/1.1\r\n"
        b"Host: backend.example:8000\r\n"
        b"Content-Type: application/json\r\n"
        b"User-Agent: agent/1\r\n"
        b"Accept: application/json\r\n"
        b"\r\n"
    )


PATHS: dict[tuple[str, str, bool], bytes] = {
    ("http://a/v1", "/models", False): b"/v1/models",
    ("http://a/v1", "/api/show", True): b"/api/show",
    ("http://a/llm/v1", "/props", True): b"/llm/props",
    ("http://a/llm", "/props", True): b"/llm/props",
    ("http://a", "/models", False): b"/models",
    ("http://a/my models", "/models", False): b"/my%20models/models",
    ("http://a/v1", "/models/a b", False): b"/v1/models/a%20b",
    ("http://a/v1", "/models/\N{LATIN SMALL LETTER E WITH ACUTE}", False): b"/v1/models/%C3%A9",
    ("http://a/v1", "/models/a\r\nX: y", False): b"/v1/models/a%0D%0AX:%20y",
    ("http://a/v1", "/models/a\x00#b", False): b"/v1/models/a%00%23b",
    ("http://a/v1", "/models/a%2Fb", False): b"/v1/models/a%2Fb",
    ("http://a/v1", "/models?limit=1&a=b", False): b"/v1/models?limit=1&a=b",
    ("http://a/openai/v1", "/deployments/x:y@z", False): b"/openai/v1/deployments/x:y@z",
}


@pytest.mark.parametrize(("asked", "path"), PATHS.items())
def test_paths(asked: tuple[str, str, bool], path: bytes) -> None:
    """Base URL and path make one target; what no target may hold is quoted, what is quoted stays (RFC 3986, 2.4).
    A rooted path is not below /v1."""
    base_url, below, rooted = asked
    line = Requests(base_url, b"a", {}).head(Call(below, rooted=rooted)).split(b"\r\n")[0]
    assert line == b"GET " + path + b" HTTP/1.1"


@given(st.text())
def test_any_path_is_one_target(path: str) -> None:
    """Whatever a path holds, the head has one line for it, with three words, from which it can be read back."""
    first, *others = requests().head(Call("/" + path.replace("%", ""))).split(b"\r\n")
    method, target, version = first.split(b" ")
    assert (method, version, len(others)) == (b"GET", b"HTTP/1.1", 6)
    assert unquote(target.decode("ascii")) == "/v1/" + path.replace("%", "")


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nX: y", "a\x00b", "\n", "a\x7fb", "\N{NEXT LINE}", "日"])
def test_a22_values_that_are_more_than_one(value: str) -> None:
    """A22: a value that would end its line, or that no header can hold, is refused; so is such a name."""
    with pytest.raises(ValueError):  # noqa: PT011  # the kind is what callers may catch
        requests().head(Call("/models", headers=(("X-Request-Id", value),)))
    with pytest.raises(ValueError):  # noqa: PT011  # the same
        requests().head(Call("/models", headers=((value, "1"),)))
    with pytest.raises(ValueError):  # noqa: PT011  # the same
        Requests("http://a/v1", b"a", {"Authorization": value})


@given(st.text())
def test_a22_any_value(value: str) -> None:
    """A22: any value is one line, as it is, or refused."""
    try:
        head = requests().head(Call("/models", headers=(("X-Trace", value),)))
    except ValueError:
        assert not (value.isascii() and value.isprintable())
    else:
        assert head.split(b"\r\n")[5:] == [b"X-Trace: " + value.encode("latin-1"), b"", b""]
        assert not {*head.split(b"\r\n")[5]} & {*range(0x20), 0x7F}


def test_for_a_proxy_that_reads_it() -> None:
    """A proxy that reads requests is told where they go, and what it wants to know (RFC 9112, 3.2.2)."""
    told = ((b"Proxy-Authorization", b"Basic YTpi"),)
    through = Requests("http://a/v1", b"a", {}, prefix=b"http://a", more=told)
    assert through.head(Call("/models")) == (
        b"GET http://a/v1/models HTTP/1.1\r\n"
        b"Host: a\r\nProxy-Authorization: Basic YTpi\r\nAccept: application/json\r\n\r\n"
    )


def test_many_paths() -> None:
    """Each head is that of its own call, however many paths there were before, and however alike."""
    made = requests()
    calls = [
        Call(f"/models/{number}", body, streamed=streamed, rooted=rooted)
        for number in range(100)
        for body in (b"", b"{}", b"{ }")
        for streamed in (True, False)
        for rooted in (True, False)
    ]
    assert [made.head(call) for call in calls * 2] == [requests().head(call) for call in calls] * 2

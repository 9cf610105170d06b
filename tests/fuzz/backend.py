"""Parsers of what a backend sends. Each target is given bytes, and fails where the backend could do harm."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from itertools import pairwise

from fuzz.held import is_lines, is_told, only_our_errors
from ollama_openai_proxy.errors import ProxyError, UpstreamBroken, UpstreamError
from ollama_openai_proxy.translate import sse
from ollama_openai_proxy.translate.events import Event, TextDelta, ThinkingDelta
from ollama_openai_proxy.translate.ollama import catalog as answers
from ollama_openai_proxy.translate.ollama.embeddings import unit
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE
from ollama_openai_proxy.translate.openai import catalog, embeddings, retry_after
from ollama_openai_proxy.translate.openai.errors import decode_error, named_error, stream_error
from ollama_openai_proxy.translate.openai.thinktags import CLOSE, OPEN, ThinkTags
from support.decoding import JSON, SSE, replay

SECRET = "sk-canary-4711"
URL = re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S", re.IGNORECASE)
LIMIT = 64 * 1024  # bytes of an event


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the input but for its first bytes, which say where it is cut: whole, and in pieces."""
    count = data[0] % 8 if data else 0
    places, body = data[1 : 1 + count], data[1 + count :]
    at = sorted({len(body) * place // 256 for place in places} - {0})
    return body, [body[start:end] for start, end in pairwise([0, *at, len(body)])]


def events_of(reads: list[bytes]) -> tuple[list[sse.Event], bool]:
    """Return the events, and whether one was too large."""
    splitter, events = sse.Splitter(LIMIT, {}), list[sse.Event]()
    try:
        for read in reads:
            splitter.feed(read, events)
        splitter.close(events)
    except UpstreamBroken:
        return events, True
    return events, False


def fuzz_sse(data: bytes) -> None:
    """However a stream is cut, its events are the same; none is larger than the limit or has a line end in its name."""
    whole, pieces = cut(data)
    events, too_large = events_of([whole])
    assert events_of(pieces) == (events, too_large)
    assert too_large <= (len(whole) > LIMIT)
    for name, event in events:
        assert event
        assert not {*b"\r\n"} & {*name}


def fuzz_reply(data: bytes) -> None:
    """A reply of any bytes, cut anywhere, is one `done` or one error, on one line of JSON, the last."""
    whole, pieces = cut(data)
    kind = SSE if len(data) % 2 else JSON
    for shape in (CHAT, GENERATE):
        streamed = replay(pieces, kind, shape=shape, top_logprobs=1, secrets=(SECRET,))
        is_lines(streamed.output)
        *before, last = [json.loads(line) for line in streamed.output.splitlines()]
        assert (last.get("done") is True) != ("error" in last)
        assert not any(line.get("done") or "error" in line for line in before)
        assert streamed.failure or SECRET.encode() not in streamed.output or SECRET.encode() in whole
    at_once = replay(pieces, kind, streamed=False)
    if at_once.done:
        assert at_once.body["done"] is True


def fuzz_error(data: bytes) -> None:
    """An error of any bytes is one of ours: a status, and one short line without the key."""
    status = 400 + (data[0] if data else 0) % 200
    body = data[1:]
    text = body.decode(errors="replace")
    headers = {"Retry-After": text[:40], "retry-after-ms": text[:40], "x-ratelimit-reset-requests": text[:40]}
    wait = retry_after.seconds(headers, 1e9)
    assert wait is None or wait >= 0
    decode = [
        decode_error(status, body, model="m", secrets=(SECRET,)),
        decode_error(status, SECRET.encode() + body, model="m", too_long="too long", secrets=(SECRET,)),
        named_error(body, (SECRET,)),
        stream_error(text, (SECRET,)),
    ]
    for error in decode:
        is_told(error)
        assert len(error.message) <= 1100
        assert SECRET not in error.message
        assert not URL.search(error.message)
        assert error.message.isprintable() or "\n" not in error.message


def fuzz_thinktags(data: bytes) -> None:
    """Whatever the text, and however it is cut, what is told is the same, and nothing but tags and space is lost."""
    whole, pieces = cut(data)
    text = whole.decode(errors="replace")
    told = said([text])
    parts = [piece.decode("latin-1") for piece in pieces]
    assert said(parts) == said(["".join(parts)])
    assert told[0] + told[1] == text or (OPEN in text and "".join("".join(told).split()) == squeezed(text))


def said(texts: list[str]) -> tuple[str, str]:
    tags, events = ThinkTags(), list[Event]()
    for text in filter(None, texts):
        events += tags.feed(text)
    events += tags.close()
    return (
        "".join(event.text for event in events if isinstance(event, ThinkingDelta)),
        "".join(event.text for event in events if isinstance(event, TextDelta)),
    )


def squeezed(text: str) -> str:
    """The text without space and without the first of each tag."""
    return "".join(text.replace(OPEN, "", 1).replace(CLOSE, "", 1).split())


def fuzz_lists(data: bytes) -> None:
    """Lists of models and of vectors: read, or an error of ours; what is told of them is JSON."""
    with suppress(UpstreamError):
        json.loads(answers.tags(catalog.decode(data), 0, 4096))
    decoder = embeddings.Decoder(1, unit)
    with suppress(UpstreamError):
        decoder.feed(data[:20])
        decoder.feed(data[20:])
        assert all(isinstance(json.loads(vector), list) for vector in decoder.close().vectors)
    with only_our_errors(), suppress(json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        try:
            error: ProxyError = stream_error(json.loads(data), (SECRET,))
        except ValueError:  # what Python's reader does not take, ours was not asked
            return
        is_told(error)

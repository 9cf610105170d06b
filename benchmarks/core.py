"""What the translation itself costs: bytes in, bytes out, in one process, without a socket.

    python benchmarks/core.py [--seconds 0.4] [--json FILE] [NAME ...]

Each row is the fastest of many rounds. `peak` is the most memory that one round holds beyond what was there, `kept` the
memory blocks that are still there for each event when half of a stream has come. Another tree is measured with
`PYTHONPATH=OTHER/src`: compare rows of runs that took turns, not single ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ollama_openai_proxy.serve.vectors import Known
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import catalog, embeddings, request, wire
from ollama_openai_proxy.translate.ollama.reply import CHAT, Reply, ReplyEncoder
from ollama_openai_proxy.translate.openai.embeddings import All, Checks, Decoder
from ollama_openai_proxy.translate.openai.profiles import PROFILES
from ollama_openai_proxy.translate.openai.request import encode
from ollama_openai_proxy.translate.translator import ReplyTranslator

ARRIVED = 1_700_000_000 * 10**9
GAP = 20_123_456  # nanoseconds between two reads
EVENTS = 200
SSE = "text/event-stream"
FINISH: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": EVENTS}}
WORDS = (" token", " the", ",", " Zürich", " \u65e5\u672c", " said:\n", ' "no"', " word", ".", " and")


class Case(NamedTuple):
    """What is measured; a round of it handles so many `events`. `half` leaves a stream where half of it has come."""

    name: str
    unit: str
    events: int
    run: Callable[[], object]
    half: Callable[[], object] | None = None


class Row(NamedTuple):
    name: str
    unit: str
    microseconds: float
    per_second: float
    peak_kib: float
    kept: float


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chunk as most backends write it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "bench"}
    return {**head, "choices": [choice], **more}


def sse(chunks: Iterable[object]) -> list[bytes]:
    said = (json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() for chunk in chunks)
    return [b"data: " + data + b"\n\n" for data in said]


def stream(reads: list[bytes], content_type: str = SSE, *, streamed: bool = True) -> ReplyTranslator:
    """Translate a reply of these reads, at one pace."""
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "bench:latest", ARRIVED, streamed=streamed)))
    translator.open(content_type, 1_000_000)
    elapsed = 0
    for read in reads:
        elapsed += GAP
        translator.feed(read, elapsed)
    if not translator.done and content_type != SSE:
        translator.close(elapsed + GAP)
    return translator


def streams() -> Iterator[Case]:
    """Streams of events: each is opened, has its deltas, and ends."""
    pieces = [WORDS[number % len(WORDS)] for number in range(EVENTS)]
    fragments = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":"'}}]
    fragments += [{"index": 0, "function": {"arguments": word.strip('" \n')}} for word in pieces]
    fragments.append({"index": 0, "function": {"arguments": '"}'}})
    kinds = {
        "text": [chunk({"content": word}) for word in pieces],
        "text, with padding": [chunk({"content": word}, obfuscation="x" * len(word)) for word in pieces],
        "text, with numbers": [
            chunk({"content": word}, timings={"predicted_n": at + 1, "predicted_ms": 20.1 * at})
            for at, word in enumerate(pieces)
        ],
        "thinking": [chunk({"reasoning_content": word}) for word in pieces],
        "tool calls": [chunk({"tool_calls": [fragment]}) for fragment in fragments],
    }
    for name, chunks in kinds.items():
        start, end = sse([chunk({"role": "assistant", "content": ""})]), [*sse([FINISH, USAGE]), b"data: [DONE]\n\n"]
        reads = [*start, *sse(chunks), *end]
        half = partial(stream, reads[: len(reads) // 2])
        yield Case(f"{name}, one a read", "event", EVENTS, partial(stream, reads), half)
        if name == "text":
            tens = [b"".join(reads[at : at + 10]) for at in range(0, len(reads), 10)]
            yield Case("text, ten a read", "event", EVENTS, partial(stream, tens))
    short = [*sse([chunk({"content": "Hello"})]), b"".join([*sse([FINISH, USAGE]), b"data: [DONE]\n\n"])]
    yield Case("a stream of one event", "reply", 1, partial(stream, short))


def wholes() -> Iterator[Case]:
    message = {"role": "assistant", "content": "A short answer of some words."}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "bench"}
    body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
    yield Case("a whole reply", "reply", 1, partial(stream, [body], "application/json", streamed=False))


def vectors() -> Iterator[Case]:
    """Replies with vectors, and the bytes of the same merely put together, which is what a relay does."""
    numbers = [((at * 7919) % 2003 - 1001) / 1001 for at in range(1536)]
    length = sum(number * number for number in numbers) ** 0.5
    vector = [number / length for number in numbers]
    for count in (1, 16, 256):
        data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(count)]
        body = json.dumps({"object": "list", "data": data, "usage": {"prompt_tokens": 9}}).encode()
        reads = [body[at : at + 65536] for at in range(0, len(body), 65536)]
        yield Case(f"embeddings, {count}", "vector", count, partial(embed, count, reads, Known()))
        yield Case(f"embeddings, {count}, all read", "vector", count, partial(embed, count, reads, All()))
        yield Case(f"the bytes of {count}", "vector", count, partial(b"".join, reads))


def embed(count: int, reads: list[bytes], checks: Checks) -> bytes:
    decoder = Decoder(count, embeddings.unit, checks=checks)
    for read in reads:
        decoder.feed(read)
    found = decoder.close()
    return embeddings.embed_answer(
        "bench", found.vectors, prompt_tokens=found.prompt_tokens, opened=1_000_000, elapsed=GAP
    )


def requests() -> Iterator[Case]:
    hello = [{"role": "user", "content": "Hello"}]
    talk = [
        {"role": ("user", "assistant")[at % 2], "content": f"Message {at} of some words, or more."} for at in range(10)
    ]
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    tools = [
        {"type": "function", "function": {"name": f"tool_{at}", "description": "Does it.", "parameters": schema}}
        for at in range(5)
    ]
    options = {"temperature": 0.5, "num_ctx": 8192, "seed": 7}
    long = [{"role": "user", "content": "A word and another.\n" * 5000}]
    for name, asked in (
        ("one message", {"messages": hello, "stream": False}),
        ("ten messages", {"messages": talk}),
        ("ten messages, options", {"messages": talk, "options": options, "keep_alive": "5m"}),
        ("ten messages, five tools", {"messages": talk, "tools": tools}),
        ("100 KB", {"messages": long}),
    ):
        body = json.dumps({"model": "bench", **asked}).encode()
        yield Case(f"a request, {name}", "request", 1, partial(ask, body, Model("bench")))


def ask(body: bytes, model: Model) -> bytes:
    asked = wire.decode(body, wire.ChatRequest)
    request.check(asked)
    completion = request.chat(asked, model)
    return encode(completion.body, PROFILES["openai"], extensions=completion.extensions, think=completion.think)


def lists() -> Iterator[Case]:
    models = tuple(Model(f"vendor/model-{at}", created=1700000000 + at, context_length=8192) for at in range(500))
    yield Case("a list of 500 models", "list", 1, partial(catalog.tags, models, 1700000000, 4096))


def measure(case: Case, seconds: float) -> Row:
    """Return the fastest round, and what one holds."""
    case.run()
    gc.collect()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter_ns()
        case.run()
        best = min(best, time.perf_counter_ns() - start)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    case.run()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    each = best / case.events
    return Row(case.name, case.unit, each / 1e3, 1e9 / each, peak / 1024, _kept(case))


def _kept(case: Case) -> float:
    if case.half is None:
        return 0.0
    gc.collect()
    before = sys.getallocatedblocks()
    held = case.half()
    after = sys.getallocatedblocks()
    del held
    return (after - before) / (case.events / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows whose name has this in it")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each row (0.4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    asked = parser.parse_args()
    rows = []
    print(f"{'':30}{'us each':>10}{'a second':>12}{'peak KiB':>10}{'kept':>7}")
    for case in (*streams(), *wholes(), *vectors(), *requests(), *lists()):
        if not asked.names or any(name in case.name for name in asked.names):
            row = measure(case, asked.seconds)
            rows.append(row)
            print(f"{row.name:30}{row.microseconds:10.2f}{row.per_second:12,.0f}{row.peak_kib:10.1f}{row.kept:7.2f}")
    if asked.json:
        asked.json.write_text(json.dumps([row._asdict() for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

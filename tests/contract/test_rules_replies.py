"""The rules R1 to R10 that clients set (clients.md, section 0): one test for each, on the bytes of real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.backends import ABLE, VECTORS, ask, facing, vectors
from contract.wire import COUNTERS, TIME, no_nulls, tool, user
from support.proxy import Proxy
from support.replies import DONE, HI, body, completion, delta, finish, streamed, text, usage
from support.scripted import Chunk, Close, Status

HI_THERE = [user("Hi")]
CALL: dict[str, Any] = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"a": 1}'},
}
OTHER = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SEPARATORS = "a\u2028b\u2029c\u0085d"
MEDIA = (
    None,
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/octet-stream",
    "multipart/form-data; boundary=x",
)
ACCEPTED = ("application/json", "application/x-ndjson", "text/event-stream", "image/png", "*/*")
# A request of each route, and whether it is answered with a stream.
ROUTES: tuple[tuple[str, str, dict[str, Any], bool], ...] = (
    ("POST", "/api/chat", {"model": "able", "messages": HI_THERE}, True),
    ("POST", "/api/chat", {"model": "able", "messages": HI_THERE, "stream": False}, False),
    ("POST", "/api/generate", {"model": "able", "prompt": "Hi"}, True),
    ("POST", "/api/generate", {"model": "able", "prompt": "Hi", "stream": False}, False),
    ("POST", "/api/generate", {"model": "able"}, False),
    ("POST", "/api/embed", {"model": "vectors", "input": "Hi"}, False),
    ("POST", "/api/embeddings", {"model": "vectors", "prompt": "Hi"}, False),
    ("POST", "/api/show", {"model": "able"}, False),
    ("POST", "/api/create", {"model": "new", "from": "able", "system": "Hi"}, True),
    ("POST", "/api/create", {"model": "new", "from": "able", "stream": False}, False),
    ("POST", "/api/copy", {"source": "able", "destination": "copy"}, False),
    ("POST", "/api/pull", {"model": "able"}, True),
    ("POST", "/api/pull", {"model": "able", "stream": False}, False),
    ("DELETE", "/api/delete", {"model": "copy"}, False),
    ("GET", "/api/tags", {}, False),
    ("GET", "/api/ps", {}, False),
    ("GET", "/api/version", {}, False),
)


def answering(proxy: Proxy) -> None:
    """Let the backend answer by what it is asked: a stream for one, an object for the next."""
    proxy.upstream.script("vectors", body(vectors([1, 0])))


async def test_r1_bodies_are_parsed_whatever_their_type() -> None:
    """R1: no Content-Type, a form, text or bytes: the body is JSON, and what is accepted changes nothing."""
    async with facing(ABLE, VECTORS) as proxy:
        answering(proxy)
        proxy.upstream.script("able", HI)
        data = json.dumps({"model": "able", "messages": HI_THERE}).encode()
        for media in MEDIA:
            headers = [f"Content-Type: {media}"] if media else []
            for path, content in (
                ("/api/chat", data),
                ("/api/embed", b'{"model": "vectors", "input": "Hi"}'),
                ("/api/show", b'{"name": "able"}'),
                ("/api/generate", b'{"model": "able"}'),
            ):
                assert (await proxy.ask("POST", path, content, *headers)).status == 200
        for accepted in ACCEPTED:
            reply = await proxy.ask("POST", "/api/chat", data, f"Accept: {accepted}")
            assert (reply.status, reply.all("content-type")) == (200, ["application/x-ndjson"])


async def test_r2_head_and_unknown_paths() -> None:
    """R2: HEAD is 200 on three paths, `/` is a sentence, what is unknown is 404 as plain text, no slash redirects."""
    async with facing() as proxy:
        for path in ("/", "/api/version", "/api/tags"):
            head, whole = await proxy.ask("HEAD", path), await proxy.ask("GET", path)
            assert (head.status, head.body) == (200, b"")
            assert head.all("content-type") == whole.all("content-type")
        assert (await proxy.ask("GET", "/")).body == b"Ollama is running"
        for method, path in (("GET", "/api/nope"), ("POST", "/nope"), ("GET", "/favicon.ico"), ("PUT", "/v1/x")):
            unknown = await proxy.ask(method, path)
            assert (unknown.status, unknown.body) == (404, b"404 page not found")
            assert unknown.all("content-type") == ["text/plain"]
        for method, status in (("GET", 301), ("HEAD", 307)):
            slashed = await proxy.ask(method, "/api/tags/")
            assert (slashed.status, slashed.header("location")) in ((status, "/api/tags"), (404, None))


@pytest.mark.parametrize(("method", "path", "fields", "stream"), ROUTES)
async def test_r3_r5_media_types_and_nulls(method: str, path: str, fields: dict[str, Any], stream: bool) -> None:
    """R3, R5: JSON is application/json, streams are application/x-ndjson, and no member of an answer is null."""
    async with facing(ABLE, VECTORS) as proxy:
        answering(proxy)
        proxy.upstream.script("able", HI if stream else body(completion()))
        if method == "DELETE":
            await proxy.ask("POST", "/api/copy", {"source": "able", "destination": "copy"})
        reply = await proxy.ask(method, path, fields or None)
        assert reply.status == 200, reply.body
        if path in ("/api/copy", "/api/delete"):
            assert (reply.body, reply.header("content-length")) == (b"", "0")
            return
        media = "application/x-ndjson" if stream else "application/json"
        assert (reply.header("content-type") or "").partition(";")[0] == media
        for answer in reply.lines if stream else [reply.json]:
            no_nulls(answer)
            assert "error" not in answer
            assert "type" not in answer


async def test_r3_media_type_of_errors() -> None:
    """R3: an error is application/json on every route, also where a stream was asked for."""
    async with facing(ABLE) as proxy:
        for method, path, _, _ in ROUTES:
            if method != "GET":
                reply = await proxy.ask(method, path, b"{")
                assert (reply.status, reply.json) == (400, {"error": "unexpected EOF"})
                assert (reply.header("content-type") or "").startswith("application/json")


async def test_r4_lines() -> None:
    """R4: each object on a line, the last too; none blank, no raw separator, none over 8 MB; nothing is held back."""
    long = "x" * 9_000_000
    parts = (text(SEPARATORS), text("\u00e9"), text(long), finish(), usage(), DONE)
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(*parts))
        reply = await ask(proxy, "/api/chat", messages=HI_THERE)
        assert reply.body.endswith(b"\n")
        lines = reply.body.split(b"\n")[:-1]
        assert b"" not in lines
        assert max(map(len, lines)) < 8_000_000
        assert not any(mark in reply.body for mark in ("\u2028".encode(), "\u2029".encode(), "\u0085".encode()))
        assert "".join(line["message"]["content"] for line in reply.lines) == SEPARATORS + "\u00e9" + long
        assert reply.header("content-encoding") is None
        assert reply.header("x-accel-buffering") == "no"
        assert reply.header("cache-control") == "no-cache"


async def test_r4_progress() -> None:
    """R4: what a pull or a creation tells is one line for each write, with nothing of the next."""
    async with facing() as proxy:
        for path, fields in (("/api/pull", {}), ("/api/create", {"from": "m"})):
            reply = await ask(proxy, path, **fields)
            assert len(reply.chunks) > 1
            assert all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in reply.chunks)


async def test_r5_finish_only_at_the_end() -> None:
    """R5: `done_reason` is only on the last line, and no line has a key that means something elsewhere."""
    async with facing() as proxy:
        proxy.upstream.script("m", HI)
        for path, more in (("/api/chat", {"messages": HI_THERE}), ("/api/generate", {"prompt": "Hi"})):
            reply = await ask(proxy, path, **more)
            *lines, last = reply.body.rstrip(b"\n").split(b"\n")
            assert b"done_reason" in last
            assert not any(b"done_reason" in line or b'"type"' in line for line in lines)


async def test_r6_every_chunk() -> None:
    """R6: model, date, role, content as text and `done` are in every chunk, whatever it carries."""
    parts = (delta(role="assistant"), delta(reasoning_content="Hm"), text("Hi"), delta(tool_calls=[CALL]))
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(*parts, finish("tool_calls"), usage(), DONE))
        for chunk in (await ask(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[tool("f")])).lines:
            assert chunk["model"] == "able"
            assert TIME.fullmatch(chunk["created_at"])
            assert chunk["message"]["role"] == "assistant"
            assert isinstance(chunk["message"]["content"], str)
            assert isinstance(chunk["done"], bool)


@pytest.mark.parametrize(
    ("reason", "told"), [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("content_filter", "stop")]
)
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
async def test_r7_final_chunk(reason: str, told: str, counted: bool) -> None:
    """R7: it has no content, a reason of four, and durations that are integers above zero; counts only there."""
    events = (text("Hi"), text(" there"), finish(reason), *((usage(),) if counted else ()), DONE)
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(*events))
        for path, more in (("/api/chat", {"messages": HI_THERE}), ("/api/generate", {"prompt": "Hi"})):
            *chunks, last = (await ask(proxy, path, **more)).lines
            assert (last["done"], last["done_reason"]) == (True, told)
            assert (last.get("message") or {"content": last.get("response")})["content"] == ""
            present = COUNTERS if counted else [key for key in COUNTERS if key.endswith("duration")]
            assert all(type(last[key]) is int and last[key] > 0 for key in present)
            assert not any({*COUNTERS} & {*chunk} for chunk in chunks)


async def test_r8_thinking() -> None:
    """R8: thoughts are in a member of their own, never in a chunk with content, whoever sends them together."""
    parts = (delta(reasoning_content="Hm", content="Hi"), delta(reasoning="so", content=" there"))
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(*parts, finish(), usage(), DONE))
        chunks = (await ask(proxy, "/api/chat", model="able", messages=HI_THERE, think=True)).lines
        assert "".join(chunk["message"]["content"] for chunk in chunks) == "Hi there"
        assert "".join(chunk["message"].get("thinking", "") for chunk in chunks) == "Hmso"
        assert not any(chunk["message"].get("thinking") and chunk["message"]["content"] for chunk in chunks)
        lines = (await ask(proxy, "/api/generate", model="able", prompt="Hi", think=True)).lines
        assert "".join(line.get("thinking", "") for line in lines) == "Hmso"
        assert not any(line.get("thinking") and line["response"] for line in lines)


async def test_r9_tool_calls() -> None:
    """R9: all calls of a turn in one chunk that is not the last, with ids, indexes and objects; the reason is stop."""
    first, second = (
        {**CALL, "function": {**CALL["function"], "arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    )
    events = (delta(tool_calls=[first]), delta(tool_calls=[second]), delta(tool_calls=[OTHER]), finish("tool_calls"))
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(*events, usage(), DONE))
        *chunks, last = (await ask(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[tool("f")])).lines
        (holding,) = (chunk for chunk in (*chunks, last) if chunk["message"].get("tool_calls"))
        assert holding["done"] is False
        assert holding["message"]["tool_calls"] == [
            {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
            {"id": "call_2", "function": {"index": 1, "name": "f", "arguments": {}}},
        ]
        assert last["done_reason"] == "stop"


async def test_r10_errors() -> None:
    """R10: an error is one text, with its status where nothing was sent, and keeps the words that clients look for."""
    object_error = {"error": {"error": {"message": ["deep"]}}}
    async with facing(ABLE, VECTORS) as proxy:
        for answer in (
            body(object_error, 500),
            body({"detail": [{"msg": "bad"}]}, 422),
            body(b"<html>", 502, "Content-Type: text/html"),
            (
                Status(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked"),
                Chunk(b": ping\n\n"),
                Close(),
            ),
        ):
            proxy.upstream.script("able", answer)
            reply = await ask(proxy, "/api/chat", model="able", messages=HI_THERE)
            assert reply.status >= 400
            assert [*reply.json] == ["error"]
            assert isinstance(reply.json["error"], str)
            assert reply.json["error"]
        missing = await ask(proxy, "/api/chat", model="nope", messages=HI_THERE)
        assert (missing.status, missing.json) == (404, {"error": "model 'nope' not found"})
        pulled = (await ask(proxy, "/api/pull", model="nope")).lines
        assert pulled[-1] == {"error": "pull model manifest: file does not exist"}

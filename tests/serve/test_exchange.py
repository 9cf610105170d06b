"""The relay: when the status is decided, how soon bytes leave, how an answer ends, what follows it."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.main import Process, create_app, create_upstream
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import Headers, PassedOn, Trace
from ollama_openai_proxy.serve.exchange import Exchange
from ollama_openai_proxy.serve.relay import FINISH_GRACE
from ollama_openai_proxy.serve.server import serving
from ollama_openai_proxy.translate.ollama.reply import CHAT, Reply, ReplyEncoder
from ollama_openai_proxy.translate.translator import ReplyTranslator
from support.asgi import alive
from support.proxy import chat, proxied, sealed
from support.rawclient import RawClient
from support.recording import admission, recorded
from support.replies import DONE, HI, SSE, body, completion, delta, finish, streamed, text, usage
from support.scripted import Chunk, Close, End, Hold, Pause, Reset, Step, Upstream, Wait
from support.waiting import eventually

EXCHANGES = "ollama_openai_proxy.exchange"


async def test_streamed_answer() -> None:
    """A streamed chat is a line for each delta, then one that is done and has the counts (contract 5.8)."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.chat()
        first, last = response.lines
        assert response.status == 200
        assert first["message"] == {"role": "assistant", "content": "Hi"}
        assert first["done"] is False
        assert (last["done"], last["done_reason"]) == (True, "stop")
        assert (last["prompt_eval_count"], last["eval_count"]) == (3, 2)


async def test_head_of_a_stream() -> None:
    """A stream is exactly application/x-ndjson, chunked, and tells proxies not to hold it back (R3, R4)."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.chat()
        assert response.all("content-type") == ["application/x-ndjson"]
        assert response.all("x-accel-buffering") == ["no"]
        assert response.all("cache-control") == ["no-cache"]
        assert response.all("transfer-encoding") == ["chunked"]
        assert response.all("content-length") == []


async def test_head_of_a_whole_answer() -> None:
    """One JSON object is exactly application/json; charset=utf-8 and has a length (contract 1.3)."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(completion("Hi")))
        response = await proxy.chat(stream=False)
        assert response.all("content-type") == ["application/json; charset=utf-8"]
        assert response.all("content-length") == [str(len(response.body))]
        assert response.all("transfer-encoding") == []
        assert response.json["message"]["content"] == "Hi"
        assert response.json["done"] is True


async def test_flushes_each_read() -> None:
    """The first line reaches the client while the upstream has not gone on yet (reliability 1, prompt flushing)."""
    barrier = asyncio.Event()
    async with proxied() as proxy, proxy.client() as client:
        rest = (Chunk(finish()), Chunk(DONE), End())
        proxy.upstream.script("m", (SSE, Chunk(text("first")), Wait(barrier), *rest))
        await client.ask("POST", "/api/chat", chat())
        assert (await client.head()).status == 200
        assert b'"content":"first"' in await client.chunk()
        assert not barrier.is_set()
        barrier.set()
        assert b'"done":true' in await client.chunk()


async def test_events_of_one_read_are_one_write() -> None:
    """Three events that arrive together leave together: one chunk, three lines."""
    async with proxied() as proxy:
        together = text("a") + text("b") + text("c")
        proxy.upstream.script("m", (SSE, Chunk(together), Pause(0.05), Chunk(finish() + usage() + DONE), End()))
        response = await proxy.chat()
        assert [chunk.count(b"\n") for chunk in response.chunks] == [3, 1]
        assert [line["message"]["content"] for line in response.lines] == ["a", "b", "c", ""]


async def test_nothing_visible_writes_nothing() -> None:
    """A read of comments and of a delta with only the role makes no line, and above all no blank one (R4)."""
    async with proxied() as proxy:
        events = (b": ping\n\n", delta(role="assistant"), text("Hi"), b": ping\n\n", finish(), DONE)
        proxy.upstream.script("m", streamed(*events))
        assert [line["message"]["content"] for line in (await proxy.chat()).lines] == ["Hi", ""]


@pytest.mark.parametrize("stream", [True, False])
async def test_status_waits_for_the_upstream(stream: bool) -> None:
    """No byte reaches the client before the upstream has shown what it answers: its error is a status (R10)."""
    barrier = asyncio.Event()
    async with proxied() as proxy, proxy.client() as client:
        refusal = body({"error": {"message": "too long"}}, 400)
        proxy.upstream.script("m", (Wait(barrier), *refusal))
        await client.ask("POST", "/api/chat", chat(stream=stream))
        await proxy.upstream.request_received()
        barrier.set()
        response = await client.response()
        assert (response.status, response.json) == (400, {"error": "too long"})
        # Contract 1.3, 1.10: an error in place of the first line has no charset in its type.
        assert response.all("content-type") == ["application/json" if stream else "application/json; charset=utf-8"]


ENDINGS: dict[str, tuple[Step, ...]] = {
    "G9 [DONE] missing": (Chunk(finish()), Chunk(usage()), End()),
    "G9 [DONE] and usage missing": (Chunk(finish()), End()),
    "F3 closed within the chunks, after finish": (Chunk(finish()), Close()),
    "F3 reset after finish": (Chunk(finish()), Pause(0.05), Reset()),
    "H11 content after finish": (Chunk(finish()), Chunk(text("!")), Chunk(DONE), End()),
    "G10 finish missing": (Chunk(DONE), End()),
    "usage says that it is over": (Chunk(usage()), End()),
    "G11 data after [DONE]": (Chunk(finish()), Chunk(DONE), Chunk(text("late")), Chunk(DONE), End()),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_endings(ending: tuple[Step, ...]) -> None:
    """Each of these ends a complete answer: all text, then exactly one line that is done (reliability 2.0)."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), *ending))
        lines = (await proxy.chat()).lines
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert "".join(line["message"]["content"] for line in lines) in ("Hi", "Hi!")
        assert ("".join(line["message"]["content"] for line in lines) == "Hi!") == (len(lines) == 3)
        assert lines[-1]["done_reason"] == "stop"


@pytest.mark.parametrize("pings", [False, True], ids=["silence", "pings"])
async def test_usage_that_never_comes(pings: bool) -> None:
    """After the finish reason the done line comes within the grace, whether the upstream is silent or pings on."""
    waiting: tuple[Step, ...] = (Pause(0.4), Chunk(b": ping\n\n")) * 20 if pings else (Hold(),)
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Chunk(finish()), *waiting))
        started = time.monotonic()
        lines = (await proxy.chat()).lines
        elapsed = time.monotonic() - started
        assert [line["done"] for line in lines] == [False, True]
        assert "eval_count" not in lines[-1]
        assert FINISH_GRACE - 0.1 < elapsed < FINISH_GRACE + 0.6
        await proxy.upstream.peer_left(within=1.0)


async def test_usage_that_comes_late() -> None:
    """Usage that trails the finish reason, but comes within the grace, is counted (H9)."""
    async with proxied() as proxy:
        late = (Pause(0.3), Chunk(usage(7, 5)), Chunk(DONE), End())
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Chunk(finish()), *late))
        last = (await proxy.chat()).lines[-1]
        assert (last["prompt_eval_count"], last["eval_count"]) == (7, 5)


async def test_what_trails_the_answer_is_read(caplog: pytest.LogCaptureFixture) -> None:
    """An answer whose last chunk comes a little later is a success, and its connection is used again."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with proxied() as proxy:
        slow = (SSE, Chunk(text("Hi") + finish() + usage() + DONE), Pause(0.1), End())
        proxy.upstream.script("m", slow, HI)
        caplog.clear()
        await proxy.chat()
        await eventually(lambda: proxy.upstream.posts[0].answered.is_set() and caplog.records)
        await proxy.chat()
        first, second = proxy.upstream.posts
        assert first.connection == second.connection
        assert [record.__dict__["outcome"] for record in caplog.records] == ["ok", "ok"]


async def test_what_never_ends_is_let_go() -> None:
    """A connection that is not free soon after the answer is closed, not kept or waited for."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi") + finish() + usage() + DONE), Hold()))
        assert (await proxy.chat()).lines[-1]["done"] is True
        await proxy.upstream.peer_left(within=1.5)


CALL = Call("/chat/completions", b'{"model":"m"}', "m", streamed=True)


class Mistaken(ReplyTranslator):
    """A translator with a mistake in it, which shows at the second read."""

    reads = 0

    def feed(self, read: bytes, elapsed: int) -> bytes:
        self.reads += 1
        if self.reads == 2:
            raise LookupError("secret-canary")
        return b'{"first":true}\n'


async def test_k12_mistake_of_our_own() -> None:
    """K12: a stream that breaks by our own mistake ends in a record and in order, and its upstream is let go."""
    async with Upstream() as backend, create_upstream(sealed(openai_api_base_url=backend.url)) as upstream:
        backend.script("m", (SSE, Chunk(text("a")), Pause(0.05), Chunk(text("b")), Hold()))
        translator = Mistaken(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=True)))
        pulse = Pulse(Metrics(version="0"))
        exchange = Exchange(upstream, CALL, translator, pulse, admission=admission(), on_open=lambda: None)
        async with serving(alive(recorded(exchange))) as url, RawClient(url) as client:
            await client.ask("POST", "/api/chat")
            assert (await client.response()).lines == [{"first": True}, {"error": "internal error"}]
        await eventually(backend.posts[0].peer_left.is_set)


async def test_rest_under_load() -> None:
    """While the event loop is late, a stream rests after a write, and what came meanwhile leaves as one."""
    pulse = Pulse(Metrics(version="0"))
    async with Upstream() as backend, create_upstream(sealed(openai_api_base_url=backend.url)) as upstream:
        pieces = [part for name in "abcd" for part in (Chunk(text(name)), Pause(0.02))]
        backend.script("m", (SSE, *pieces, Chunk(finish() + DONE), End()))
        pulse.rest = 0.5
        translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=True)))
        exchange = Exchange(upstream, CALL, translator, pulse, admission=admission(), on_open=lambda: None)
        async with serving(alive(recorded(exchange))) as url, RawClient(url) as client:
            await client.ask("POST", "/api/chat")
            response = await client.response()
    assert "".join(line["message"]["content"] for line in response.lines) == "abcd"
    assert response.lines[-1]["done"] is True
    assert len(response.chunks) == 2


class Noting(PassedOn):
    """A tracer and its only trace, which note what the upstream is asked for."""

    trace_id = ""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def begin(self, record: Record, traceparent: str | None, tracestate: str | None) -> Trace:
        return self

    def call(self, operation: str) -> Headers:
        self.operations.append(operation)
        return ()

    def end(self, record: Record) -> None:
        pass


@pytest.mark.parametrize(
    ("profile", "fields", "path", "operation"),
    [
        ("auto", {}, "/v1/chat/completions", "chat"),
        ("auto", {"raw": True}, "/v1/completions", "text_completion"),
        ("auto", {"suffix": "b"}, "/v1/completions", "text_completion"),
        ("mistral", {"suffix": "b"}, "/v1/fim/completions", "text_completion"),
        ("llamacpp", {"suffix": "b"}, "/infill", "text_completion"),
    ],
)
async def test_operation(profile: str, fields: dict[str, object], path: str, operation: str) -> None:
    """OpenTelemetry's `gen_ai.operation.name`: what is no chat is a text completion, whatever its route is called."""
    tracer = Noting()
    async with Upstream() as backend:
        backend.script("m", body(completion("Hi")))
        app = create_app(sealed(openai_api_base_url=backend.url, upstream_profile=profile), Process(tracer))
        async with serving(app, app.state.lifecycle) as url, RawClient(url) as client:
            await client.ask("POST", "/api/generate", {"model": "m", "prompt": "a", "stream": False, **fields})
            await client.response()
        assert [post.path for post in backend.posts] == [path]
    assert tracer.operations == [operation]

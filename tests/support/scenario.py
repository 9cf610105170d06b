"""What a backend streams, and what a client of Ollama's API must be told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.proxy import Proxy
from support.rawclient import Response
from support.scripted import Chunk, End, Send, Status, Step

SSE = Status(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
Call = tuple[str, Any]  # name, arguments


@dataclass(frozen=True)
class Scenario:
    """A stream as its bytes, and the answer in it. `error`: how it fails, `status`: with what if nothing came before.

    `odd`: what the metrics count of it, at least.
    """

    stream: bytes
    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    reason: str = "stop"
    counts: tuple[int, int] | None = None
    error: str = ""
    status: int = 502
    odd: tuple[str, ...] = ()


@dataclass
class Heard:
    """What the lines of a reply add up to."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, messages: list[dict[str, Any]]) -> Heard:
        calls = [call for message in messages for call in message.get("tool_calls", ())]
        assert [call["function"]["index"] for call in calls] == list(range(len(calls)))
        return cls(
            "".join(message["content"] for message in messages),
            "".join(message.get("thinking", "") for message in messages),
            tuple((call["function"]["name"], call["function"]["arguments"]) for call in calls),
            tuple(call["id"] for call in calls),
        )


def steps(stream: bytes, size: int = 0) -> tuple[Step, ...]:
    """Send the stream in one chunk, or in chunks of so many bytes, each in a write of its own."""
    size = size or max(len(stream), 1)
    return (SSE, *(Chunk(stream[at : at + size]) for at in range(0, len(stream), size)), End())


def until_close(stream: bytes) -> tuple[Step, ...]:
    """Send the stream as an answer that ends with its connection."""
    return (Status(200, "Content-Type: text/event-stream", "Connection: close"), Send(stream))


def check_lines(response: Response) -> list[dict[str, Any]]:
    """Return the records of a stream: short lines, none blank, that every reader of lines cuts alike (T14, T15)."""
    assert response.body.endswith(b"\n")
    for line in response.body[:-1].split(b"\n"):
        assert len(line) <= 2**20
        assert line.decode().splitlines() == [line.decode()]
    return response.lines


def check_streamed(response: Response, scenario: Scenario) -> Heard:
    """Check all of a streamed answer: one end, after all that was said."""
    if scenario.error and response.status != 200:
        assert (response.status, response.json) == (scenario.status, {"error": scenario.error})
        assert not scenario.text.strip()
        assert not scenario.thinking
        return Heard()
    assert response.status == 200, response.body
    *records, last = check_lines(response)
    assert not any("error" in record or record["done"] for record in records)
    heard = Heard.of([record["message"] for record in (*records, last) if "message" in record])
    assert (heard.text, heard.thinking) == (scenario.text, scenario.thinking)
    if scenario.error:
        assert last == {"error": scenario.error}
        return heard
    check_end(last, scenario)
    assert heard.calls == scenario.calls
    return heard


def check_whole(response: Response, scenario: Scenario) -> Heard:
    """Check an answer that was asked for whole: all of it, or the error and nothing else."""
    if scenario.error:
        assert (response.status, response.json) == (scenario.status, {"error": scenario.error})
        return Heard()
    assert response.status == 200, response.body
    check_end(response.json, scenario)
    heard = Heard.of([response.json["message"]])
    assert (heard.text, heard.thinking, heard.calls) == (scenario.text, scenario.thinking, scenario.calls)
    return heard


def check_end(last: Mapping[str, Any], scenario: Scenario) -> None:
    assert (last["done"], last["done_reason"]) == (True, scenario.reason)
    assert (last.get("prompt_eval_count"), last.get("eval_count")) == (scenario.counts or (None, None))
    for name in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"):
        assert isinstance(last[name], int)
        assert last[name] > 0


async def check(proxy: Proxy, scenario: Scenario, *scripts: tuple[Step, ...]) -> Heard:
    """Have the backend answer like that, and check what a client gets that streams, and one that does not.

    `scripts`: the ways in which the bytes are sent; all of them in one chunk unless told otherwise.
    """
    heard = Heard()
    for script in scripts or (steps(scenario.stream),):
        proxy.upstream.script("m", script)
        heard = check_streamed(await proxy.chat(), scenario)
        whole = check_whole(await proxy.chat(stream=False), scenario)
        if not scenario.error:
            assert len(whole.ids) == len(heard.ids) == len(set(heard.ids))
    await check_odd(proxy, scenario)
    return heard


async def check_odd(proxy: Proxy, scenario: Scenario) -> None:
    """Check that what is odd about the stream can be seen in the metrics."""
    if scenario.odd:
        text = (await proxy.ask("GET", "/metrics")).body.decode()
        for what in scenario.odd:
            assert f'{{kind="{what}"}}' in text or f'{{reason="{what}"}}' in text, what


def data(*payloads: object) -> bytes:
    """Return an event for each: an object as JSON, text as it is."""
    lines = [payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False) for payload in payloads]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def choice(delta: object = None, finish: object = None, **more: object) -> dict[str, Any]:
    """Return a chunk with one choice."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


def said(content: object) -> dict[str, Any]:
    return choice({"content": content})


def called(*fragments: dict[str, Any]) -> dict[str, Any]:
    return choice({"tool_calls": list(fragments)})


def fragment(index: object = None, call_id: object = None, name: object = None, arguments: object = None) -> Any:
    """Return a fragment of a tool call, without what is None."""
    function = {"name": name, "arguments": arguments}
    parts = {
        "index": index,
        "id": call_id,
        "function": {key: value for key, value in function.items() if value is not None},
    }
    return {key: value for key, value in parts.items() if value is not None}


STOP = choice({}, "stop")
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
DONE = "[DONE]"
TAIL = data(STOP, USAGE, DONE)

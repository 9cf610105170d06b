"""Whole replies of real backends, and of vendors' documentation, as their clients get them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.decoding import CREATED_AT, JSON, SSE, Replayed, replay

RECORDINGS = Path(__file__).parents[1] / "recordings"
DOCUMENTED = RECORDINGS / "documented"
HEAD = {"model": "m", "created_at": CREATED_AT}
# Everything comes 5 ms after the request, 4 ms after the upstream was asked.
MEASURED = {
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 1,
    "eval_duration": 4_000_000,
}


def line(content: str = "", **message: Any) -> dict[str, Any]:
    """A line before the last one."""
    return {**HEAD, "message": {"role": "assistant", "content": content, **message}, "done": False}


def thought(text: str) -> dict[str, Any]:
    return line(thinking=text)


def call(index: int, call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"index": index, "name": name, "arguments": arguments}}


def end(counts: tuple[int, int] | None, reason: str = "stop", content: str = "", **message: Any) -> dict[str, Any]:
    """The last line, or with a content the whole object."""
    fields = {**HEAD, "message": {"role": "assistant", "content": content, **message}, "done": True}
    known = {"prompt_eval_count": counts[0], "eval_count": counts[1]} if counts else {}
    return {**fields, "done_reason": reason, **MEASURED, **known}


def error(message: str) -> dict[str, Any]:
    return {"error": message}


WEATHER = call(0, "call_DdmO9pD3xa9XTPNJ32zg2hcA", "get_weather", city="Paris")
TIME = call(1, "call_ABnq0TkRyEQD5uZCl5EIGuVV", "get_time", zone="Europe/Paris")
BOSTON = call(0, "call_abc123", "get_current_weather", location="Boston, MA")
SEARCH = call(0, "chatcmpl-tool-af37032523934f01", "search", q="a b")
NOW = call(1, "chatcmpl-tool-8cb8901f3f024ffe", "now")
ENGINE = "EngineCore encountered an issue. See stack trace (above) for the root cause."
SCHEMA = ['{"', "name", '":"', 'O\\"Hara', '","n', '":[1,2]}']

STREAMS: dict[str, list[dict[str, Any]]] = {
    "openai-usage": [line("Grüß"), line(" Gott 👋"), line("!"), end((19, 4))],
    "openai-tools": [line(tool_calls=[WEATHER, TIME]), end((82, 41))],
    "openai-refusal": [line("I'm sorry, "), line("I cannot help with that."), end((81, 11))],
    "openai-logprobs": [line("Hé"), line("!"), end((9, 2))],
    "openai-json-schema": [*map(line, SCHEMA), end((63, 9), "length")],
    "vllm-reasoning-content": [thought("\nTwo and"), thought(" two."), line("\n\n4"), line("."), end((13, 10))],
    "vllm-reasoning": [thought("Look"), thought(" it up."), line(tool_calls=[SEARCH, NOW]), end((171, 38))],
    "vllm-error": [line("The an"), line("swer"), error(ENGINE)],
    "openrouter-chat": [thought("A prime"), thought(" is odd?"), line("No: "), line("2."), end((11, 27))],
    "openrouter-error": [line("Once"), line(" upon"), error("Provider disconnected unexpectedly")],
    "azure-chat": [line("Bon"), line("jour"), end((18, 2))],
    "azure-async-filter": [line("Bad "), line("words"), end(None)],
}
WHOLE: dict[str, dict[str, Any]] = {
    "openai-usage": end((19, 4), content="Grüß Gott 👋!"),
    "openai-tools": end((82, 41), tool_calls=[WEATHER, TIME]),
    "openai-refusal": end((81, 11), content="I'm sorry, I cannot help with that."),
    "openai-logprobs": end((9, 2), content="Hé!"),
    "openai-json-schema": end((63, 9), "length", content='{"name":"O\\"Hara","n":[1,2]}'),
    "vllm-reasoning-content": end((13, 10), content="\n\n4.", thinking="\nTwo and two."),
    "vllm-reasoning": end((171, 38), thinking="Look it up.", tool_calls=[SEARCH, NOW]),
    "vllm-error": error(ENGINE),
    "openrouter-chat": end((11, 27), content="No: 2.", thinking="A prime is odd?"),
    "openrouter-error": error("Provider disconnected unexpectedly"),
    "azure-chat": end((18, 2), content="Bonjour"),
    "azure-async-filter": end(None, content="Bad words"),
}


def stream(name: str) -> bytes:
    return (DOCUMENTED / f"{name}.sse").read_bytes()


def test_every_documented_reply_is_expected_here() -> None:
    """A recording that nobody replays proves nothing."""
    assert {path.stem for path in DOCUMENTED.glob("*.sse")} == STREAMS.keys() == WHOLE.keys()


@pytest.mark.parametrize("name", STREAMS)
def test_a_documented_stream_becomes_these_lines(name: str) -> None:
    """Line by line what a client of Ollama gets of a vendor's stream."""
    assert replay([stream(name)]).lines == STREAMS[name]


@pytest.mark.parametrize("name", WHOLE)
def test_a_documented_stream_becomes_this_object(name: str) -> None:
    """A client that does not stream gets the same in one object, or nothing but the error."""
    assert json.loads(replay([stream(name)], streamed=False).output) == WHOLE[name]


def test_a_schema_is_met_by_the_text_that_arrives() -> None:
    """Structured output is text to Ollama: put together it is the JSON that the model wrote."""
    lines = replay([stream("openai-json-schema")]).lines
    assert json.loads("".join(entry["message"]["content"] for entry in lines)) == {"name": 'O"Hara', "n": [1, 2]}


HE = {"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169]}
HO = {"token": "Ho", "logprob": -1.5, "bytes": [72, 111]}
BANG = {"token": "!", "logprob": -0.5, "bytes": [33]}
DOT = {"token": ".", "logprob": -2.0, "bytes": [46]}


def test_logprobs_ride_with_their_text() -> None:
    """Contract 3.8: each line carries the entries of its own tokens, alternatives only if they were asked for."""
    lines = replay([stream("openai-logprobs")], top_logprobs=2).lines
    expected = [[{**HE, "top_logprobs": [HE, HO]}], [{**BANG, "top_logprobs": [BANG, DOT]}], None]
    assert [entry.get("logprobs") for entry in lines] == expected
    assert replay([stream("openai-logprobs")], top_logprobs=0, streamed=False).body["logprobs"] == [HE, BANG]


@pytest.mark.parametrize(
    ("name", "content", "message", "counts"),
    [
        ("openai-chat", "Hello!\nHow can I help?", {}, (19, 10)),
        ("openai-tools", "", {"tool_calls": [BOSTON]}, (82, 17)),
    ],
    ids=["text", "a tool call"],
)
def test_a_documented_whole_reply_is_answered_whole_and_in_lines(
    name: str, content: str, message: dict[str, Any], counts: tuple[int, int]
) -> None:
    """E13: the backend's choice to stream or not is not the client's."""
    body = (DOCUMENTED / f"{name}.json").read_bytes()
    assert replay([body], JSON, streamed=False).body == end(counts, content=content, **message)
    assert replay([body], JSON).lines == [line(content, **message), end(counts)]


def said(body: bytes) -> tuple[str, str, list[dict[str, Any]], dict[str, Any]]:
    """What a real stream says, read in the plainest way: text, thinking, fragments of calls, the last chunk."""
    chunks = [json.loads(data) for data in body.decode().removesuffix("\n\ndata: [DONE]\n\n").split("data: ")[1:]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    thinking = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    fragments = [fragment for delta in deltas for fragment in delta.get("tool_calls", [])]
    return text, thinking, fragments, chunks[-1]


def of(replayed: Replayed, key: str) -> str:
    return "".join(entry["message"].get(key, "") for entry in replayed.lines)


@pytest.mark.parametrize("name", ["llamacpp-chat", "llamacpp-thinking", "llamacpp-tools"])
def test_a_real_stream_of_llama_cpp_is_told_in_full(name: str) -> None:
    """Its text, its thinking, its one call, its counts with the cache, and the times that it measured itself."""
    body = (RECORDINGS / f"{name}.sse").read_bytes()
    text, thinking, fragments, last = said(body)
    replayed = replay([body], SSE)
    assert (of(replayed, "content"), of(replayed, "thinking")) == (text, thinking)
    calls = [entry["message"]["tool_calls"] for entry in replayed.lines if "tool_calls" in entry["message"]]
    if fragments:
        arguments = json.loads("".join(fragment["function"]["arguments"] for fragment in fragments))
        assert calls == [[call(0, fragments[0]["id"], fragments[0]["function"]["name"], **arguments)]]
    assert bool(calls) == bool(fragments)
    final, timings = replayed.lines[-1], last["timings"]
    assert (final["prompt_eval_count"], final["eval_count"]) == (last["usage"]["prompt_tokens"], timings["predicted_n"])
    assert final["prompt_eval_count"] == timings["prompt_n"] + timings["cache_n"]
    assert final["prompt_eval_duration"] == pytest.approx(timings["prompt_ms"] * 1e6, abs=1)
    assert final["eval_duration"] == pytest.approx(timings["predicted_ms"] * 1e6, abs=1)


def test_a_real_whole_reply_of_llama_cpp_is_told_in_full() -> None:
    """The answer, the reason, and the numbers of a reply that was not streamed."""
    body = (RECORDINGS / "llamacpp-chat.json").read_bytes()
    reply = json.loads(body)
    told = replay([body], JSON, streamed=False).body
    assert told["message"]["content"] == reply["choices"][0]["message"]["content"]
    assert (told["done_reason"], reply["choices"][0]["finish_reason"]) == ("length", "length")
    assert (told["prompt_eval_count"], told["eval_count"]) == (12, 24)

"""What is odd about a backend's stream, and tolerated, can be seen: in metrics, and in one line (2.G, 2.H)."""

from __future__ import annotations

import logging

import pytest

from support.proxy import PROMPT, Proxy, proxied
from support.scenario import DONE, SSE, STOP, USAGE, Scenario, check_streamed, choice, data, said, steps
from support.scripted import Chunk, Close, Reset, Send, Step
from support.waiting import eventually

RECORDER = "ollama_openai_proxy.serve.recorder"
SECRET = "canary-of-all-answers"


async def figures(proxy: Proxy, name: str) -> dict[str, float]:
    """Return the values of a figure by their labels."""
    text = (await proxy.ask("GET", "/metrics")).body.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(f"ollama_proxy_{name}")]
    return {key.removeprefix(f"ollama_proxy_{name}"): float(value) for key, value in lines}


async def test_g6_h4_h9_what_is_odd_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """G6, H4, H9: each oddity is counted, told once for a request, and the outcome is `ok`; no text is told."""
    caplog.set_level(logging.INFO)
    chunks = data(choice(None), said(SECRET), choice(None), STOP, STOP, USAGE, DONE, said("late"))
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(b": ping\n\n: ping\n\n" + chunks))
        await proxy.chat()
        assert await figures(proxy, "sse_events_total") == {"": 8}
        assert await figures(proxy, "sse_skipped_total") == {'{reason="comment"}': 2, '{reason="after_done"}': 1}
        assert await figures(proxy, "chunk_anomaly_total") == {'{kind="no_delta"}': 2, '{kind="dup_finish"}': 1}
    (line,) = [line for line in caplog.records if line.name == RECORDER]
    assert (line.levelname, line.getMessage()) == ("INFO", "the upstream's reply was odd")
    assert line.__dict__["anomalies"] == {"no_delta": 2, "dup_finish": 1}
    (exchange,) = [line.__dict__ for line in caplog.records if line.__dict__.get("route") == "/api/chat"]
    assert exchange["outcome"] == "ok"
    assert SECRET not in caplog.text
    assert PROMPT not in caplog.text


async def test_h3_nothing_is_told_of_a_usual_stream(caplog: pytest.LogCaptureFixture) -> None:
    """H3: a stream as OpenAI sends it, comments beside it, is not odd: usage without choices is as it should be."""
    caplog.set_level(logging.INFO)
    usual = data(choice({"role": "assistant", "content": ""}), said("Hi"), STOP, USAGE, DONE)
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(b": ping\n\n" + usual))
        await proxy.chat()
        await proxy.chat(stream=False)
        assert await figures(proxy, "chunk_anomaly_total") == {}
        assert await figures(proxy, "sse_events_total") == {"": 10}
    assert [line for line in caplog.records if line.name == RECORDER] == []


CUTS: dict[str, tuple[Step, ...]] = {
    "FIN": (Close(),),
    "RST": (Reset(),),
    "half a chunk": (Send(b"ff\r\ndata: {"), Close()),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_f3_cut_after_the_reason(cut: tuple[Step, ...]) -> None:
    """F3: a connection that breaks after the finish reason has cost nothing of the answer; that is counted."""
    scenario = Scenario(data(said("Hi"), STOP), "Hi")
    async with proxied() as proxy:
        for stream in (True, False):
            proxy.upstream.script("m", (SSE, Chunk(scenario.stream), *cut))
            response = await proxy.chat(stream=stream)
            if stream:
                check_streamed(response, scenario)
            else:
                assert (response.status, response.json["message"]["content"], response.json["done"]) == (
                    200,
                    "Hi",
                    True,
                )
        await eventually(lambda: not proxy.upstream.busy)
        assert await figures(proxy, "chunk_anomaly_total") == {'{kind="truncated_after_finish"}': 2}


@pytest.mark.parametrize("failing", [data("garbage"), data(choice({"content": 7}, "error"))], ids=["JSON", "reason"])
async def test_h1_failure_is_an_outcome(failing: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """H1: what fails an answer is its outcome, and is counted with the rest."""
    caplog.set_level(logging.INFO)
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(data(said("Hi")) + failing))
        await proxy.chat()
        counted = await figures(proxy, "chunk_anomaly_total")
    (exchange,) = [line.__dict__ for line in caplog.records if line.__dict__.get("route") == "/api/chat"]
    fatal = failing == data("garbage")
    assert counted == ({'{kind="invalid_json"}': 1} if fatal else {})
    assert exchange["outcome"] == ("up_protocol" if fatal else "up_midstream_error")

"""A stream that is cut, after each of its bytes and in every way: a good end or an error, and never both (F2, F3, G12).

The completion rule (2.0): a stream is whole once a finish reason, [DONE] or usage after content was there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import pytest

from support.proxy import Proxy, proxied
from support.rawclient import Response
from support.scenario import SSE, TAIL, Heard, called, choice, data, fragment, said
from support.scripted import Chunk, Close, End, Reset, Send, Step

CUT = "the upstream closed the stream before finishing"
STREAMS = {
    "text": data(choice({"role": "assistant"}), said("H"), said("é")) + TAIL,
    "thinking": data(choice({"reasoning": "hm"}), said("Hi")) + TAIL,
    "call": data(called(fragment(0, "a", "f", '{"x"')), called(fragment(0, arguments=":1}"))) + TAIL,
    "CRLF": (b": hello\n\n" + data(said("Hi")) + TAIL).replace(b"\n", b"\r\n"),
}
WAYS: dict[str, tuple[Step, ...]] = {
    "end": (End(),),
    "FIN": (Close(),),
    "RST": (Reset(),),
    "cut chunk": (Send(b"ff\r\n"), Close()),
    "half a size": (Send(b"f"), Close()),
    "bad size": (Send(b"zz\r\n"), Close()),
}
# What is wrong with the framing of HTTP has little to do with what is in it.
CASES = [(name, way) for way in WAYS for name in STREAMS if name == "text" or way in ("end", "FIN", "RST")]


def is_whole(prefix: bytes) -> bool:
    """Whether the rule holds within the prefix: here the finish reason is what comes first."""
    return bool(re.search(rb'data: [^\r\n]*"finish_reason": ?"stop"[^\r\n]*\}\]\}', prefix))


def scripts(stream: bytes, way: str) -> list[Sequence[Step]]:
    """The stream cut after each byte."""
    return [(SSE, Chunk(stream[:at]), *WAYS[way]) for at in range(1, len(stream) + 1)]


async def ask_all(proxy: Proxy, answers: Sequence[Sequence[Step]], *, stream: bool) -> list[Response]:
    """Return what a client gets of each answer; some at a time."""
    for number, steps in enumerate(answers):
        proxy.upstream.script(f"m{number}", steps)
    responses: list[Response] = []
    for first in range(0, len(answers), 40):
        some = range(first, min(first + 40, len(answers)))
        responses += await asyncio.gather(*(proxy.chat(f"m{number}", stream=stream) for number in some))
    return responses


def told(response: Response) -> tuple[bool, Heard]:
    """Return whether a stream ended well, and what it said; it ends once, with `done` or an error."""
    if response.status != 200:
        assert set(response.json) == {"error"}
        assert response.status == 502
        return False, Heard()
    *records, last = response.lines
    assert not any("error" in record or record["done"] for record in records)
    assert ("error" in last) != last.get("done", False)
    return "error" not in last, Heard.of([record["message"] for record in (*records, last) if "message" in record])


@pytest.mark.parametrize(("name", "way"), CASES)
async def test_f2_f3_g12_stream_cut_at_every_byte(name: str, way: str) -> None:
    """F2, F3, G12: cut after any byte, a stream ends in `done` only if the rule held, and says only what was sent.

    Where the body ended in order, all that was sent is told.
    """
    stream = STREAMS[name]
    async with proxied(forward_unknown_models=True) as proxy:
        (whole,) = await ask_all(proxy, [(SSE, Chunk(stream), End())], stream=True)
        _, expected = told(whole)
        for at, response in enumerate(await ask_all(proxy, scripts(stream, way), stream=True), 1):
            ended, heard = told(response)
            assert expected.text.startswith(heard.text)
            assert expected.thinking.startswith(heard.thinking)
            assert heard.calls == (expected.calls if ended else ())
            assert not ended or (is_whole(stream[:at]) and heard == expected), at
            assert ended or way != "end" or not is_whole(stream[:at]), at


@pytest.mark.parametrize("way", ["end", "FIN"])
@pytest.mark.parametrize("name", ["text", "call"])
async def test_f2_f3_g12_whole_answer_cut_at_every_byte(name: str, way: str) -> None:
    """F2, F3, G12: a client that waits for the whole answer gets all of it, or a status and nothing of the text."""
    stream = STREAMS[name]
    async with proxied(forward_unknown_models=True) as proxy:
        (whole,) = await ask_all(proxy, [(SSE, Chunk(stream), End())], stream=False)
        for at, response in enumerate(await ask_all(proxy, scripts(stream, way), stream=False), 1):
            if response.status == 200:
                assert is_whole(stream[:at]), at
                assert response.json["message"] == whole.json["message"]
                assert response.json["done"] is True
            else:
                assert response.status == 502
                assert set(response.json) == {"error"}
                assert way != "end" or not is_whole(stream[:at])

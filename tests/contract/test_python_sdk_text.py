"""Text that readers of lines and of JSON stumble over, as the official SDK reassembles it (T13, T14, B16, B17)."""

from __future__ import annotations

import json

import ollama
import pytest

from contract.wire import user
from support.proxy import Proxy, proxied
from support.scenario import DONE, STOP, data, said, steps
from support.scripted import Step

CONTROLS = "".join(map(chr, range(32))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0)))
TEXTS = {
    "separators": "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee",
    "control characters": CONTROLS,
    "beyond the basic plane": "é日😀👩‍👩‍👧\U0010ffff",
    "noncharacters": "\ufeff\ufffe\uffff\ufffd",
    "the end of a stream": '"}\n{"done":true}\n\ndata: [DONE]\n\n',
    "an error record": '{"error":"no"}\n',
    "tags further down": "x <think>no</think>",
    "white space": " \n\t ",
}


async def hear(proxy: Proxy, script: tuple[Step, ...]) -> tuple[str, str]:
    """Return what the SDK makes of an answer, as a stream and whole."""
    proxy.upstream.script("m", script)
    client = ollama.AsyncClient(proxy.url, trust_env=False, timeout=30)
    streamed = [part.message.content or "" async for part in await client.chat("m", [user("Hi")], stream=True)]
    whole = (await client.chat("m", [user("Hi")])).message.content or ""
    await client._client.aclose()  # the SDK has no other way to close
    return "".join(streamed), whole


@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "raw"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_b16_b17_t13_t14_text_arrives_as_it_was(text: str, escaped: bool) -> None:
    """B16, B17, T13, T14: whatever the text, and in whatever pieces, the SDK reassembles it to the character."""
    async with proxied() as proxy:
        for pieces in ([text], list(text)):
            written = [json.dumps(said(piece), ensure_ascii=escaped) for piece in pieces]
            assert await hear(proxy, steps(data(*written, STOP, DONE), 5)) == (text, text)


async def test_b17_character_that_is_cut_in_two() -> None:
    """B17: halves of a surrogate pair in two chunks are one character; a half that stays alone is U+FFFD."""
    parts = ("a\\ud83d", "\\ude00b", "\\ud83dc")
    halves = [f'{{"choices":[{{"delta":{{"content":"{part}"}}}}]}}' for part in parts]
    async with proxied() as proxy:
        assert await hear(proxy, steps(data(*halves, STOP, DONE))) == ("a😀b\ufffdc",) * 2


@pytest.mark.parametrize("character", ["x", "\u2028", "😀", "\x01"], ids=ascii)
async def test_b17_t15_token_of_a_megabyte(character: str) -> None:
    """B17, T15: a single token of a megabyte arrives to the character."""
    text = character * (1_000_000 // len(character.encode()))
    async with proxied() as proxy:
        assert await hear(proxy, steps(data(said(text), STOP, DONE))) == (text, text)

"""Chunks that repeat the one before, but for their text: only that is read of them.

A parser that is given the same bytes as before is in the same state at their end. So if a chunk has the bytes of the
one before in front of its text and behind it, and a JSON string in between, it says the same, with that string as text.
What it says has then been found out already: `learned` asks for nothing but one piece of text.
"""

from __future__ import annotations

import msgspec

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.translate.events import NO_USAGE, Event, Odd, Pieces, TextDelta, ThinkingDelta
from ollama_openai_proxy.translate.openai.completion import Completion
from ollama_openai_proxy.translate.openai.wire import UNREADABLE, strictly

# OpenAI's random text, of another length in each chunk: nobody who sees the sizes of packets is to tell words by them.
_PADDING = b'"obfuscation":"'

_LF = ord("\n")
_MOST = 16 * 1024  # bytes around a text: more are not kept, for as long as the stream lasts

_encode = msgspec.json.encode
_encode_lines = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(list[str]).decode


class Repeats:
    """What the chunks of a stream have around their text."""

    __slots__ = ("_after", "_before", "_between", "_padding", "_size", "_thinking", "taken")

    def __init__(self, before: bytes, padding: bytes, after: bytes, *, thinking: bool) -> None:
        """`before` and `after` are what the JSON of a chunk has around its text, the quotes included. Where there is
        padding, `padding` is what stands between text and padding, and `after` what follows that."""
        self._before = b"data: " + before
        self._padding = padding
        self._after = after + b"\n\n"
        self._between = self._after + self._before
        self._size = len(self._between)
        self._thinking = thinking
        self.taken = False  # whether any chunk was like that

    def fits(self, data: bytes) -> bool:
        """Whether this chunk, which says a text, has the same around it."""
        return data.startswith(self._before[6:]) and data.endswith(self._after[:-2]) and self._padding in data

    def take(self, read: bytes, out: list[Event]) -> tuple[int, bytes]:
        """Append the text of the chunks with which `read` begins; return how many these are, and what follows them."""
        body = read.removeprefix(self._before)
        text = body.removesuffix(self._after)
        if len(read) - len(text) == self._size and _LF not in text:  # one chunk, the usual read
            text = self._unpadded(text) if self._padding else text
            json, count, rest = _plain(text) or _json([text]), 1, b""
        else:
            texts, rest = self._texts(body) if len(body) < len(read) else ([], b"")
            json, count = _json(texts), len(texts)
        if not json:
            return 0, read
        self.taken = True
        out.append(Pieces(json, count, self._thinking))
        return count, rest

    def _texts(self, body: bytes) -> tuple[list[bytes], bytes]:
        """Return the texts of the chunks as they came, without the quotes, and what follows the last whole one.

        `body` lacks what stands before the first.
        """
        texts = body.split(self._between)
        last, ends, rest = texts.pop().partition(self._after)
        if ends:
            texts.append(last)
        else:
            rest = self._before + last
        return [self._unpadded(text) for text in texts] if self._padding else texts, rest

    def _unpadded(self, text: bytes) -> bytes:
        """Return the text without what pads it; b"" where there is no such string."""
        text, found, padding = text.partition(self._padding)
        return text if found and (not padding or _plain(padding)) else b""


def _plain(body: bytes) -> bytes:
    """Return a JSON string of this body, if it needs no escapes and has none; else b""."""
    try:
        json = _encode(body.decode())
    except UnicodeDecodeError:
        return b""
    return json if 2 < len(json) == len(body) + 2 else b""


def _json(bodies: list[bytes]) -> bytes:
    """Return what `Pieces` has of texts, of each of which this is what stood between its quotes.

    Nothing where one of them is empty, or no JSON string.
    """
    if not all(bodies):
        return b""
    if _plain(b" ".join(bodies)):
        return b'"%b"' % b'"\n"'.join(bodies)
    try:
        # No string has a line feed in it: where one text leaves its string, this is no JSON.
        texts = _decode(b'["%b"]' % b'",\n"'.join(bodies))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b""
    return _encode_lines(texts)[:-1] if len(texts) == len(bodies) else b""


def learned(data: bytes, said: TextDelta | ThinkingDelta, *, passive: bool) -> Repeats | None:
    """Return what chunks like this one have around their text; None where that is not all they say.

    `data` is the chunk, `said` what came of it, `passive` whether think tags are no longer looked for. The chunk is
    read once more with another text: so it shows where in the bytes the text stands, and what else the chunk does.
    """
    before, found, after = data.partition(_encode(said.text))
    if not found or len(before) + len(after) > _MOST:
        return None
    if _LF in before or _LF in after:  # of several lines, each of which has a field of its own
        return None
    padding, random, after = _padding(after)
    other = type(said)(said.text + "?")
    data = b"".join((before, _encode(other.text), padding, random, after))
    odd: Odd = {}
    events: list[Event] = []
    completion = Completion((), odd, passive=passive)
    try:
        completion.add(strictly(data), events, data)
    except (UpstreamError, *UNREADABLE):
        return None
    as_before = completion.open and completion.usage == NO_USAGE
    as_before = as_before and completion.passive == passive and not completion.holds
    if events != [other] or odd or not as_before:
        return None
    end = b'"' + (padding or after)
    return Repeats(before + b'"', *((end, after) if padding else (b"", end)), thinking=type(said) is ThinkingDelta)


def _padding(after: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what stands before the padding, other padding, and what follows it; what there is, if there is none."""
    before, found, padded = after.partition(_PADDING)
    if not found:
        return b"", b"", after
    padding, _, rest = padded.partition(b'"')
    return before + found, padding + b"?", b'"' + rest

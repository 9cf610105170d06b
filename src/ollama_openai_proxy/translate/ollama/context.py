"""`context`: integers that carry a conversation through `/api/generate` (contract 5.7, 11.4).

Ollama's are tokens, which no backend here tells. Ours hold the conversation itself:

    [MAGIC, size, checksum, data, data, ...]

`data` are three bytes each, the last filled up with zeros: numbers that a 32-bit integer holds, of all
clients. The bytes, `size` of them, are zlib's, of MessagePack: a list of `[role, text]`. They are no
secret to a client and give it no power: it could have sent the same messages itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.text import mend

# Far beyond what is a token's number; the last byte is the version.
_FAMILY = 0x4F435800
MAGIC = _FAMILY + 1
# The most bytes of a conversation. What is older than the newest so many is left out.
LIMIT = 256 * 1024
_TURN = 16  # bytes that a turn costs beside its text, at most
_ROUND = 2  # turns: a prompt and its answer
_HEAD = 3
_MAX_NUMBERS = _HEAD + (LIMIT + LIMIT // 16) // 3
_CHECKSUM = 0x7FFFFFFF

Role = Literal["system", "user", "assistant"]


class Turn(NamedTuple):
    """What one side said: text alone, because images would not fit."""

    role: Role
    text: str


_decoder = msgspec.msgpack.Decoder(list[tuple[Role, str]])


def encode(turns: Sequence[Turn]) -> list[int]:
    """Return the numbers that carry the turns: those that fit, the newest first to be kept.

    A system prompt stays as long as it leaves room for half. Of the last prompt and its answer, at
    least the ends stay. What is left begins with a prompt: backends refuse an answer to nothing.
    """
    turns = [Turn(turn.role, mend(turn.text)) for turn in turns]
    data = zlib.compress(msgspec.msgpack.encode(_newest(turns)), 1)
    padded = data + bytes(-len(data) % 3)
    wide = bytearray(len(padded) // 3 * 4)
    for byte in range(3):
        wide[byte::4] = padded[byte::3]
    return [MAGIC, len(data), zlib.crc32(data) & _CHECKSUM, *struct.unpack(f"<{len(wide) // 4}I", wide)]


def decode(numbers: Sequence[int] | None) -> list[Turn]:
    """Return the turns: none for numbers that are not ours, such as a real server's tokens.

    Raises InvalidRequest for ours that were damaged.
    """
    if not numbers or numbers[0] & ~0xFF != _FAMILY:
        return []
    try:
        return [Turn(role, text) for role, text in _checked(_decoder.decode(_inflated(numbers)))]
    except (ValueError, msgspec.DecodeError, struct.error, zlib.error, RecursionError):
        raise InvalidRequest("invalid context") from None


def _inflated(numbers: Sequence[int]) -> bytes:
    """Return the bytes that the numbers hold. Raises ValueError, struct.error and zlib.error."""
    if numbers[0] != MAGIC or not _HEAD < len(numbers) <= _MAX_NUMBERS:
        raise ValueError
    wide = struct.pack(f"<{len(numbers) - _HEAD}I", *numbers[_HEAD:])
    padded = bytearray(len(wide) // 4 * 3)
    for byte in range(3):
        padded[byte::3] = wide[byte::4]
    size, checksum = numbers[1], numbers[2]
    data = bytes(padded[: max(size, 0)])
    if any(wide[3::4]) or not 0 <= len(padded) - size < 3 or any(padded[size:]):
        raise ValueError
    if zlib.crc32(data) & _CHECKSUM != checksum:
        raise ValueError
    inflating = zlib.decompressobj()
    inflated = inflating.decompress(data, LIMIT + 1)
    if not inflating.eof or inflating.unused_data or len(inflated) > LIMIT:
        raise ValueError
    return inflated


def _checked(turns: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    """Return the turns. Raises ValueError where a system prompt does not come first."""
    if any(role == "system" for role, _ in turns[1:]):
        raise ValueError
    return turns


def _newest(turns: list[Turn]) -> list[Turn]:
    """Return what fits."""
    room = LIMIT - _TURN
    system = [turn for turn in turns[:1] if turn.role == "system" and _size(turn) <= LIMIT // 2]
    room -= sum(map(_size, system))
    said = [turn for turn in turns if turn.role != "system"]
    kept: list[Turn] = []
    for role, text in reversed(said):
        turn = Turn(role, text)
        if _size(turn) > room:
            if len(kept) >= _ROUND:
                break
            spare = 0 if kept else min(sum(map(_size, said[-2:-1])), room // 2)  # an answer's, for its prompt
            turn = Turn(role, _end(text, room - spare - _TURN))
        room -= _size(turn)
        kept.append(turn)
    if _ROUND < len(kept) < len(said) and kept[-1].role == "assistant":
        kept.pop()
    return system + kept[::-1]


def _size(turn: Turn) -> int:
    return len(turn.text.encode()) + _TURN


def _end(text: str, size: int) -> str:
    """Return as much of the text's end as so many bytes hold."""
    return text.encode()[-size:].decode(errors="ignore") if size > 0 else ""


class Conversation:
    """A conversation, and the answer that is being added to it."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._answer: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Take in a piece of the answer; of a long one, its end is kept."""
        self._answer.append(text)
        self._size += len(text)
        if self._size > 2 * LIMIT:
            self._answer = ["".join(self._answer)[-LIMIT:]]
            self._size = LIMIT

    def numbers(self) -> list[int]:
        """Return the `context` of the answer so far."""
        return encode([*self._turns, Turn("assistant", "".join(self._answer))])

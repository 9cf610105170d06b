"""The narrow waist: what a reply consists of, whoever sent it and whoever reads it.

A decoder yields any number of deltas, then at most one `Usage`, then exactly one `Finish`; or it
raises an `UpstreamError`. Nothing follows either of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

Odd = dict[str, int]
"""How often a backend did what it should not, or sent what is skipped; by names that are not many."""

_texts = msgspec.json.Decoder(str)

NOTHING_ODD: Mapping[str, int] = MappingProxyType({})


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer; never empty."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's reasoning; never empty."""

    text: str


class Pieces(msgspec.Struct, frozen=True, gc=False):
    """Pieces of the answer, or of the reasoning, that came at once: the same as a delta for each of them.

    `json` has their texts as msgspec writes them, with a line feed between two of them, which no such string holds, and
    `count` is how many they are.
    """

    json: bytes
    count: int = 1
    thinking: bool = False

    def texts(self) -> list[str]:
        """Return the pieces, none of them empty."""
        return _texts.decode_lines(self.json)


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of tool call number `call` (0, 1, ...).

    Each of `id`, `name` and `arguments` (JSON text) is the concatenation of its pieces; "" adds
    nothing. Repetitions that some backends send are already left out.
    """

    call: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Logprobs(msgspec.Struct, frozen=True):
    """Log probabilities of the tokens in the delta that follows: OpenAI's `logprobs.content`."""

    entries: list[dict[str, Any]]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What the backend says it spent: tokens, and nanoseconds where it measures them itself."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_ns: int | None = None
    completion_ns: int | None = None


NO_USAGE = Usage()


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The end, with the backend's finish reason (`stop`, `length`, `tool_calls`, ...)."""

    reason: str


Event = TextDelta | ThinkingDelta | Pieces | ToolCallDelta | Logprobs | Usage | Finish


def note(odd: Odd, what: str) -> None:
    """Count `what`."""
    odd[what] = odd.get(what, 0) + 1


class Facts(NamedTuple):
    """What a reply was, for those who count. The first and last token: nanoseconds since the request
    arrived, None if none came piece by piece. `events`: how many of a stream were read, `odd`: what was
    strange about them, and harmless unless the reply failed."""

    usage: Usage = NO_USAGE
    finish_reason: str = ""
    first_token: int | None = None
    last_token: int | None = None
    events: int = 0
    odd: Mapping[str, int] = NOTHING_ODD

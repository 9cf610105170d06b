"""Tokens that tell what was lost on the way: each has its place in a chain of hashes, and the time it was made at.

A token is `STREAM.PLACE.TIME.DIGEST;`, places count from 0, the time is in nanoseconds of the monotonic clock, and the
digest covers the token and all before it in its stream.
"""

from __future__ import annotations

import hashlib

END = ";"
_SHOWN = 16
_PARTS = 4


class Chain:
    """Makes the tokens of one stream."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._place = 0
        self._before = b""

    def token(self, now: int) -> str:
        """Return the next token. `now`: nanoseconds."""
        text = f"{self._stream}.{self._place}.{now}"
        self._place += 1
        self._before = _digest(self._before, text)
        return f"{text}.{self._before.hex()[:_SHOWN]}{END}"


class Ledger:
    """Checks the tokens of one stream as they come, in pieces of any size, and keeps how long each was on its way."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._rest = ""
        self._before = b""
        self.tokens = 0
        """How many came, right or wrong."""
        self.delays: list[float] = []
        """Seconds, one for each token that was right."""
        self.problems: list[str] = []

    def take(self, text: str, now: int) -> None:
        """Check the next piece of the stream, which came at `now`."""
        *tokens, self._rest = (self._rest + text).split(END)
        for token in tokens:
            self._check(token, now)

    def end(self, tokens: int) -> None:
        """Check that so many tokens have come, each whole."""
        if self._rest:
            self._wrong(f"ends within a token: {self._rest[:80]!r}")
        if self.tokens != tokens:
            self._wrong(f"{self.tokens} tokens of {tokens}")

    def _check(self, token: str, now: int) -> None:
        due, self.tokens = self.tokens, self.tokens + 1
        parts = token.split(".")
        if len(parts) != _PARTS or not (parts[1].isdigit() and parts[2].isdigit()):
            self._wrong(f"no token: {token[:80]!r}")
            return
        stream, place, made, digest = parts
        self._before = _digest(self._before, token.rpartition(".")[0])
        if stream != self._stream:
            self._wrong(f"a token of {stream}")
        elif int(place) != due:
            self._wrong(f"token {place} in place {due}")
        elif digest != self._before.hex()[:_SHOWN]:
            self._wrong(f"token {place} follows others than those that came")
        else:
            self.delays.append((now - int(made)) / 1e9)

    def _wrong(self, what: str) -> None:
        self.problems.append(f"{self._stream}: {what}")


def _digest(before: bytes, text: str) -> bytes:
    return hashlib.sha256(before + text.encode()).digest()

"""Guards of the proxy against its backend, and how to break each."""

from __future__ import annotations

from faults.mutant import Mutant

REACHING = (
    Mutant(
        "a fresh connection that died is tried again",
        "upstream/sender.py",
        "                if trace.reused and not is_half_head(error):",
        "                if not is_half_head(error):",
        ("J5", "D8"),
    ),
    Mutant(
        "a stale connection is an error",
        "upstream/sender.py",
        "                if trace.reused and not is_half_head(error):",
        "                if False:",
        ("D9", "T17"),
    ),
    Mutant(
        "repeats without a budget",
        "upstream/retries.py",
        "        if sum(self._balances) + _FLOOR < 1 - 1e-6:",
        "        if False:",
        ("J4",),
    ),
    Mutant(
        "the breaker never opens",
        "upstream/breaker.py",
        "            if not self._limits.failures or self._failures < self._limits.failures:",
        "            if True:",
        ("J7",),
    ),
    Mutant(
        "all try at once after the pause",
        "upstream/breaker.py",
        "        if now < self._until:",
        '        if now < self._until and self.state == "open":',
        ("J8",),
    ),
    Mutant(
        "link-local addresses are connected to",
        "upstream/resolver.py",
        "[address for address in found if not _is_forbidden(address)]",
        "found",
        ("M15",),
    ),
)
REPLIES = (
    Mutant(
        "what nobody asked for is the next answer",
        "upstream/heads.py",
        "super().is_connected() and not self._buffer and",
        "super().is_connected() or",
        ("E7", "T11"),
    ),
    Mutant(
        "the end of the bytes is the end of the answer",
        "translate/openai/completion.py",
        "        if self._reason or self._terminated:\n            self.end(out)",
        "        if self._any:\n            self.end(out)",
        ("F2", "G12"),
    ),
    Mutant(
        "an error in the stream is nothing",
        "translate/openai/completion.py",
        "        if chunk.error:\n            raise",
        "        if False:\n            raise",
        ("I5", "I7"),
    ),
    Mutant(
        "an error as a finish reason is success",
        "translate/openai/completion.py",
        "            if failed := _FAILED.get(reason.lower()):",
        '            if failed := "":',
        ("H12",),
    ),
    Mutant(
        "the idle timer is skipped",
        "deadlines.py",
        "            self._next = self._time() + self._idle",
        "            self._next = _NEVER",
        ("F6",),
    ),
    Mutant(
        "comments keep a stream alive for ever",
        "deadlines.py",
        "        return min(self._since + self._step, self._part_since + self._part)",
        "        return self._part_since + self._part",
        ("F8",),
    ),
    Mutant(
        "half an event keeps a stream alive",
        "deadlines.py",
        "        return min(self._since + self._step, self._part_since + self._part)",
        "        return self._since + self._step",
        ("F7",),
    ),
    Mutant("a late timer does not wait for what arrived", "deadlines.py", "_TURNS = 3", "_TURNS = 0", ("J18",)),
    Mutant(
        "replies without end", "upstream/reply.py", "        if self._left < 0:", "        if False:", ("F10", "F11")
    ),
    Mutant(
        "replies that unpack without end",
        "upstream/inflate.py",
        "        if self._given > _FREE + _RATIO * self._taken:",
        "        if False:",
        ("E16", "T19"),
    ),
    Mutant(
        "half of a packed reply is the whole",
        "upstream/inflate.py",
        "        if self._inflate and not self._inflate.eof:\n            raise UpstreamBroken(TRUNCATED",
        "        if False:\n            raise UpstreamBroken(TRUNCATED",
        ("E16",),
    ),
    Mutant(
        "a redirect is an answer",
        "upstream/client.py",
        "        if 300 <= status < 400 and status != 304:",
        "        if False:",
        ("E11",),
    ),
    Mutant(
        "the key is told",
        "translate/openai/errors.py",
        '        message = message.replace(secret, "[key]")',
        "        pass",
        ("I19", "M3"),
    ),
    Mutant(
        "a cut stream ends as if it were whole",
        "serve/exchange.py",
        "            await self._break_off(error, send)\n        else:",
        '            await self._send(send, b"", last=True)\n        else:',
        ("F2",),
    ),
)

"""Server-sent events, on bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Odd, note

Event = tuple[bytes, bytes]
"""The event's name, or b"", and its data."""

BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"  # as numbers, which are looked for in bytes in a tenth of the time
TOO_LARGE = "the upstream sent an event that is too large"
# What a line may hold beside its data: the field's name, a byte order mark.
_MARGIN = 16


class Splitter:
    """Cuts a byte stream into events, however the reads cut it.

    Only LF, CR and CRLF end a line: text may hold U+2028, U+2029 and U+0085. Comments and the
    fields `id` and `retry` are dropped, as are events without data. The field `error`, which llama.cpp has in place of
    an event of that name, becomes one.
    """

    def __init__(self, limit: int, odd: Odd) -> None:
        """`limit`: the most bytes that one event may hold. `odd` counts what is skipped."""
        self._limit = limit
        self._odd = odd
        self.held: list[bytes] = []  # of a line that has not ended
        self._held_size = 0
        self._data: list[bytes] = []  # of an event that has not ended
        self._data_size = 0
        self._name = b""
        self._after_cr = False
        self._started = False

    @property
    def partial(self) -> bool:
        """Whether part of an event is there, or of a line."""
        return bool(self.held or self._data)

    @property
    def between(self) -> bool:
        """Whether the next line is the first of an event, even if part of it is held."""
        return not (self._data or self._name or self._after_cr)

    def give_back(self) -> bytes:
        """Return what is held of a line, as if it had never been read."""
        held = b"".join(self.held)
        self.held.clear()
        self._held_size = 0
        return held

    def feed(self, read: bytes, out: list[Event]) -> None:
        """Append each event that `read` completes to `out`.

        Raises UpstreamBroken, after the events before it, when an event exceeds the limit.
        """
        if _CR in read or self._after_cr:
            read = self._normalise(read)
        if _LF not in read:
            self._hold(read)
            return
        if self.held:
            read = self.give_back() + read
        whole = read.endswith(b"\n\n") and not self._data and not self._name
        if whole and (self._started or not read.startswith(BOM)):
            self._blocks(read, out)
            return
        lines = read.split(b"\n")
        rest = lines.pop()
        self._lines(lines, out)
        self._hold(rest)

    def close(self, out: list[Event]) -> None:
        """Append the last event where the stream ended without its blank line.

        The specification drops it; backends that close at once after the last event are too many
        to follow it. Whoever reads half an event finds that it does not parse.
        """
        if self.held:
            self._field(self.give_back())
        if self._data:
            self._dispatch(out)

    def _blocks(self, read: bytes, out: list[Event]) -> None:
        """The usual read: whole events, of one line each."""
        self._started = True
        limit = self._limit
        for block in read[:-2].split(b"\n\n"):
            if block.startswith(b"data: ") and _LF not in block and 6 < len(block) <= limit:
                out.append((b"", block[6:]))
            else:
                self._lines([*block.split(b"\n"), b""], out)

    def _lines(self, lines: list[bytes], out: list[Event]) -> None:
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                self._dispatch(out)
            else:
                self._started = True
                self._name = b""

    def _normalise(self, read: bytes) -> bytes:
        if self._after_cr and read.startswith(b"\n"):
            read = read[1:]
            self._after_cr = False
        if read:
            self._after_cr = read.endswith(b"\r")
        return read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, part: bytes) -> None:
        if part:
            self.held.append(part)
            self._held_size += len(part)
            if self._held_size > self._limit + _MARGIN:
                raise UpstreamBroken(TOO_LARGE)

    def _field(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._add(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif not self._started and line.startswith(BOM):
            self._started = True
            self._field(line[len(BOM) :])
        elif line.startswith(b":"):
            note(self._odd, "comment")
        elif line.startswith(b"error:"):  # a field of llama.cpp's own
            self._name = b"error"
            self._add(line[6:])
        elif not line.startswith((b"id:", b"retry:")):
            note(self._odd, "unknown_field")
        self._started = True

    def _add(self, data: bytes) -> None:
        self._data.append(data)
        self._data_size += len(data) + 1  # the line feed that joins it to the next
        if self._data_size > self._limit + 1:
            raise UpstreamBroken(TOO_LARGE)

    def _dispatch(self, out: list[Event]) -> None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        if data:
            out.append((self._name, data))
        else:
            note(self._odd, "empty")
        self._data.clear()
        self._data_size = 0
        self._name = b""

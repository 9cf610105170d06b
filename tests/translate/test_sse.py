"""Server-sent events, however the bytes are cut (rows G1 to G18 of the fault matrix)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.sse import Event, Splitter

LIMIT = 64


def split(*reads: bytes, limit: int = LIMIT, close: bool = False) -> list[Event]:
    splitter = Splitter(limit, {})
    out: list[Event] = []
    for read in reads:
        splitter.feed(read, out)
    if close:
        splitter.close(out)
    return out


def cuts(stream: bytes) -> list[tuple[bytes, ...]]:
    """The stream in one read, in single bytes, and cut at each position, with an empty read there."""
    single = tuple(stream[at : at + 1] for at in range(len(stream)))
    return [(stream,), single, *((stream[:at], b"", stream[at:]) for at in range(len(stream) + 1))]


A_B = [(b"", b"a"), (b"", b"b")]
A_ERROR_C = [(b"", b"a"), (b"error", b"b"), (b"", b"c")]
SEPARATORS = "a\u2028b\u2029c\u0085d\x0b\x0c".encode()
CHARACTERS = "é日😀".encode()
FRAMES = [
    pytest.param(b"data: a\n\ndata: b\n\n", A_B, id="G2 LF"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", A_B, id="G2 CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", A_B, id="G2 lone CR"),
    pytest.param(b"data: a\r\n\ndata: b\r\r\ndata: c\n\r\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")], id="G2 mixed"),
    pytest.param(b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", [(b"e", b"a\nb")], id="G2 CRLF within an event"),
    pytest.param(b"event: e\rdata: a\rdata: b\r\r", [(b"e", b"a\nb")], id="G2 lone CR within an event"),
    pytest.param(b"data: a\n\n\n\n\ndata: b\n\n\n", A_B, id="blank lines without number"),
    pytest.param(b"\n\ndata: a\n\n", [(b"", b"a")], id="blank lines first"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", A_B, id="G3 byte order mark"),
    pytest.param(b"\xef\xbb\xbf: hello\ndata: a\n\n", [(b"", b"a")], id="G3 before a comment"),
    pytest.param(b"xyzdata: a\n\ndata: b\n\n", [(b"", b"b")], id="G3 three other bytes are no mark"),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"", b"a")], id="G3 only at the start"),
    pytest.param(b": hello\n\xef\xbb\xbfdata: b\n\n", [], id="G3 not after a comment"),
    pytest.param(b"\n\xef\xbb\xbfdata: b\n\n", [], id="G3 not after a blank line"),
    pytest.param(b"data:a\n\n", [(b"", b"a")], id="G4 no space"),
    pytest.param(b"data:  a\n\n", [(b"", b" a")], id="G4 one of two spaces is removed"),
    pytest.param(b"data:\ta\n\n", [(b"", b"\ta")], id="G4 a tab is no space"),
    pytest.param(b"data: {\ndata:  1\ndata: }\n\n", [(b"", b"{\n 1\n}")], id="G5 several lines"),
    pytest.param(b": OPENROUTER PROCESSING\n\n:\n\ndata: a\n\n", [(b"", b"a")], id="G6 comments"),
    pytest.param(b"data: a\n: within\ndata: b\n\n", [(b"", b"a\nb")], id="G6 comment within an event"),
    pytest.param(b"id: 7\nretry: 3000\nevent: chunk\ndata: a\n\n", [(b"chunk", b"a")], id="G7 other fields"),
    pytest.param(
        b'data: a\n\nerror: {"b":1}\n\ndata: c\n\n', [(b"", b"a"), (b"error", b' {"b":1}'), (b"", b"c")], id="I6 error"
    ),
    pytest.param(b"unknown: x\nno colon\ndata\ndata: a\n\n", [(b"", b"a")], id="G7 unknown, and without a colon"),
    pytest.param(b"data: a\n\nevent: error\ndata: b\n\ndata: c\n\n", A_ERROR_C, id="G7 a name is for one event"),
    pytest.param(b"data: a\n\nevent: error\n\ndata: b\n\n", A_B, id="G7 a name without data is forgotten"),
    pytest.param(b"data: a\n\ndata:\n\ndata: \n\ndata: b\n\n", A_B, id="G8 empty data"),
    pytest.param(b"data: " + SEPARATORS + b"\n\n", [(b"", SEPARATORS)], id="G18 other line ends are text"),
    pytest.param(b"data: " + CHARACTERS + b"\n\n", [(b"", CHARACTERS)], id="G1 text beyond ASCII"),
]


@pytest.mark.parametrize(("stream", "events"), FRAMES)
def test_g1_to_g8_events_are_the_same_wherever_the_reads_cut_them(stream: bytes, events: list[Event]) -> None:
    """The bytes alone decide what the events are: a read may end in any line end, name, character or mark."""
    for reads in cuts(stream):
        assert split(*reads) == events, reads


@pytest.mark.parametrize(
    ("tail", "events"),
    [
        pytest.param(b"data: b", [(b"", b"b")], id="G12 half a line"),
        pytest.param(b"data: b\n", [(b"", b"b")], id="G12 no blank line"),
        pytest.param(b"event: error\ndata: b\ndata: c", [(b"error", b"b\nc")], id="G12 name and several lines"),
        pytest.param(b"event: error\n", [], id="no data"),
        pytest.param(b": comment", [], id="a comment"),
        pytest.param(b"data:", [], id="empty data"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_g12_the_last_event_may_lack_its_blank_line(tail: bytes, events: list[Event]) -> None:
    """G12: a backend that closes at once after its last event has sent it all the same."""
    for reads in cuts(b"data: a\n\n" + tail):
        assert split(*reads, close=True) == [(b"", b"a"), *events], reads


@pytest.mark.parametrize(
    ("stream", "odd"),
    [
        pytest.param(b"event: e\nid: 7\nretry: 3\ndata: a\n\n", {}, id="G7 the fields of the specification"),
        pytest.param(b": a\n\n:\ndata: a\n\n", {"comment": 2}, id="G6 comments"),
        pytest.param(b"unknown: a\nno colon\ndata: a\n\n", {"unknown_field": 2}, id="G7 unknown fields"),
        pytest.param(b"data:\n\ndata: \n\n", {"empty": 2}, id="G8 empty data"),
    ],
)
def test_g6_g7_g8_what_is_skipped_is_counted(stream: bytes, odd: dict[str, int]) -> None:
    """G6 to G8: the same is counted wherever the reads cut it."""
    for reads in cuts(stream):
        counted: dict[str, int] = {}
        splitter = Splitter(LIMIT, counted)
        for read in reads:
            splitter.feed(read, [])
        assert counted == odd, reads


def test_an_event_that_has_not_ended_is_held_back() -> None:
    """An event is complete at its blank line, not at the end of a line, of a read, or of JSON."""
    assert split(b"data: a\n\n", b"data: {}") == [(b"", b"a")]
    assert split(b"data: a\n\n", b"data: {}\n") == [(b"", b"a")]


def test_g7_the_name_of_an_event_reaches_it_over_a_read() -> None:
    """`event: error` in one read and its data in the next are an error, not a chunk."""
    assert split(b"data: a\n\n", b"event: error\n", b"data: b\n\n") == [(b"", b"a"), (b"error", b"b")]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * LIMIT + b"\n\n", id="one line"),
        pytest.param(b"data:" + b"x" * LIMIT + b"\r\n\r\n", id="one line, no space, CRLF"),
        pytest.param(b"\xef\xbb\xbfdata: " + b"x" * LIMIT + b"\n\n", id="after a byte order mark"),
        pytest.param(b"data: a\n\ndata: " + b"x" * LIMIT + b"\n\n", id="the usual way"),
        pytest.param(b"data: " + b"x" * 32 + b"\ndata: " + b"x" * 31 + b"\n\n", id="several lines, with the line feed"),
    ],
)
def test_g13_an_event_as_large_as_the_limit_is_taken(stream: bytes) -> None:
    """G13: the limit counts data; framing does not make an event too large in one cut and not in another."""
    for reads in cuts(stream):
        assert len(split(*reads)[-1][1]) == LIMIT, reads


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * (LIMIT + 1) + b"\n\n", id="one line"),
        pytest.param(b"data: a\n\ndata: " + b"x" * (LIMIT + 1) + b"\n\n", id="the usual way"),
        pytest.param(b"data: " + b"x" * 32 + b"\ndata: " + b"x" * 32 + b"\n\n", id="several lines"),
        pytest.param(b"data: xxx\n" * 17, id="lines without end"),
        pytest.param(b"data:\n" * (LIMIT + 2), id="empty lines without end"),
        pytest.param(b"data: " + b"x" * LIMIT * 2, id="a line without end"),
        pytest.param(b"x" * LIMIT * 2, id="no event at all"),
    ],
)
def test_g13_an_event_beyond_the_limit_is_refused_at_once(stream: bytes) -> None:
    """G13: an event that never ends must not fill the memory, whether it comes as one line or as many."""
    for reads in cuts(stream)[1:3]:
        with pytest.raises(UpstreamBroken) as caught:
            split(*reads)
        assert caught.value.message == "the upstream sent an event that is too large"
        assert caught.value.outcome == "up_protocol"


def test_g13_the_limit_is_for_one_event_not_for_the_stream() -> None:
    """A stream of a thousand events may be as long as it likes, in whatever reads."""
    stream = b"data: 0123456789\ndata: 0123456789\n\n" * 1000
    for size in (1, 7, 36, 1000, len(stream)):
        reads = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert len(split(*reads)) == 1000


def test_g13_events_before_one_that_is_too_large_are_kept() -> None:
    """What came before the fault is still delivered, in order."""
    splitter = Splitter(LIMIT, {})
    out: list[Event] = []
    with pytest.raises(UpstreamBroken):
        splitter.feed(b"data: a\n\ndata: b\n\ndata: " + b"x" * 99 + b"\n\ndata: c\n\n", out)
    assert out == [(b"", b"a"), (b"", b"b")]


def test_g14_tiny_events_in_one_read_all_arrive_in_order() -> None:
    """G14: 50,000 events in one read are 50,000 events."""
    stream = b"".join(b"data: %d\n\n" % number for number in range(50_000))
    assert [data for _, data in split(stream)] == [b"%d" % number for number in range(50_000)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b"data: a", b"data:", b"event: e", b":", b"\n", b"\r", b"\r\n", b"x", b"\xef\xbb\xbf"])),
    st.data(),
)
def test_g1_g2_any_stream_in_any_reads_gives_the_same_events(pieces: list[bytes], data: st.DataObject) -> None:
    """G1, G2: for streams nobody would send, too, the reads make no difference."""
    stream = b"".join(pieces)
    at = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reads = [stream[start:end] for start, end in zip([0, *at], [*at, len(stream)], strict=True)]
    assert split(*reads, limit=1000, close=True) == split(stream, limit=1000, close=True)

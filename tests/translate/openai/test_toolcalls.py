"""Which call a fragment belongs to (rows H15 to H21): id, name and arguments of every call, whoever sends them how."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Event, Odd, ToolCallDelta
from ollama_openai_proxy.translate.openai.toolcalls import ToolCalls
from ollama_openai_proxy.translate.openai.wire import Function, ToolCall
from support.decoding import STOP, Call, Fragment, calls_of, decode, sse, tell, told, tools, written

ONE: list[Call] = [("a", "f", '{"x":1}')]

ONE_CALL = [
    pytest.param([(0, "a", "f", ""), (0, None, None, '{"x"'), (0, None, None, ":1}")], id="OpenAI"),
    pytest.param([(0, "a", "f", '{"x":1}')], id="all at once"),
    pytest.param([(0, "a", None, None), (0, None, "f", None), (0, None, None, '{"x":1}')], id="H15 id, then name"),
    pytest.param([(0, None, "f", None), (0, "a", None, None), (0, None, None, '{"x":1}')], id="H15 name, then id"),
    pytest.param([(0, None, "f", ""), (0, "a", "f", '{"x":1}')], id="H15 name, then id and name"),
    pytest.param([(0, "a", "", None), (0, None, "f", '{"x":1}')], id="H15 empty name, then a name"),
    pytest.param([(0, "a", "f", ""), (0, None, "", '{"x":1}')], id="H15 empty name afterwards"),
    pytest.param(
        [(0, "a", "f", ""), (0, None, "f", '{"x"'), (0, None, "f", ":1}"), (0, None, "f", "")],
        id="H15 name repeated each delta",
    ),
    pytest.param(
        [(0, "a", "f", '{"x"'), (0, "a", "f", ":1}"), (0, "a", "f", "")], id="H15 name and id repeated each delta"
    ),
    pytest.param(
        [(None, "a", "f", '{"x"'), (None, "a", "f", ":1}"), (None, "a", "f", "")],
        id="H15 name and id repeated, no index",
    ),
    pytest.param([(None, "a", "f", ""), (None, None, None, '{"x"'), (None, None, None, ":1}")], id="H16 no index"),
    pytest.param([(1, "a", "f", ""), (1, None, None, '{"x":1}')], id="H16 starts at 1"),
    pytest.param([("0", "a", "f", ""), ("0", None, None, '{"x":1}')], id="H16 index is text"),
    pytest.param([("0", "a", "f", ""), (0, None, None, '{"x":1}')], id="H16 index is text, then a number"),
    pytest.param([(None, "a", "f", ""), (0, None, None, '{"x":1}')], id="H16 index comes late"),
    pytest.param([(0, "a", "f", ""), (None, None, None, '{"x":1}')], id="H16 index stops"),
    pytest.param([(0, "a", "f", ""), (9, "a", None, '{"x"'), (None, "a", None, ":1}")], id="H16 id first"),
    pytest.param([(True, "a", "f", ""), ("one", None, None, '{"x":1}')], id="H16 index of another kind"),
    pytest.param(
        [(0, "a", "f", ""), (0, "b", None, '{"x"'), (0, "c", None, ":1}")],
        id="H17 vLLM: an id made up for each fragment",
    ),
    pytest.param([(0, "a", "f", ""), (0, "", None, '{"x":1}')], id="H17 empty id afterwards"),
    pytest.param(
        [(0, "a", None, '{"x"'), (0, None, None, ":1}"), (0, None, "f", None)], id="H19 arguments before the name"
    ),
]


@pytest.mark.parametrize("fragments", ONE_CALL)
@pytest.mark.parametrize("together", [False, True], ids=["a chunk each", "one chunk"])
def test_fragments_of_one_call_become_one_call(fragments: list[Fragment], together: bool) -> None:
    """H15 to H19: one call, its name once, its first id, its arguments complete."""
    assert calls_of(*fragments, together=together) == ONE


@pytest.mark.parametrize(("index", "call_id"), [(0, "a"), (0, None), (None, "a")], ids=["index and id", "index", "id"])
def test_a_name_in_two_pieces_is_joined(index: int | None, call_id: str | None) -> None:
    """H15: what comes before any argument, with an index or the id, is the rest of the name."""
    calls = calls_of((index, call_id, "get_", None), (index, call_id, "weather", None), (index, None, None, "{}"))
    assert calls == [(call_id or "", "get_weather", "{}")]


@pytest.mark.parametrize("name", [None, 7, ["f"], {}], ids=repr)
def test_a_name_that_is_no_text_is_none(name: Any) -> None:
    """H15: null, a number or a list is no name; the name that follows is."""
    fragment = {"index": 0, "id": "a", "function": {"name": name, "arguments": ""}}
    assert told(tools(fragment, written((0, None, "f", '{"x":1}'))), STOP).calls == ONE


@pytest.mark.parametrize("function", [{}, {"function": None}, {"function": {}}], ids=repr)
def test_a_fragment_may_have_no_function(function: dict[str, Any]) -> None:
    """H15: the id may come before anything is known of the function."""
    assert told(tools({"index": 0, "id": "a", **function}, written((0, None, "f", '{"x":1}'))), STOP).calls == ONE


def test_a_null_id_is_none() -> None:
    """H17: vLLM and others write `id: null` on all fragments but the first."""
    fragments = [
        {"index": 0, "id": "a", "function": {"name": "f"}},
        {"index": 0, "id": None, "function": {"arguments": '{"x":1}'}},
    ]
    assert told(tools(*fragments), STOP).calls == ONE


@pytest.mark.parametrize("index", ["9" * 5000, 10**30, -1, 1.5, "", "٣", None], ids=lambda index: repr(index)[:12])
def test_any_index_is_taken(index: Any) -> None:
    """H16: an index that is none, or that no integer can hold, does not break the stream."""
    assert calls_of((index, "a", "f", ""), (index, None, None, '{"x":1}'), together=False) == ONE


@pytest.mark.parametrize(
    ("sent", "arguments"),
    [
        pytest.param({"x": 1}, '{"x": 1}', id="H18 object"),
        pytest.param({}, "{}", id="H18 empty object"),
        pytest.param({"q": "é"}, '{"q": "é"}', id="H18 object with text beyond ASCII"),
        pytest.param("", "", id="H18 empty"),
        pytest.param("  ", "  ", id="H18 white space"),
        pytest.param('"{}"', '"{}"', id="H18 encoded twice"),
        pytest.param('{"x":NaN}', '{"x":NaN}', id="H18 NaN"),
        pytest.param('{"x":1,}', '{"x":1,}', id="H18 trailing comma"),
    ],
)
def test_arguments_are_passed_on_as_text(sent: Any, arguments: str) -> None:
    """H18: an object is written as JSON; text is left to whoever needs an object, who tells broken from empty."""
    assert calls_of((0, "a", "f", sent)) == [("a", "f", arguments)]


def test_null_arguments_are_none() -> None:
    """H18: `arguments: null` is not the text "null"."""
    fragment = {"index": 0, "id": "a", "function": {"name": "f", "arguments": None}}
    assert told(tools(fragment), STOP).calls == [("a", "f", "")]


def test_an_object_within_the_arguments_is_no_new_call() -> None:
    """H15: with the name on every fragment, one that begins with a brace continues arguments that are not complete."""
    calls = calls_of((0, None, "f", '{"a":'), (0, None, "f", '{"b":1}'), (0, None, "f", "}"))
    assert calls == [("", "f", '{"a":{"b":1}}')]


def test_white_space_after_the_arguments_is_no_new_call() -> None:
    """H15, H18: with the name on every fragment, only another object is another call."""
    assert calls_of((0, None, "f", '{"x":1}'), (0, None, "f", "\n")) == [("", "f", '{"x":1}\n')]


def test_arguments_too_deep_to_read_are_not_complete() -> None:
    """A backend gone mad may nest without end: the stream must not break on telling calls apart."""
    deep = "[" * 100_000
    assert calls_of((0, None, "f", deep), (0, None, "f", "{")) == [("", "f", deep + "{")]


def test_t21_an_object_too_deep_to_write_is_refused() -> None:
    """T21: an object that can just be read may be too deep to write: that is the backend's fault, not a crash."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(UpstreamBroken, match=r"^the upstream sent invalid JSON$"):
        list(ToolCalls({}).add([ToolCall(function=Function(name="f", arguments=deep))]))


def test_ten_thousand_fragments_are_one_call() -> None:
    """H19: arguments arrive a token at a time."""
    pieces = ['{"x":"', *["abc"] * 10_000, '"}']
    calls = ToolCalls({})
    events: list[Event] = []
    for piece in pieces:
        events += calls.add([ToolCall(index=0, function=Function(name="f", arguments=piece))])
    ((_, name, arguments),) = tell(events).calls
    assert (name, json.loads(arguments)) == ("f", {"x": "abc" * 10_000})


def test_a_fragment_that_adds_nothing_is_no_event() -> None:
    """Repeated ids and names are left out, so that a reader may simply concatenate."""
    calls = ToolCalls({})
    first = list(calls.add([ToolCall(index=0, id="a", function=Function(name="f", arguments=""))]))
    again = list(calls.add([ToolCall(index=0, id="a", function=Function(name="f", arguments=""))]))
    assert len(first) == 1
    assert again == []


def test_a_fragment_that_says_nothing_is_no_call() -> None:
    """H15: an index alone, or empty fields, must not become a call without a name (pipecat#4987)."""
    nothing = [{"index": 3}, {}, written((0, "", "", "")), {"index": 0, "function": {}}]
    assert told(tools(*nothing), STOP).calls == []
    first = [
        event
        for event in decode(sse(tools(*nothing, written((0, "a", "f", "{}"))), STOP))
        if isinstance(event, ToolCallDelta)
    ]
    assert first == [ToolCallDelta(0, "a", "f", "{}")]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(['{"a":"}', '{"}'], 1, id="brackets in a string"),
        pytest.param(['{"a":"\\"}', '{"}'], 1, id="a quote that is escaped"),
        pytest.param(['{"a":"\\', "{b", '{"}'], 1, id="an escape cut in two"),
        pytest.param(['{"a":"\\\\"}', "{}"], 2, id="an escaped backslash"),
        pytest.param(['{"a":[', '{"b":1}', "]}"], 1, id="an object in a list"),
        pytest.param(["{}", "{}", "{}"], 3, id="empty objects"),
        pytest.param(['{"a":1}', ' {"a":2}'], 2, id="space before the next"),
        pytest.param(["\\", "{}"], 2, id="a backslash outside of a string"),
    ],
)
def test_h15_h16_where_a_call_ends(pieces: list[str], calls: int) -> None:
    """H15, H16: with the name on every fragment and neither id nor index, only whole arguments end a call."""
    assert len(calls_of(*((None, None, "f", piece) for piece in pieces), together=False)) == calls


def test_h19_calls_without_number() -> None:
    """H19: 512 calls are taken, one more is an error."""
    calls = ToolCalls({})
    many = [ToolCall(index=number, id=f"c{number}", function=Function(name="f")) for number in range(513)]
    assert len(list(calls.add(many[:-1]))) == 512
    with pytest.raises(UpstreamBroken, match=r"^the upstream called too many tools$"):
        list(calls.add(many[-1:]))


@pytest.mark.parametrize(
    ("fragments", "odd"),
    [
        pytest.param([(0, "a", "f", "{}")], {}, id="OpenAI"),
        pytest.param([(None, "a", "f", "{}")], {"tool_no_index": 1}, id="no index"),
        pytest.param([(0, None, "f", "{}"), (1, None, "g", "{}")], {"tool_no_id": 2}, id="no ids"),
        pytest.param([(0, "a", None, None), (0, None, "f", "{}")], {"tool_late_name": 1}, id="late name"),
        pytest.param([(0, "a", "f", {"x": 1})], {"tool_bad_args": 1}, id="an object"),
    ],
)
def test_h15_h16_h17_h18_what_is_odd_is_noted(fragments: list[Fragment], odd: dict[str, int]) -> None:
    """H15 to H18: what had to be guessed is noted, by its kind and how often."""
    noted: Odd = {}
    calls = ToolCalls(noted)
    for fragment in fragments:
        list(calls.add([msgspec.convert(written(fragment), ToolCall)]))
    calls.close()
    assert noted == odd

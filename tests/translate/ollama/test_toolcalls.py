import contextlib
import re

import msgspec
import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import ToolCallDelta
from ollama_openai_proxy.translate.ollama.toolcalls import ToolCallCollector


def collect(*deltas: ToolCallDelta) -> bytes:
    collector = ToolCallCollector(7)
    for delta in deltas:
        collector.add(delta)
    return collector.finish()


def arguments(text: str) -> bytes:
    """Return the arguments of a call whose arguments the backend wrote as `text`."""
    return collect(ToolCallDelta(0, "a", "f", text)).removeprefix(
        b'[{"id":"a","function":{"index":0,"name":"f","arguments":'
    )[:-3]


def test_no_calls() -> None:
    """A turn without calls has no member for them."""
    assert collect() == b""


def test_a_call() -> None:
    """Contract 3.6: id, then a function of index, name and arguments; no type."""
    assert collect(ToolCallDelta(0, "call_1", "f", '{"a":1}')) == (
        b'[{"id":"call_1","function":{"index":0,"name":"f","arguments":{"a":1}}}]'
    )


def test_pieces() -> None:
    """Contract 3.6, row H15: calls come whole, from any pieces in any order."""
    assert collect(
        ToolCallDelta(0, arguments='{"ci'),
        ToolCallDelta(1, "b", "g"),
        ToolCallDelta(0, "a", "get_"),
        ToolCallDelta(1, arguments="{}"),
        ToolCallDelta(0, "", "weather", 'ty":"Paris"}'),
    ) == (
        b'[{"id":"a","function":{"index":0,"name":"get_weather","arguments":{"city":"Paris"}}},'
        b'{"id":"b","function":{"index":1,"name":"g","arguments":{}}}]'
    )


def test_indexes_are_distinct() -> None:
    """Rule R9: calls are counted from 0, whatever the backend counted."""
    calls = msgspec.json.decode(collect(*(ToolCallDelta(number, "x", "f") for number in (7, 3, 5))))
    assert [call["function"]["index"] for call in calls] == [0, 1, 2]


def test_ids_are_made_up() -> None:
    """Row H17: each call has an id, distinct from the others of its turn, the backend's among them."""
    named = ["", "call_abcdefgh", "", "call_ijklmnop", ""]
    calls = msgspec.json.decode(collect(*(ToolCallDelta(index, name, "f") for index, name in enumerate(named))))
    ids = [call["id"] for call in calls]
    assert (ids[1], ids[3]) == ("call_abcdefgh", "call_ijklmnop")
    assert len(set(ids)) == 5
    assert all(re.fullmatch("call_[0-9a-z]{8}", made) for made in ids)


def test_ids_are_stable() -> None:
    """Row H17: the same reply has the same ids."""
    deltas = [ToolCallDelta(0, "", "f"), ToolCallDelta(1, "", "g")]
    assert collect(*deltas) == collect(*deltas)


def test_ids_differ_between_turns() -> None:
    """Row H17, contract 3.6: a conversation in which every turn calls a tool has no id twice."""
    ids = set()
    for turn in range(100):
        collector = ToolCallCollector(turn)
        collector.add(ToolCallDelta(0, "", "f"))
        ids.add(msgspec.json.decode(collector.finish())[0]["id"])
    assert len(ids) == 100


def test_calls_are_told_once() -> None:
    """What was told is not told again."""
    collector = ToolCallCollector(7)
    collector.add(ToolCallDelta(0, "a", "f"))
    assert collector.finish()
    assert collector.finish() == b""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", b"{}"),
        (" \n", b"{}"),
        ("null", b"{}"),
        ('""', b"{}"),
        ('" "', b"{}"),
        ('"null"', b"{}"),
        ("{}", b"{}"),
        ('"{}"', b"{}"),
        (r'"{\"b\":1,\"a\":[2]}"', b'{"b":1,"a":[2]}'),
        ('{"b":1,"a":2,"c":{"z":0,"y":0}}', b'{"b":1,"a":2,"c":{"z":0,"y":0}}'),
        ('{\n  "a": 1\n}', b'{"a":1}'),
        ('{"a":null,"b":true,"c":-1.5e-7}', b'{"a":null,"b":true,"c":-1.5e-07}'),
        ('{"a":12345678901234567890123}', b'{"a":12345678901234567890123}'),
        ('{"a":"é\\n\\u00e9"}', '{"a":"é\\né"}'.encode()),
        ('{"a":"\\ud83d"}', '{"a":"\ufffd"}'.encode()),
    ],
)
def test_arguments(text: str, written: bytes) -> None:
    """Row H18: arguments are an object, order kept; null, nothing and double encoding are understood."""
    assert arguments(text) == written


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1',
        '{"a":1,}',
        "{'a':1}",
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        "[]",
        "[{}]",
        "1",
        "true",
        '"text"',
        '"[]"',
        r'"\"{}\""',
        '{"a":1} {"b":2}',
        '{"a":1' + "0" * 5_000 + "}",
        '{"a":' + "[" * 1_100 + "]" * 1_100 + "}",
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_invalid_arguments(text: str) -> None:
    """Row H18: what is no object is the backend's failure, never an empty object and never a crash."""
    with pytest.raises(UpstreamBroken) as caught:
        arguments(text)
    assert caught.value.message == "model returned invalid tool arguments"
    assert caught.value.status == 502


def test_call_without_a_name() -> None:
    """Row H15: a call that never got a name calls nothing."""
    with pytest.raises(UpstreamBroken) as caught:
        collect(ToolCallDelta(0, "a", "", "{}"))
    assert caught.value.message == "model called a tool without a name"


def test_h17_ids_are_distinct() -> None:
    """H17: where the backend gives all calls one id, the first has it and the others get their own, always the same."""
    deltas = [ToolCallDelta(number, "x", "f") for number in range(3)]
    ids = [call["id"] for call in msgspec.json.decode(collect(*deltas))]
    assert ids[0] == "x"
    assert len(set(ids)) == 3
    assert ids == [call["id"] for call in msgspec.json.decode(collect(*deltas))]


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("{}", {}),
        ("", {}),
        (r'"{\"a\":1}"', {"tool_bad_args": 1}),
        ("{", {"tool_bad_args": 1}),
        ("[]", {"tool_bad_args": 1}),
    ],
)
def test_h18_odd_arguments_are_noted(text: str, odd: dict[str, int]) -> None:
    """H18: arguments that are encoded twice, or none, are noted."""
    collector = ToolCallCollector(7)
    collector.add(ToolCallDelta(0, "a", "f", text))
    with contextlib.suppress(UpstreamBroken):
        collector.finish()
    assert collector.odd == odd

from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.translate.ollama.messages import conversation
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, decode


def converse(messages: list[Any]) -> Any:
    """Return the upstream's messages for a client's."""
    asked = decode(msgspec.json.encode({"messages": messages}), ChatRequest)
    return msgspec.json.decode(msgspec.json.encode(conversation(asked.messages or [])))


def calls(*named: tuple[str | None, str]) -> dict[str, Any]:
    """Return an assistant's turn that calls functions, each with an id or without."""
    listed = [{"id": call_id} if call_id else {} for call_id, _ in named]
    for item, (_, name) in zip(listed, named, strict=True):
        item["function"] = {"name": name, "arguments": {}}  # type: ignore[assignment]  # of another type than the key before
    return {"role": "assistant", "tool_calls": listed}


def result(content: str, **link: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, **link}


def links(messages: list[Any]) -> list[tuple[str, str]]:
    """Return what each result says, and which call it answers, in the upstream's messages."""
    return [(item["content"], item["tool_call_id"]) for item in converse(messages) if item["role"] == "tool"]


def test_a_whole_exchange() -> None:
    """Contract 11.1: calls get an id, a type and arguments as text; the result is linked by the id."""
    asked = {"name": "get_weather", "arguments": {"city": "Paris", "at": {"b": 1, "a": [1.50]}}}
    found = converse(
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": asked}]},
            {"role": "tool", "content": "Rain", "tool_name": "get_weather"},
            {"role": "user", "content": "Thanks"},
        ]
    )
    call_id = found[1]["tool_calls"][0]["id"]
    function = {"name": "get_weather", "arguments": '{"city":"Paris","at":{"b":1,"a":[1.5]}}'}
    assert call_id
    assert found == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call_id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call_id, "content": "Rain", "name": "get_weather"},
        {"role": "user", "content": "Thanks"},
    ]


def test_text_beside_calls_is_kept() -> None:
    """A turn may speak and call at once."""
    turn = converse([{**calls(("a", "f")), "content": "Let me look."}])[0]
    assert turn["content"] == "Let me look."
    assert turn["tool_calls"][0]["id"] == "a"


def test_links_by_id() -> None:
    """Contract 11.3: an id that the client sends back decides, whatever the order and the names."""
    turn = calls(("a", "f"), ("b", "f"), ("c", "g"))
    results = [result("3", tool_call_id="c"), result("1", tool_call_id="a", tool_name="g")]
    assert links([turn, *results, result("2", tool_call_id="b")]) == [("3", "c"), ("1", "a"), ("2", "b")]


def test_links_by_name() -> None:
    """Contract 11.3: without ids a result belongs to the first open call of its name."""
    turn = calls(("a", "f"), ("b", "g"), ("c", "f"))
    results = [result("g", tool_name="g"), result("f1", tool_name="f"), result("f2", tool_name="f")]
    assert links([turn, *results]) == [("g", "b"), ("f1", "a"), ("f2", "c")]


def test_links_by_order() -> None:
    """Contract 11.3: with neither, results answer the calls in their order."""
    turn = calls(("a", "f"), ("b", "g"), ("c", "f"))
    assert links([turn, result("1"), result("2"), result("3")]) == [("1", "a"), ("2", "b"), ("3", "c")]


def test_links_mixed() -> None:
    """A call that one result took by id or name is not open for the next by order."""
    turn = calls(("a", "f"), ("b", "g"), ("c", "f"))
    results = [result("2", tool_name="g"), result("3", tool_call_id="c"), result("1")]
    assert links([turn, *results]) == [("2", "b"), ("3", "c"), ("1", "a")]
    results = [result("1"), result("3", tool_name="f"), result("2", tool_call_id="b")]
    assert links([turn, *results]) == [("1", "a"), ("3", "c"), ("2", "b")]


@pytest.mark.parametrize("link", [{"tool_call_id": "unknown"}, {"tool_name": "unknown"}, {"tool_name": ""}])
def test_links_that_lead_nowhere(link: dict[str, str]) -> None:
    """An id or a name that no open call has leaves the order."""
    assert links([calls(("a", "f"), ("b", "g")), result("1", **link), result("2")]) == [("1", "a"), ("2", "b")]


def test_made_up_ids() -> None:
    """Contract 11.3: calls without ids get ids of their own, distinct over the whole history."""
    history = [calls((None, "f"), (None, "f")), result("1"), result("2"), calls((None, "f")), result("3")]
    found = converse(history)
    ids = [call["id"] for item in found if item["role"] == "assistant" for call in item["tool_calls"]]
    assert len(set(ids)) == 3
    assert [item["tool_call_id"] for item in found if item["role"] == "tool"] == ids


def test_made_up_ids_avoid_the_clients() -> None:
    """Ids that we gave earlier come back from clients: a new one is never one of them."""
    first = converse([calls((None, "f"))])[0]["tool_calls"][0]["id"]
    found = converse([calls((None, "f")), result("1"), calls((first, "g"), (None, "h")), result("3", tool_name="h")])
    ids = [call["id"] for item in found if item["role"] == "assistant" for call in item["tool_calls"]]
    assert ids[1] == first
    assert len(set(ids)) == 3


def test_two_calls_of_one_id() -> None:
    """Row H17: where a client repeats an id, each call still has one of its own, and its own result."""
    assert links([calls(("a", "f"), ("a", "g")), result("1", tool_call_id="a"), result("2", tool_call_id="a")]) == [
        ("1", "a"),
        ("2", "call_00000000"),
    ]


def test_ids_that_come_again_in_a_later_turn() -> None:
    """Contract 11.3: backends that count from zero in each turn repeat their ids; what is sent back is told apart."""
    history = [calls(("call_0", "f")), result("1", tool_call_id="call_0")]
    assert links([*history, calls(("call_0", "f")), result("2", tool_call_id="call_0")]) == [
        ("1", "call_0"),
        ("2", "call_00000000"),
    ]


def test_ids_are_the_same_each_time() -> None:
    """Contract 11.3: the same history gives the same ids, or no backend could reuse what it has read of it."""
    history = [calls((None, "f"), ("b", "g")), result("1"), calls((None, "f")), result("2")]
    assert converse(history) == converse(history)


def test_gaps_are_filled() -> None:
    """Contract 11.3: each call has exactly one result, right behind its turn: missing ones are empty."""
    found = converse([calls(("a", "f"), ("b", "g"), ("c", "h")), result("2", tool_name="g"), calls(("d", "f"))])
    assert [(item["role"], item.get("tool_call_id"), item["content"]) for item in found] == [
        ("assistant", None, None),
        ("tool", "b", "2"),
        ("tool", "a", ""),
        ("tool", "c", ""),
        ("assistant", None, None),
        ("tool", "d", ""),
    ]


@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_late_results_are_orphans(role: str) -> None:
    """A result after another turn has no open call any more: it becomes a user's message."""
    found = converse([calls(("a", "f")), {"role": role, "content": "x"}, result("late", tool_call_id="a")])
    assert [(item["role"], item["content"]) for item in found[1:]] == [("tool", ""), (role, "x"), ("user", "late")]


def test_orphans() -> None:
    """Contract 11.3: a result that nobody asked for becomes a user's message."""
    assert converse([result("1", tool_call_id="a"), {"role": "user", "content": "Hi"}, result("2")]) == [
        {"role": "user", "content": "1"},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "2"},
    ]


def test_calls_that_came_apart() -> None:
    """Contract 3.6: calls come in one line or in several; who keeps each line as a turn means one turn."""
    results = [result("2", tool_call_id="b"), result("1", tool_call_id="a"), result("3")]
    apart = [calls(("a", "f")), calls(("b", "g"), (None, "f"))]
    assert converse([*apart, *results]) == converse([calls(("a", "f"), ("b", "g"), (None, "f")), *results])
    found = converse([apart[0] | {"content": "So"}, apart[1], *results])
    assert [item["content"] for item in found] == ["So", "2", "1", "3"]


@pytest.mark.parametrize("said", [{"content": "So"}, {"thinking": "hm"}, {"images": ["iVBORw0KGgo="]}])
def test_turns_that_say_something_are_turns(said: dict[str, Any]) -> None:
    """Contract 11.3: what was said between calls keeps its place, and each turn's calls have their results."""
    found = converse([calls(("a", "f")), calls(("b", "g")) | said])
    assert [item["role"] for item in found] == ["assistant", "tool", "assistant", "tool"]


def test_calls_after_results_are_another_turn() -> None:
    """Contract 11.3: results stand right behind the calls that they belong to."""
    found = converse([calls(("a", "f")), result("1"), calls(("b", "g")), result("2")])
    assert [item["role"] for item in found] == ["assistant", "tool"] * 2


def test_a_result_by_the_id_of_another_turns_call_answers_no_other() -> None:
    """Contract 11.3: an id comes first; the call of that id is known, and is not the one that is open."""
    late = [calls(("a", "f")), calls(("b", "f")) | {"content": "So"}, result("1", tool_call_id="a", tool_name="f")]
    assert links([*late, result("2", tool_call_id="b")]) == [("", "a"), ("2", "b")]
    assert converse([*late, result("2", tool_call_id="b")])[-1] == {"role": "user", "content": "1"}
    assert links(late) == [("", "a"), ("", "b")]


def test_two_results_of_one_call() -> None:
    """Contract 11.3: the second takes no other call's place, and stands behind the results that are still to come."""
    turn = calls(("a", "f"), ("b", "g"))
    twice = [result("1", tool_call_id="a"), result("again", tool_call_id="a")]
    for others in ([result("2", tool_call_id="b")], [result("2", tool_name="g")], [result("2")]):
        assert links([turn, *twice, *others]) == [("1", "a"), ("2", "b")]
        assert converse([turn, *twice, *others])[-1] == {"role": "user", "content": "again"}
    question = {"role": "user", "content": "Hi"}
    assert [item["content"] for item in converse([calls(("a", "f")), *twice, *twice])[2:]] == ["again", "1", "again"]
    found = converse([turn, *twice, *twice[1:], question])
    assert [item["content"] for item in found[2:]] == ["", [{"type": "text", "text": "again"}] * 2, "Hi"]


def test_more_results_than_calls() -> None:
    """What is left over when each call has its result is an orphan, too."""
    found = converse([calls(("a", "f")), result("1"), result("2")])
    assert [(item["role"], item["content"]) for item in found[1:]] == [("tool", "1"), ("user", "2")]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ('{"name":"f","arguments":{}}', "{}"),
        ('{"name":"f","arguments":null}', "{}"),
        ('{"name":"f"}', "{}"),
        ('{"name":"f","arguments":{"b":1.50,"a": null}}', '{"b":1.50,"a": null}'),
        ('{"name":"f","arguments":{"big":123456789012345678901}}', '{"big":123456789012345678901}'),
        ('{"name":"f","arguments":{"x":"é\\u2028"}}', '{"x":"é\\u2028"}'),
    ],
)
def test_arguments(function: str, text: str) -> None:
    """Contract 3.6: arguments become text as they are, order and numbers kept; none are {}."""
    body = f'{{"messages":[{{"role":"assistant","tool_calls":[{{"function":{function}}}]}}]}}'
    (turn, _) = conversation(decode(body.encode(), ChatRequest).messages or [])
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": text}


def test_calls_without_a_function() -> None:
    """Contract 1.7: a null function is a call without a name, which the backend may judge."""
    (turn, answer) = converse([{"role": "assistant", "tool_calls": [{"id": "a", "function": None}]}])
    assert turn["tool_calls"] == [{"id": "a", "type": "function", "function": {"name": "", "arguments": "{}"}}]
    assert answer == {"role": "tool", "tool_call_id": "a", "content": ""}


@pytest.mark.parametrize("nothing", [None, {}, {"function": None}, {"function": {}}, {"function": {"index": 0}}])
def test_calls_of_nothing(nothing: object) -> None:
    """Contract 1.7: null among the calls is a call of which nothing is known: it is none."""
    assert converse([{"role": "assistant", "content": "Hi", "tool_calls": [nothing]}]) == [
        {"role": "assistant", "content": "Hi"}
    ]
    turn = {"role": "assistant", "tool_calls": [nothing, {"id": "a", "function": {"name": "f", "arguments": {}}}]}
    assert links([turn, result("1")]) == [("1", "a")]


def test_many_calls() -> None:
    """Row B4: thousands of calls of one turn, answered last to first by name, each find their own."""
    names = [f"f{number}" for number in range(5_000)]
    found = links([calls(*((name, name) for name in names)), *(result(name, tool_name=name) for name in names[::-1])])
    assert found == [(name, name) for name in names[::-1]]

import json
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.demo_answers import (
    NOTE,
    Answer,
    BadImageError,
    ChatRequest,
    answer,
    completion,
    cut_at_limit,
    cut_at_stop,
    join,
    name_in,
    pieces,
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}


def user(content: object) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def ask(messages: list[dict[str, Any]], *, thinks: bool = False, **fields: Any) -> Answer:
    request = msgspec.convert({"model": "demo", "messages": messages, **fields}, ChatRequest)
    return answer(request, thinks=thinks)


def text(messages: list[dict[str, Any]], **fields: Any) -> str:
    return str(join(ask(messages, **fields).deltas)["content"])


def calls(prompt: str, **fields: Any) -> list[tuple[str, object]]:
    message = join(ask(user(prompt), **{"tools": [WEATHER, TIME], **fields}).deltas)
    made = [call["function"] for call in message.get("tool_calls", [])]
    return [(call["name"], json.loads(call["arguments"])) for call in made]


def test_text_says_the_last_user_message_back() -> None:
    """The answer quotes the last user message and says what answered."""
    messages = [*user("one"), {"role": "assistant", "content": "1"}, *user("two"), {"role": "system", "content": "s"}]

    assert text(messages) == f"You said: two\n\n{NOTE}"
    assert "OPENAI_API_BASE_URL" in NOTE


@pytest.mark.parametrize("content", [None, "", " \n", []])
def test_empty_messages(content: object) -> None:
    """A message without text is answered too."""
    assert text(user(content)) == f"You said nothing.\n\n{NOTE}"


def test_images_are_described() -> None:
    """The answer tells the number of images, their media types and their sizes."""
    png = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
    jpeg = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/w=="}}
    remote = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    words = {"type": "text", "text": "Look"}

    assert text(user([words, png])) == f"You said: Look\n\nI see 1 image: image/png, 5 bytes.\n\n{NOTE}"
    assert "I see 2 images: image/jpeg, 1 byte; https://example.com/a.png." in text(user([jpeg, remote]))


@pytest.mark.parametrize("url", ["iVBORw0=", "data:image/png,abc", "data:image/png;base64,%%%", "file:///etc/passwd"])
def test_images_that_are_none(url: str) -> None:
    """An image that cannot be decoded is an error, as it is at real backends."""
    with pytest.raises(BadImageError, match="Invalid image"):
        ask(user([{"type": "image_url", "image_url": {"url": url}}]))


def test_deltas_are_words() -> None:
    """The text comes in words that keep the space before them."""
    deltas = ask(user("Hello there")).deltas

    assert deltas[:4] == ({"content": "You"}, {"content": " said:"}, {"content": " Hello"}, {"content": " there"})


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("a  b\n", ["a", "  b", "\n"]),
        (" a", [" a"]),
        ("abcdefghijklmnop q", ["abcdefghijkl", "mnop", " q"]),
        ("", []),
    ],
)
def test_pieces(whole: str, parts: list[str]) -> None:
    """Pieces are words of at most 12 characters and joined they are the text."""
    assert parts == pieces(whole)
    assert whole == "".join(parts)


def test_usage_counts_words_and_deltas() -> None:
    """Prompt tokens are the words of all messages, completion tokens the deltas sent."""
    reply = ask([{"role": "system", "content": "be brief"}, *user("a b c")], max_tokens=4)

    assert reply.usage == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def test_max_tokens_cut_the_answer() -> None:
    """A cut answer says so, and the newer spelling of the limit wins."""
    cut = ask(user("a b"), max_tokens=3)

    assert (join(cut.deltas)["content"], cut.finish_reason) == ("You said: a", "length")
    assert len(ask(user("a b"), max_tokens=3, max_completion_tokens=5).deltas) == 5
    assert ask(user("a b"), max_tokens=1000).finish_reason == "stop"
    assert cut_at_limit(["x"], 1) == (["x"], "stop")


@pytest.mark.parametrize(
    ("stop", "left"),
    [(None, "one two three"), ("two", "one "), (["three", "two"], "one "), (["four", ""], "one two three")],
)
def test_stop_strings(stop: str | list[str] | None, left: str) -> None:
    """The text ends before whichever stop string comes first."""
    assert left == cut_at_stop("one two three", stop)
    assert ask(user("x"), stop=" said").deltas == ({"content": "You"},)


@pytest.mark.parametrize(
    ("fields", "thinks", "thinking"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"reasoning_effort": "low"}, False, True),
        ({"reasoning_effort": "none"}, True, False),
        ({"reasoning_effort": None}, True, True),
        ({"chat_template_kwargs": {"enable_thinking": True}}, False, True),
        ({"chat_template_kwargs": {"enable_thinking": False}}, True, False),
        ({"chat_template_kwargs": {"other": 1}}, True, True),
        ({"reasoning": {"enabled": True}}, False, True),
        ({"reasoning": {"enabled": False}}, True, False),
        ({"reasoning": {"effort": "high"}}, False, True),
        ({"reasoning": {"effort": "none"}}, True, False),
        ({"reasoning": {}}, True, True),
        ({"reasoning_effort": "high", "reasoning": {"enabled": False}}, False, False),
    ],
)
def test_thinking_switches(fields: dict[str, Any], thinks: bool, thinking: bool) -> None:
    """All spellings of the switch are understood, and one "off" outweighs the rest."""
    assert thinking == ("reasoning_content" in ask(user("Hi"), thinks=thinks, **fields).deltas[0])


def test_thinking_comes_before_the_text() -> None:
    """Thinking is sent first, and its tokens are counted apart as well."""
    reply = ask(user("Hi"), thinks=True)
    message = join(reply.deltas)

    assert message["reasoning_content"] == 'The user said "Hi". I say it back.'
    assert message["content"] == f"You said: Hi\n\n{NOTE}"
    assert reply.usage["completion_tokens_details"] == {"reasoning_tokens": 8}
    assert [next(iter(delta)) for delta in reply.deltas[7:9]] == ["reasoning_content", "content"]


def test_tools_named_in_the_prompt_are_called() -> None:
    """Each mention is a call, in order, with the name that follows it as its words."""
    prompt = "Call get_weather for Paris, get_time, and get_weather for Oslo."

    assert calls(prompt) == [("get_weather", {"city": "Paris"}), ("get_time", {}), ("get_weather", {"city": "Oslo"})]
    assert calls("What is it like in Paris? get_weather") == [("get_weather", {"city": "Paris"})]
    assert calls("get_weather please") == [("get_weather", {"city": "example"})]
    assert ask(user("get_time"), tools=[TIME]).finish_reason == "tool_calls"


@pytest.mark.parametrize("prompt", ["Hello", "forget_time", "get_times", "get-time"])
def test_other_words_call_nothing(prompt: str) -> None:
    """A tool is called by its whole name only."""
    assert calls(prompt) == []
    assert text(user(prompt), tools=[TIME]) == f"You said: {prompt}\n\n{NOTE}"


@pytest.mark.parametrize(
    ("prompt", "fields", "names"),
    [
        ("get_time", {"tool_choice": "none"}, []),
        ("Hello", {"tool_choice": "auto"}, []),
        ("Hello", {"tool_choice": "required"}, ["get_weather"]),
        ("get_time", {"tool_choice": "required"}, ["get_time"]),
        ("Hello", {"tool_choice": TIME}, ["get_time"]),
        ("get_weather get_time", {"tool_choice": TIME}, ["get_time"]),
        ("Hello", {"tool_choice": "required", "tools": []}, []),
        ("get_time get_weather", {"parallel_tool_calls": False}, ["get_time"]),
    ],
)
def test_tool_choice(prompt: str, fields: dict[str, Any], names: list[str]) -> None:
    """The request can forbid calls, force one, and limit them to one."""
    assert names == [name for name, _ in calls(prompt, **fields)]


def test_tool_calls_are_streamed_in_fragments() -> None:
    """The first delta of a call has its id and name, the others a few characters of its arguments."""
    first, *rest = ask(user("get_weather in Rome"), tools=[WEATHER]).deltas
    call = first["tool_calls"][0]

    assert call["id"].startswith("call_")
    assert call == {
        "index": 0,
        "id": call["id"],
        "type": "function",
        "function": {"name": "get_weather", "arguments": ""},
    }
    assert [delta["tool_calls"][0]["function"]["arguments"] for delta in rest] == ['{"cit', 'y": "', 'Rome"', "}"]


def test_tool_call_ids_differ() -> None:
    """No two calls of a conversation share an id, and the same request gives the same ids."""

    def ids(messages: list[dict[str, Any]]) -> list[str]:
        return [call["id"] for call in join(ask(messages, tools=[TIME]).deltas)["tool_calls"]]

    both = ids(user("get_time get_time")) + ids([*user("Hi"), *user("get_time get_time")])

    assert len(set(both)) == 4
    assert ids(user("get_time")) == ids(user("get_time"))


def test_tool_results_are_told() -> None:
    """After a tool result there is text, even when the prompt names the tool."""
    results: list[dict[str, Any]] = [
        {"role": "tool", "content": "18 C"},
        {"role": "tool", "content": [{"type": "text", "text": "noon"}]},
    ]

    assert text([*user("get_weather"), results[0]], tools=[WEATHER]) == "The tool said: 18 C"
    assert text([*user("get_weather"), *results], tools=[WEATHER]) == "The tool said: 18 C\nThe tool said: noon"


def test_structured_output() -> None:
    """With a schema the text is JSON that fits it, and in JSON mode it is a small object."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "size": {"type": "integer"}}}
    by_schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    assert text(user("about Köln"), response_format=by_schema) == '{"city": "Köln", "size": 1}'
    assert text(user('say "hi"'), response_format={"type": "json_object"}) == '{"you_said": "say \\"hi\\""}'
    assert text(user("Hi"), response_format={"type": "text"}) == f"You said: Hi\n\n{NOTE}"


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("weather in Paris", "Paris"), ("Is it cold? Use this.", None), ("Now I go to Århus", "Århus"), ("", None)],
)
def test_names_in_prompts(prompt: str, name: str | None) -> None:
    """A word in upper case is a name unless it begins a sentence or is a single letter."""
    assert name == name_in(prompt)


def test_legacy_completions() -> None:
    """A completion says the prompt back, or names the two texts it stands between."""
    assert completion("def f(", None) == f"You said: def f(\n\n{NOTE}"
    assert completion("def f(", "return 1") == 'Between "def f(" and "return 1".'

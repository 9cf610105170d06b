"""The official Python SDK against the proxy: tools, images, thinking, structured output, logprobs."""

import base64
import json
from pathlib import Path

import ollama
import pytest
from pydantic import BaseModel, ConfigDict

from contract.wire import DOT, tool, user

WEATHER = tool("get_weather", "city")
TIME = tool("get_time", "city")


def get_weather(city: str) -> str:
    """Current weather of a city.

    Args:
      city: The name of the city
    """
    return f"11 degrees in {city}"


class Pet(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    legs: int
    tame: bool
    colours: list[str]


def called(reply: ollama.ChatResponse) -> list[tuple[str, dict[str, object]]]:
    """The calls of a reply; the SDK's types demand arguments that are an object."""
    return [(call.function.name, dict(call.function.arguments)) for call in reply.message.tool_calls or ()]


def test_tool_call(client: ollama.Client) -> None:
    """A tool that is asked for is called, with its arguments as an object, and the reason stays `stop` (R9)."""
    reply = client.chat("demo", [user("Call get_weather for Paris.")], tools=[WEATHER])
    assert called(reply) == [("get_weather", {"city": "Paris"})]
    assert (reply.message.content, reply.done, reply.done_reason) == ("", True, "stop")


def test_two_calls(client: ollama.Client) -> None:
    """Two calls of a turn come together, in their order, before the last chunk of a stream (R9)."""
    messages = [user("Call get_weather for Paris and get_weather for Oslo.")]
    expected = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})]
    assert called(client.chat("demo", messages, tools=[WEATHER])) == expected
    parts = list(client.chat("demo", messages, tools=[WEATHER], stream=True))
    assert [called(part) for part in parts if called(part)] == [expected]
    assert parts[-1].done
    assert called(parts[-1]) == []


def test_function_as_tool(client: ollama.Client) -> None:
    """A Python function can be the tool: the SDK describes it, and calls it with the arguments of the answer."""
    reply = client.chat("demo", [user("Call get_weather for Paris.")], tools=[get_weather])
    assert reply.message.tool_calls
    assert get_weather(**reply.message.tool_calls[0].function.arguments) == "11 degrees in Paris"


def test_round_trip(client: ollama.Client) -> None:
    """The result of a tool is sent back by the tool's name, and the model reads it.

    The SDK loses the ids of calls, so the proxy joins call and result itself (contract 10.1, 11.3).
    """
    messages: list[ollama.Message | dict[str, str]] = [user("Call get_weather for Paris.")]
    asked = client.chat("demo", messages, tools=[WEATHER])
    messages += [asked.message, {"role": "tool", "tool_name": "get_weather", "content": "11 degrees"}]
    reply = client.chat("demo", messages, tools=[WEATHER])
    assert (reply.message.content, reply.message.tool_calls) == ("The tool said: 11 degrees", None)


def test_round_trip_of_two(client: ollama.Client) -> None:
    """Two results of a turn are both read, and a conversation goes on after them."""
    messages: list[ollama.Message | dict[str, str]] = [user("Call get_weather for Paris and get_time for Oslo.")]
    asked = client.chat("demo", messages, tools=[WEATHER, TIME])
    assert called(asked) == [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]
    messages += [
        asked.message,
        {"role": "tool", "tool_name": "get_weather", "content": "rain"},
        {"role": "tool", "tool_name": "get_time", "content": "noon"},
    ]
    reply = client.chat("demo", messages, tools=[WEATHER, TIME])
    assert reply.message.content == "The tool said: rain\nThe tool said: noon"
    messages += [reply.message, user("Thanks")]
    assert (client.chat("demo", messages, tools=[WEATHER, TIME]).message.content or "").startswith("You said: Thanks")


def test_no_tools(client: ollama.Client) -> None:
    """The SDK sends an empty list when there are none; the model then answers with text (R16)."""
    reply = client.chat("demo", [user("Call get_weather for Paris.")], tools=[])
    assert (reply.message.content or "").startswith("You said: Call get_weather for Paris.")


@pytest.mark.parametrize("kind", ["base64", "bytes", "path"])
def test_image(client: ollama.Client, tmp_path: Path, kind: str) -> None:
    """An image reaches the model with its media type, which the request does not name."""
    data = base64.b64decode(DOT)
    path = tmp_path / "dot.png"
    path.write_bytes(data)
    image = {"base64": DOT, "bytes": data, "path": path}[kind]
    reply = client.chat("demo", [user("What is this?", images=[image])])
    assert "I see 1 image: image/png, 70 bytes." in (reply.message.content or "")
    assert "I see 1 image: image/png, 70 bytes." in (
        client.generate("demo", "What is this?", images=[data]).response or ""
    )


def test_image_alone(client: ollama.Client) -> None:
    """An image may come without a text."""
    reply = client.chat("demo", [{"role": "user", "content": "", "images": [DOT, DOT]}])
    assert "I see 2 images: image/png, 70 bytes; image/png, 70 bytes." in (reply.message.content or "")


@pytest.mark.parametrize("think", [True, "low", None], ids=["true", "level", "unset"])
def test_thinking(client: ollama.Client, think: bool | None) -> None:
    """A model that thinks does so unless it is told not to, and its thoughts are apart from its answer (R8)."""
    reply = client.chat("demo-think", [user("Hello")], think=think)
    assert "Hello" in (reply.message.thinking or "")
    assert (reply.message.content or "").startswith("You said: Hello\n")


def test_streamed_thinking(client: ollama.Client) -> None:
    """In a stream the thoughts come first, and no chunk holds both (R8)."""
    parts = list(client.chat("demo-think", [user("Hello")], think=True, stream=True))
    whole = client.chat("demo-think", [user("Hello")], think=True)
    assert "".join(part.message.thinking or "" for part in parts) == whole.message.thinking
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    kinds = ["thinking" if part.message.thinking else "content" for part in parts]
    assert kinds == sorted(kinds, reverse=True)
    assert not any(part.message.thinking and part.message.content for part in parts)


@pytest.mark.parametrize("model", ["demo", "demo-think"])
def test_no_thinking(client: ollama.Client, model: str) -> None:
    """`think: false` is never an error and never shows thoughts (adr 6)."""
    reply = client.chat(model, [user("Hello")], think=False)
    parts = list(client.chat(model, [user("Hello")], think=False, stream=True))
    assert reply.message.thinking is None
    assert (reply.message.content or "").startswith("You said: Hello\n")
    assert not any(part.message.thinking for part in parts)
    assert "".join(part.message.content or "" for part in parts) == reply.message.content


def test_thinking_in_generate(client: ollama.Client) -> None:
    """A generation has its thoughts at the top."""
    reply = client.generate("demo-think", "Hello", think=True)
    assert "Hello" in (reply.thinking or "")
    assert (reply.response or "").startswith("You said: Hello\n")
    parts = list(client.generate("demo-think", "Hello", think=True, stream=True))
    assert "".join(part.thinking or "" for part in parts) == reply.thinking
    assert all(isinstance(part.response, str) for part in parts)


def test_model_that_does_not_think(client: ollama.Client) -> None:
    """A model that can't think says so (contract 3.2)."""
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat("demo", [user("Hello")], think=True)
    assert (raised.value.status_code, raised.value.error) == (400, '"demo" does not support thinking')


def test_structured_output(client: ollama.Client) -> None:
    """With a schema as format the answer is JSON that fits it, streamed or not."""
    schema = Pet.model_json_schema()
    reply = client.chat("demo", [user("Describe Tom")], format=schema)
    pet = Pet.model_validate_json(reply.message.content or "")
    assert pet.name == "Tom"
    parts = list(client.generate("demo", "Describe Tom", format=schema, stream=True))
    assert Pet.model_validate_json("".join(part.response or "" for part in parts)) == pet


def test_json(client: ollama.Client) -> None:
    """With "json" as format the answer is an object."""
    reply = client.chat("demo", [user("Hello, in JSON")], format="json")
    assert json.loads(reply.message.content or "") == {"you_said": "Hello, in JSON"}


def test_logprobs(client: ollama.Client) -> None:
    """Each token comes with its probability and as many alternatives as were asked for, best first (contract 3.8)."""
    reply = client.chat("demo", [user("Hello")], logprobs=True, top_logprobs=2)
    assert reply.logprobs
    assert "".join(entry.token for entry in reply.logprobs) == reply.message.content
    for entry in reply.logprobs:
        others = [other.logprob for other in entry.top_logprobs or ()]
        assert entry.logprob <= 0
        assert len(others) == 2
        assert others == sorted(others, reverse=True)


def test_streamed_logprobs(client: ollama.Client) -> None:
    """In a stream each chunk has the entries of its own text; alternatives only come when they are asked for."""
    parts = list(client.generate("demo", "Hello", logprobs=True, stream=True))
    for part in parts[:-1]:
        assert "".join(entry.token for entry in part.logprobs or ()) == part.response
        assert all(entry.top_logprobs is None for entry in part.logprobs or ())


def test_no_logprobs(client: ollama.Client) -> None:
    """Without being asked for there are none."""
    assert client.chat("demo", [user("Hello")]).logprobs is None
    assert client.chat("demo", [user("Hello")], top_logprobs=2).logprobs is None

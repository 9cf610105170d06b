"""A chat, and what its model makes of it: what stands before it, what is left out of it, and how far it thinks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.translate.models import Model, Preset
from ollama_openai_proxy.translate.ollama import request
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, decode

SYSTEM = {"role": "system", "content": "Be brief."}
HI_USER = {"role": "user", "content": "Hi"}
OTHER = {"role": "system", "content": "Rhyme."}
SHOTS = ({"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"})


@pytest.mark.parametrize(
    ("preset", "sent", "expected"),
    [
        pytest.param(Preset(system="Be brief."), [HI_USER], [SYSTEM, HI_USER], id="system prompt"),
        pytest.param(Preset(system="Be brief."), [OTHER, HI_USER], [OTHER, HI_USER], id="the request's own"),
        pytest.param(
            Preset(system="Be brief."), [{**OTHER, "role": "System"}, HI_USER], [OTHER, HI_USER], id="in another case"
        ),
        pytest.param(
            Preset(system="Be brief."), [HI_USER, OTHER], [SYSTEM, HI_USER, OTHER], id="a later one changes nothing"
        ),
        pytest.param(Preset(messages=SHOTS), [HI_USER], [*SHOTS, HI_USER], id="messages"),
        pytest.param(
            Preset(system="Be brief.", messages=SHOTS), [HI_USER], [SYSTEM, *SHOTS, HI_USER], id="system and messages"
        ),
        pytest.param(
            Preset(system="Be brief.", messages=SHOTS),
            [OTHER, HI_USER],
            [*SHOTS, OTHER, HI_USER],
            id="messages before the request's own system prompt",
        ),
    ],
)
def test_presets(preset: Preset, sent: list[Any], expected: list[Any]) -> None:
    """Contract 5.8: stored messages come first; the system prompt unless the request's first message is one."""
    asked = decode(msgspec.json.encode({"messages": sent}), ChatRequest)
    assert request.chat(asked, Model(id="m", preset=preset)).body["messages"] == expected


def test_stored_calls_are_answered() -> None:
    """Contract 5.8, 11.3: an alias's messages are a history like any other, calls and their results included."""
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    preset = Preset(messages=({"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "1"}))
    asked = decode(b'{"messages":[{"role":"user","content":"Hi"}]}', ChatRequest)
    (turn, result, _) = request.chat(asked, Model(id="m", preset=preset)).body["messages"]
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert result["tool_call_id"] == turn["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("model", "forgets"),
    [
        (Model(id="Qwen/Qwen3-8B"), True),
        (Model(id="qwen3:8b"), True),
        (Model(id="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"), True),
        (Model(id="mine", upstream="qwen3"), True),
        (Model(id="mine", family="qwen3"), True),
        (Model(id="qwen3.5-27b"), False),
        (Model(id="qwen35"), False),
        (Model(id="llama3.2"), False),
    ],
    ids=repr,
)
def test_past_thoughts_in_the_text(model: Model, forgets: bool) -> None:
    """Contract 5.8: qwen3 and deepseek-r1 are not shown what they thought before the last question."""
    text = "<think>hm</think>4"
    history = [HI_USER, {"role": "assistant", "content": text}, HI_USER]
    asked = decode(msgspec.json.encode({"messages": history}), ChatRequest)
    assert request.chat(asked, model).body["messages"][1]["content"] == ("4" if forgets else text)


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        (Model(id="m", capabilities=("completion",)), False, None),
        (Model(id="m", capabilities=("completion", "thinking")), False, False),
        (Model(id="m"), False, False),
        (Model(id="m", capabilities=("completion",)), None, None),
        (Model(id="openai/gpt-oss-20b"), "max", "high"),
        (Model(id="mine", upstream="GPT-OSS:20b"), "max", "high"),
        (Model(id="openai/gpt-oss-20b"), "low", "low"),
        (Model(id="m"), "max", "max"),
    ],
    ids=repr,
)
def test_think_of_a_model(model: Model, asked: Any, sent: Any) -> None:
    """Contract 3.2: false is no error where nothing thinks, and gpt-oss has no more than high."""
    assert request.chat(ChatRequest(messages=[], think=asked), model).think == sent


@pytest.mark.parametrize("value", [True, False])
def test_truncate_is_for_profiles(value: bool) -> None:
    """Contract 3.11: it is no parameter of a chat completion: profiles say who takes it."""
    completion = request.chat(ChatRequest(messages=[], stream=False, truncate=value), Model(id="m"))
    assert completion.body == {"model": "m", "messages": []}
    assert completion.extensions == {"truncate": value}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"temperature": 0.9, "stop": ["y"]}),
        ({"temperature": None, "stop": None}, {"temperature": 0.9, "stop": ["y"]}),
        ({"temperature": 0}, {"temperature": 0, "stop": ["y"]}),
        ({"stop": [], "seed": 1}, {"temperature": 0.9, "seed": 1}),
    ],
)
def test_parameters_of_an_alias_stand_below_the_options(options: dict[str, Any] | None, sent: dict[str, Any]) -> None:
    """Contract 4: a request's options override the model's parameters, key by key, and nulls override nothing."""
    model = Model(id="m", preset=Preset(parameters={"temperature": 0.9, "stop": ["y"]}))
    body = request.chat(ChatRequest(messages=[], stream=False, options=options), model).body
    assert body == {"model": "m", "messages": []} | sent

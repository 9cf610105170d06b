"""A request in the words of one backend (contract 11.1)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.profiles import PROFILES
from ollama_openai_proxy.translate.openai.request import encode

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def sent(profile: str, body: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return what is sent beside `BODY`."""
    decoded: dict[str, Any] = json.loads(encode({**BODY, **(body or {})}, PROFILES[profile], **options))
    assert BODY.items() <= decoded.items()
    return {key: value for key, value in decoded.items() if key not in BODY}


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_what_the_client_did_not_send_is_not_sent_on(profile: str) -> None:
    """No defaults leak upstream: a plain request stays plain for every backend."""
    assert sent(profile) == {}


@pytest.mark.parametrize(
    ("profile", "spelled"),
    [("generic", "max_tokens"), ("openai", "max_completion_tokens"), ("vllm", "max_tokens")],
)
def test_the_limit_of_tokens_has_the_name_that_the_backend_takes(profile: str, spelled: str) -> None:
    """OpenAI's newer models refuse `max_tokens`; others know nothing else. Never both."""
    assert sent(profile, {"max_tokens": 16}) == {spelled: 16}


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_plain_completions_know_neither_the_new_name_nor_thought(profile: str) -> None:
    """`/completions` takes `max_tokens`, whoever serves it, and nothing about reasoning."""
    body = {"model": "m", "prompt": "Hi", "max_tokens": 16}
    assert json.loads(encode(body, PROFILES[profile], think=True)) == body


EXTENSIONS = {
    "top_k": 40,
    "min_p": 0.05,
    "typical_p": 0.9,
    "repeat_penalty": 1.1,
    "repeat_last_n": 64,
    "num_keep": 5,
    "mirostat": 2,
}


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        pytest.param("generic", {}, id="unknown backend"),
        pytest.param("openai", {}, id="OpenAI refuses what it does not know"),
        pytest.param("vllm", {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}, id="vLLM"),
        pytest.param("openrouter", {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}, id="OpenRouter"),
        pytest.param("sglang", {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}, id="SGLang"),
        pytest.param("lmstudio", {"top_k": 40, "repeat_penalty": 1.1}, id="LM Studio"),
        pytest.param(
            "koboldcpp",
            {"top_k": 40, "min_p": 0.05, "typical": 0.9, "rep_pen": 1.1, "rep_pen_range": 64},
            id="KoboldCpp",
        ),
        pytest.param("mistral", {}, id="Mistral refuses what it does not know"),
        pytest.param("dashscope", {"top_k": 40}, id="DashScope"),
        pytest.param(
            "llamacpp",
            {"top_k": 40, "min_p": 0.05, "typical_p": 0.9, "repeat_penalty": 1.1, "repeat_last_n": 64, "n_keep": 5},
            id="llama.cpp",
        ),
    ],
)
def test_parameters_beyond_openai_go_to_backends_that_take_them(profile: str, expected: dict[str, Any]) -> None:
    """Each by the backend's own name; the others are left out, for a backend may refuse the whole request."""
    assert sent(profile, extensions=EXTENSIONS) == expected


def test_thinking_is_asked_for_in_chats() -> None:
    """Contract 11.1: the model's name decides how, and unset asks nothing."""
    assert sent("openai", think=True) == {"reasoning_effort": "medium"}
    assert sent("openai", think=False) == sent("openai", think=None) == {}
    assert sent("vllm", think=False) == {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.mark.parametrize(
    ("profile", "thoughts"),
    [
        ("generic", {}),
        ("openai", {}),
        ("vllm", {"reasoning": "hm"}),
        ("openrouter", {"reasoning": "hm"}),
        ("llamacpp", {"reasoning_content": "hm"}),
        ("deepseek", {"reasoning_content": "hm"}),
        ("zai", {"reasoning_content": "hm"}),
    ],
)
def test_past_thinking_goes_to_backends_that_want_it(profile: str, thoughts: dict[str, str]) -> None:
    """Contract 11.1: under the name that the vendor documents, and to nobody else."""
    answer = {"role": "assistant", "content": "4"}
    body = {"model": "m", "messages": [{**answer, "thinking": "hm"}]}
    assert json.loads(encode(body, PROFILES[profile]))["messages"] == [answer | thoughts]
    assert body["messages"] == [{**answer, "thinking": "hm"}]


@pytest.mark.parametrize(("profile", "kept"), [("generic", {"name": "f"}), ("groq", {})])
def test_names_of_tools_are_left_out_where_they_are_refused(profile: str, kept: dict[str, str]) -> None:
    """https://console.groq.com/docs/openai: `messages[].name` is a 400 there."""
    result = {"role": "tool", "tool_call_id": "a", "content": "4"}
    body = {"model": "m", "messages": [{**result, "name": "f"}]}
    assert json.loads(encode(body, PROFILES[profile]))["messages"] == [result | kept]


JSON_MODE = {"response_format": {"type": "json_object"}}
HINT = {"role": "system", "content": "Answer in JSON."}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("profile", ["openai", "deepseek", "dashscope"])
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([USER], [HINT, USER], id="no system prompt"),
        pytest.param([SYSTEM, USER], [SYSTEM, HINT, USER], id="behind the system prompt"),
        pytest.param([SYSTEM], [SYSTEM, HINT], id="nothing else"),
        pytest.param([{"role": "user", "content": "As Json!"}], None, id="the word is there"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "JSON"}]}], None, id="in a part"),
        pytest.param(
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}, USER],
            [HINT, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}, USER],
            id="an image has no words",
        ),
        pytest.param(
            [{"role": "assistant", "content": None}], [HINT, {"role": "assistant", "content": None}], id="null"
        ),
    ],
)
def test_the_word_json_is_there_where_it_is_demanded(profile: str, messages: Any, expected: Any) -> None:
    """https://platform.openai.com/docs/guides/structured-outputs#json-mode: without the word the request fails."""
    found = json.loads(encode({"model": "m", "messages": messages, **JSON_MODE}, PROFILES[profile]))
    assert found == {"model": "m", "messages": expected or messages, **JSON_MODE}


@pytest.mark.parametrize("profile", ["generic", "vllm", "llamacpp", "openrouter"])
def test_prompts_are_left_alone_where_nothing_is_demanded(profile: str) -> None:
    """Contract 11.1: a prompt is changed only where the request would fail otherwise."""
    assert sent(profile, JSON_MODE) == JSON_MODE


def test_schemas_need_no_word() -> None:
    """Contract 3.3: only JSON mode demands the word, a schema does not."""
    schema = {"response_format": {"type": "json_schema", "json_schema": {"name": "schema", "schema": {}}}}
    assert sent("openai", schema) == schema


def test_json_mode_is_a_schema_where_there_is_no_json_mode() -> None:
    """https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/189: any object, said by a schema."""
    schema = {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}
    assert sent("lmstudio", JSON_MODE) == {"response_format": schema}


@pytest.mark.parametrize(
    ("profile", "given", "expected"),
    [
        ("generic", {"logprobs": True}, {"logprobs": True}),
        ("llamacpp", {"logprobs": True}, {"logprobs": True, "top_logprobs": 1}),
        ("llamacpp", {"logprobs": True, "top_logprobs": 5}, {"logprobs": True, "top_logprobs": 5}),
        ("llamacpp", {}, {}),
    ],
)
def test_alternatives_are_asked_for_where_none_means_many(
    profile: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Contract 11.1: `max(n, 1)`, for llama.cpp sends twenty per token if it is not told how many."""
    assert sent(profile, given) == expected


@pytest.mark.parametrize(
    ("profile", "truncate", "expected"),
    [
        ("openrouter", True, {"transforms": ["middle-out"]}),
        ("openrouter", False, {"transforms": []}),
        ("generic", True, {}),
        ("vllm", False, {}),
    ],
)
def test_truncate_goes_to_backends_that_can(profile: str, truncate: bool, expected: dict[str, Any]) -> None:
    """https://openrouter.ai/docs/transforms: cutting a long prompt is switched on and off; unset leaves it to them."""
    assert sent(profile, extensions={"truncate": truncate}) == expected


def test_parameters_that_a_model_does_not_have_are_left_out() -> None:
    """https://platform.openai.com/docs/guides/reasoning: clients that always send a temperature can use o3."""
    body = {"model": "o3", "messages": [USER], "temperature": 0.5, "top_p": 1, "seed": 1, "max_tokens": 9}
    expected = {"model": "o3", "messages": [USER], "seed": 1, "max_completion_tokens": 9}
    assert json.loads(encode(body, PROFILES["openai"])) == expected


def test_mistral_spells_the_seed_its_own_way() -> None:
    """https://docs.mistral.ai/api: `random_seed`; a `seed` and `stream_options` are extra inputs, and refused."""
    given = {"seed": 7, "stream_options": {"include_usage": True}, "max_tokens": 9}
    assert sent("mistral", given) == {"random_seed": 7, "max_tokens": 9}


def test_the_body_that_was_given_stays_as_it_is() -> None:
    """The same body may be asked of a second backend, which spells things otherwise."""
    body = {**BODY, "max_tokens": 5}
    encode(body, PROFILES["openai"], extensions={"top_k": 1}, think=True)
    assert body == {**BODY, "max_tokens": 5}


def test_text_beyond_ascii_is_sent_raw() -> None:
    """UTF-8 is what JSON is written in: no detour over escapes, which cost the backend's limits bytes."""
    assert '"Grüß 👋"'.encode() in encode({"model": "Grüß 👋"}, PROFILES["generic"])


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("extra", [{}, JSON_MODE, {"max_tokens": 3, "seed": 7, "stream_options": {}}])
def test_a_body_can_be_sent_again(profile: str, extra: dict[str, Any]) -> None:
    """A call without usage is made of the same body: nothing of it is changed by the first."""
    said = [{"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "A", "thinking": "Hm"}]
    body = {**BODY, "messages": said, **extra}
    before = copy.deepcopy(body)
    first = encode(body, PROFILES[profile])
    assert (body, encode(body, PROFILES[profile])) == (before, first)


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("extra", [{}, JSON_MODE, {"max_tokens": 3, "temperature": 1, "stream_options": {}}])
@pytest.mark.parametrize("model", ["m", "o3"])
def test_a_seed_changes_nothing_else(profile: str, extra: dict[str, Any], model: str) -> None:
    """Bodies in which no name is to be changed are taken as they are, and come out as others do."""
    body = {**BODY, **extra, "model": model}
    seeded = json.loads(encode({**body, "seed": 7}, PROFILES[profile]))
    assert seeded.pop(PROFILES[profile].seed, 7) == 7
    assert json.loads(encode(body, PROFILES[profile])) == seeded

"""A request in the words of one backend (contract 11.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.profile import PROFILES
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


@pytest.mark.parametrize(
    ("profile", "think", "expected"),
    [
        pytest.param("openai", True, {"reasoning_effort": "medium"}, id="OpenAI on"),
        pytest.param("openai", "low", {"reasoning_effort": "low"}, id="OpenAI level"),
        pytest.param("openai", "max", {"reasoning_effort": "high"}, id="OpenAI has no max"),
        pytest.param("openai", False, {}, id="OpenAI off: models that can't think refuse the parameter"),
        pytest.param("openai", None, {}, id="OpenAI not asked"),
        pytest.param("generic", True, {"reasoning_effort": "medium"}, id="unknown backend"),
        pytest.param("vllm", True, {"chat_template_kwargs": {"enable_thinking": True}}, id="vLLM on"),
        pytest.param("vllm", False, {"chat_template_kwargs": {"enable_thinking": False}}, id="vLLM off"),
        pytest.param("vllm", None, {}, id="vLLM not asked"),
        pytest.param(
            "llamacpp",
            "high",
            {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "high"}},
            id="llama.cpp level",
        ),
        pytest.param("openrouter", True, {"reasoning": {"enabled": True}}, id="OpenRouter on"),
        pytest.param("openrouter", False, {"reasoning": {"enabled": False}}, id="OpenRouter off"),
        pytest.param("openrouter", "low", {"reasoning": {"effort": "low"}}, id="OpenRouter level"),
        pytest.param("openrouter", "max", {"reasoning": {"effort": "high"}}, id="OpenRouter has no max"),
    ],
)
def test_thinking_is_asked_for_as_the_backend_takes_it(profile: str, think: Any, expected: dict[str, Any]) -> None:
    """Contract 11.1: an effort, an object, or arguments of the chat template."""
    assert sent(profile, think=think) == expected


def test_the_body_that_was_given_stays_as_it_is() -> None:
    """The same body may be asked of a second backend, which spells things otherwise."""
    body = {**BODY, "max_tokens": 5}
    encode(body, PROFILES["openai"], extensions={"top_k": 1}, think=True)
    assert body == {**BODY, "max_tokens": 5}


def test_text_beyond_ascii_is_sent_raw() -> None:
    """UTF-8 is what JSON is written in: no detour over escapes, which cost the backend's limits bytes."""
    assert '"Grüß 👋"'.encode() in encode({"model": "Grüß 👋"}, PROFILES["generic"])

"""`/model/info` of LiteLLM (https://docs.litellm.ai/docs/proxy/model_management)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.openai.catalog_litellm import litellm
from ollama_openai_proxy.translate.openai.facts import EMBEDS, PAINTS, Facts


def told(*deployments: dict[str, Any]) -> dict[str, Facts]:
    """What is learnt from these entries, each a `model_info` under the name `m` or its own."""
    data = [{"model_name": "m", "litellm_params": {"model": "x"}, "model_info": info} for info in deployments]
    return dict(litellm(json.dumps({"data": data}).encode()))


@pytest.mark.parametrize(
    ("info", "facts"),
    [
        (
            {
                "id": "a5b2",
                "db_model": False,
                "key": "gpt-4o",
                "mode": "chat",
                "litellm_provider": "openai",
                "max_tokens": 16384,
                "max_input_tokens": 128000,
                "max_output_tokens": 16384,
                "supports_function_calling": True,
                "supports_vision": True,
                "supports_reasoning": False,
                "supports_audio_input": None,
            },
            Facts(context_length=128000, can={"completion": True, "tools": True, "vision": True, "thinking": False}),
        ),
        (
            {"mode": "embedding", "max_tokens": 8191, "max_input_tokens": None, "output_vector_size": 1536},
            Facts(context_length=8191, embedding_length=1536, can=EMBEDS),
        ),
        ({"mode": "image_generation"}, Facts(can=PAINTS)),
        ({"mode": None, "max_tokens": 4096, "supports_vision": None}, Facts()),
        ({"id": "a5b2", "db_model": True}, Facts()),
    ],
    ids=["chat", "embedding", "images", "null", "not in the registry"],
)
def test_a_deployment(info: dict[str, Any], facts: Facts) -> None:
    """A context is of the input; null is not known; `max_tokens` is a context only where no answer is to be limited."""
    assert told(info) == {"m": facts}


def test_deployments_that_share_a_name() -> None:
    """Any of them may answer: the smallest context and what all can do hold."""
    one = {"max_input_tokens": 128000, "supports_vision": True, "supports_function_calling": True}
    other = {"max_input_tokens": 32768, "supports_vision": False, "supports_reasoning": True}
    assert told(one, other) == {"m": Facts(context_length=32768, can={"vision": False})}
    assert told({"output_vector_size": 3}, {"output_vector_size": 3})["m"].embedding_length == 3
    assert told({"output_vector_size": 3}, {})["m"] == Facts()


@pytest.mark.parametrize("body", [b"{}", b"[1", b'{"data": 7}', b'{"detail": "Not Found"}'])
def test_what_is_no_such_body(body: bytes) -> None:
    """A backend that only looks like LiteLLM answers something else, and nothing is learnt."""
    with pytest.raises(UpstreamBroken):
        litellm(body)

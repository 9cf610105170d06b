"""Which endpoints are asked about models: those of the software that the list gives away, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.catalog import decode
from ollama_openai_proxy.translate.openai.sources import Source, sources


def asked(*entries: dict[str, Any], host: str = "127.0.0.1") -> list[tuple[str, ...]]:
    """The paths of each source, with the query."""
    return [(*source.paths, *map("=".join, source.query)) for source in found(*entries, host=host)]


def found(*entries: dict[str, Any], host: str = "127.0.0.1") -> tuple[Source, ...]:
    body = json.dumps({"data": entries}).encode()
    return sources(decode(body), host, body)


@pytest.mark.parametrize(
    ("entries", "paths"),
    [
        pytest.param([], [], id="no models"),
        pytest.param([{"id": "gpt-4o", "owned_by": "openai", "created": 1686935002}], [], id="nobody in particular"),
        pytest.param([{"id": "m"}], [], id="a bare id"),
        pytest.param([{"id": "m", "owned_by": "vllm", "max_model_len": 8192}], [], id="vLLM tells all in its list"),
        pytest.param([{"id": "m", "owned_by": "llamacpp"}], [("/props",)], id="llama.cpp"),
        pytest.param(
            [
                {"id": "a:Q8", "owned_by": "llamacpp", "status": {"value": "loaded"}},
                {"id": "b", "owned_by": "llamacpp", "status": {"value": "unloaded"}},
            ],
            [("/props", "model=a:Q8", "autoload=false")],
            id="llama.cpp's router: nothing is loaded by asking",
        ),
        pytest.param(
            [{"id": "m", "owned_by": "organization_owner"}], [("/api/v1/models", "/api/v0/models")], id="LM Studio"
        ),
        pytest.param([{"id": "m", "owned_by": "sglang"}], [("/model_info", "/get_model_info")], id="SGLang"),
        pytest.param(
            [{"id": "koboldcpp/m", "owned_by": "koboldcpp"}],
            [("/api/extra/true_max_context_length",), ("/api/extra/version",)],
            id="koboldcpp",
        ),
        pytest.param([{"id": "m", "owned_by": "tabbyAPI"}], [("/model",)], id="TabbyAPI"),
        pytest.param(
            [{"id": name, "owned_by": "openai", "created": 1677610602} for name in ("gpt-4o", "claude")],
            [("/model/info",)],
            id="LiteLLM: all of one moment",
        ),
        pytest.param(
            [{"id": "a", "created": 1677610602}, {"id": "b", "created": 1677649963}],
            [],
            id="an odd model of that moment",
        ),
        pytest.param([{"id": "org/m", "owned_by": "org/m", "created": 0}], [("/info",)], id="TGI owns itself"),
        pytest.param(
            [{"id": "llama3.2:latest", "owned_by": "library"}, {"id": "me/m:1b", "owned_by": "me"}],
            [("/api/tags",), ("/api/ps",)],
            id="Ollama",
        ),
        pytest.param([{"id": "m", "owned_by": "library"}], [], id="no tag"),
        pytest.param([{"id": "m", "owned_by": "llamacpp"}, {"id": "n", "owned_by": "vllm"}], [], id="a gateway"),
    ],
)
def test_by_the_list(entries: list[dict[str, Any]], paths: list[tuple[str, ...]]) -> None:
    """Only who gives itself away is asked: any other would log a path that it does not know."""
    assert asked(*entries) == paths


@pytest.mark.parametrize(
    ("host", "paths"),
    [
        ("api.studio.nebius.com", [("/models", "verbose=true")]),
        ("api.cerebras.ai", [("/public/v1/models",)]),
        ("api.x.ai", [("/language-models",)]),
        ("notx.ai", [("/model/info",)]),
        ("api.openai.com", []),
        ("openai.com", []),
    ],
)
def test_by_the_host(host: str, paths: list[tuple[str, ...]]) -> None:
    """Services whose list is short have a longer one. LiteLLM's date is that of OpenAI's first chat model."""
    assert asked({"id": "gpt-3.5-turbo", "owned_by": "openai", "created": 1677610602}, host=host) == paths


def test_a_router_with_many_models_is_not_asked_about_all() -> None:
    """At most eight questions are asked for one list."""
    entries = [{"id": f"m{n}", "owned_by": "llamacpp", "status": {"value": "loaded"}} for n in range(20)]
    assert len(asked(*entries)) == 8


def test_where_the_path_begins() -> None:
    """TabbyAPI's and xAI's are below /v1, the others at the root of the server."""
    (tabby,) = found({"id": "m", "owned_by": "tabbyAPI"})
    (props,) = found({"id": "m", "owned_by": "llamacpp"})
    assert (tabby.rooted, props.rooted) == (False, True)

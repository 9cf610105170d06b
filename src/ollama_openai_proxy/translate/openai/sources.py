"""Where a backend tells more of its models than in the list: which endpoints to ask, going by what the list looks like.

Only a backend that has given itself away is asked, because a path that it does not know is a line in its log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai import catalog_local as local
from ollama_openai_proxy.translate.openai.catalog_litellm import litellm
from ollama_openai_proxy.translate.openai.facts import Facts, array, load, obj, text

_MAX_LOADED = 8  # models of a llama.cpp router that are asked about one by one
_LITELLM_CREATED = 1677610602  # what LiteLLM says of every model


class Source(NamedTuple):
    """An endpoint to GET. `paths` are where versions of the backend have it, the newest first.

    `query` are pairs to be encoded; `rooted` as in a Call; `ids` those of the models that the answer is about.
    """

    paths: tuple[str, ...]
    decode: Callable[[bytes], Mapping[str, Facts]]
    ids: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = ()
    rooted: bool = True


def sources(models: list[Model], host: str, body: bytes) -> tuple[Source, ...]:
    """Return where a backend at this host tells more of the models that it listed in this body."""
    ids = tuple(model.id for model in models)
    for service, path, query, rooted in _SERVICES:
        if host == service or host.endswith("." + service):
            return (Source((path,), local.listed, ids, query, rooted),)
    owners = {model.owned_by for model in models}
    if owners == {"llamacpp"}:
        return _llamacpp(ids, body)
    if len(owners) == 1 and (known := _OWNERS.get(owners.pop())):
        return tuple(Source(paths, decode, ids, rooted=rooted) for paths, decode, rooted in known)
    return _by_habit(models, ids, host)


def _by_habit(models: list[Model], ids: tuple[str, ...], host: str) -> tuple[Source, ...]:
    """Go by what only one software does with the fields that all have."""
    if not models or host == "openai.com" or host.endswith(".openai.com"):
        return ()
    if all(model.created == _LITELLM_CREATED for model in models):
        return (Source(("/model/info",), litellm, ids),)
    if len(models) == 1 and models[0].owned_by == models[0].id:
        return (Source(("/info",), local.tgi, ids),)
    if all(map(_is_ollama, models)):
        return (Source(("/api/tags",), local.ollama, ids), Source(("/api/ps",), local.ollama_running, ids))
    return ()


def _llamacpp(ids: tuple[str, ...], body: bytes) -> tuple[Source, ...]:
    """Ask for the one model, or as a router for each that is loaded: to ask for another would load it."""
    states = {text(entry, "id"): text(obj(entry, "status"), "value") for entry in array(load(body), "data", "models")}
    if not any(states.values()):
        return (Source(("/props",), local.llamacpp, ids),)
    loaded = [name for name in ids if states[name] == "loaded"]
    return tuple(
        Source(("/props",), local.llamacpp, (name,), (("model", name), ("autoload", "false")))
        for name in loaded[:_MAX_LOADED]
    )


def _is_ollama(model: Model) -> bool:
    """Whether it is named as Ollama names models, with a tag always, and its namespace for the owner."""
    namespace, slash, _ = model.id.rpartition("/")
    return ":" in model.id and model.owned_by == (namespace if slash else "library")


# What each software calls the owner of its models.
_OWNERS = {
    "organization_owner": ((("/api/v1/models", "/api/v0/models"), local.lmstudio, True),),
    "sglang": ((("/model_info", "/get_model_info"), local.sglang, True),),
    "koboldcpp": (
        (("/api/extra/true_max_context_length",), local.koboldcpp, True),
        (("/api/extra/version",), local.koboldcpp_version, True),
    ),
    "tabbyAPI": ((("/model",), local.tabby, False),),
}
# Services whose list is short, and where the full one is: https://docs.nebius.com, https://inference-docs.cerebras.ai,
# https://docs.x.ai/docs/api-reference#list-language-models
_Query = tuple[tuple[str, str], ...]
_SERVICES: tuple[tuple[str, str, _Query, bool], ...] = (
    ("nebius.com", "/models", (("verbose", "true"),), False),
    ("nebius.ai", "/models", (("verbose", "true"),), False),
    ("cerebras.ai", "/public/v1/models", (), True),
    ("x.ai", "/language-models", (), False),
)

"""What servers of one's own say of their models beside the list, each at an endpoint of its own.

Each decoder returns facts by id, or under EVERY those of a server that has one model, whatever names it lists that
by. It raises UpstreamBroken for what is not such a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.openai.abilities import of_kind, of_words
from ollama_openai_proxy.translate.openai.catalog import facts_of, tag_facts
from ollama_openai_proxy.translate.openai.facts import (
    EMBEDS,
    WORDS,
    Facts,
    array,
    count,
    load,
    obj,
    parameters,
    text,
    texts,
)

Told = Mapping[str, Facts]
EVERY = ""  # no model has this id

# One of these is in most templates of models that think, in lower case. One that has none of them may have another of
# the words: then it is not known.
_THOUGHT = (
    *("enable_thinking", "reasoning_effort", "reasoning_content", "thinking"),
    *("<think", "</think", "<|think", "[think]", "<thought"),
)
_MAYBE_THOUGHT = ("think", "thought", "reason")
_KEPT = ("supports_reasoning_effort", "supports_preserve_reasoning")


def llamacpp(body: bytes) -> Told:
    """Decode `/props` (https://github.com/ggml-org/llama.cpp/tree/master/tools/server#get-props-get-server-global-properties).

    A template that can't show tools makes llama.cpp drop them without a word, so that they are known to be missing.
    """
    props = _object(body)
    settings, modalities = obj(props, "default_generation_settings"), obj(props, "modalities")
    can = {word: modalities[word] for word in ("vision", "audio") if isinstance(modalities.get(word), bool)}
    caps, template = obj(props, "chat_template_caps"), text(props, "chat_template")
    if isinstance(tools := caps.get("supports_tools"), bool):
        can["tools"] = tools
    lower = template.casefold()
    if any(mark in lower for mark in _THOUGHT) or any(caps.get(name) is True for name in _KEPT):
        can["thinking"] = True
    elif template and not any(word in lower for word in _MAYBE_THOUGHT):
        can["thinking"] = False
    facts = Facts(context_length=count(settings, "n_ctx"), quantization=text(props, "model_ftype") or None, can=can)
    return {EVERY: facts}


def koboldcpp(body: bytes) -> Told:
    """Decode `/api/extra/true_max_context_length` (https://lite.koboldai.net/koboldcpp_api)."""
    return {EVERY: Facts(context_length=count(_object(body), "value"))}


def koboldcpp_version(body: bytes) -> Told:
    """Decode `/api/extra/version` (https://lite.koboldai.net/koboldcpp_api)."""
    about = _object(body)
    can = {word: about[word] for word in ("vision", "audio") if isinstance(about.get(word), bool)}
    return {EVERY: Facts(can=can)}


def tabby(body: bytes) -> Told:
    """Decode `/v1/model` of TabbyAPI (https://theroyallab.github.io/tabbyAPI): the one that is loaded."""
    card = _object(body)
    given = obj(card, "parameters")
    can = {"vision": given["use_vision"]} if isinstance(given.get("use_vision"), bool) else {}
    return {text(card, "id"): Facts(context_length=count(given, "max_seq_len"), can=can)}


def tgi(body: bytes) -> Told:
    """Decode `/info` (https://huggingface.github.io/text-generation-inference). Its tokens include the answer's."""
    info = _object(body)
    tag = text(info, "model_pipeline_tag")
    can = {"vision": tag == "image-text-to-text"} if tag else {}
    return {EVERY: Facts(context_length=count(info, "max_total_tokens"), can=can)}


def sglang(body: bytes) -> Told:
    """Decode `/model_info` (https://docs.sglang.ai/basic_usage/native_api.html#Get-Model-Info)."""
    info = _object(body)
    flags = {"completion": "is_generation", "vision": "has_image_understanding", "audio": "has_audio_understanding"}
    can = {word: info[flag] for word, flag in flags.items() if isinstance(info.get(flag), bool)}
    if can.get("completion") is False:
        can = EMBEDS
    return {EVERY: Facts(family=text(info, "model_type") or None, can=can)}


def ollama(body: bytes) -> Told:
    """Decode `/api/tags` of an Ollama server (contract 5.4), which lists all that a model can do."""
    told = {}
    for entry in array(load(body), "models"):
        facts = tag_facts(entry)
        if words := texts(entry, "capabilities"):
            facts = Facts(**_fields(facts) | {"can": {word: word in words for word in WORDS}})
        told[text(entry, "name", "model")] = facts
    return told


def ollama_running(body: bytes) -> Told:
    """Decode `/api/ps` of an Ollama server (contract 5.5): the context that a model is loaded with."""
    entries = array(load(body), "models")
    return {text(each, "name", "model"): Facts(context_length=count(each, "context_length")) for each in entries}


def lmstudio(body: bytes) -> Told:
    """Decode `/api/v1/models`, or `/api/v0/models` of before 0.4 (https://lmstudio.ai/docs/developer/rest/list).

    It makes tools work with every model, so that one which was not trained for them does not lack them.
    """
    told: dict[str, Facts] = {}
    for entry in array(load(body), "models", "data"):
        facts = _lmstudio_facts(entry)
        told[text(entry, "key", "id")] = facts
        instances = entry.get("loaded_instances") if isinstance(entry, dict) else None
        for instance in reversed(instances if isinstance(instances, list) else []):
            served = count(obj(instance, "config"), "context_length") or facts.context_length
            loaded = Facts(**_fields(facts) | {"context_length": served})
            told |= {text(instance, "id"): loaded, text(entry, "key", "id"): loaded}
    return told


def _lmstudio_facts(entry: Any) -> Facts:
    kind = text(entry, "type")
    can = dict(of_kind(kind) | of_words(texts(entry, "capabilities") or ()))
    told = obj(entry, "capabilities")
    if kind in ("embedding", "embeddings"):
        can = EMBEDS
    elif kind == "vlm" or isinstance(told.get("vision"), bool):
        can["vision"] = kind == "vlm" or told["vision"]
    if told.get("trained_for_tool_use") is True:
        can["tools"] = True
    if "reasoning" in told:
        can["thinking"] = bool(told["reasoning"])
    bits = text(obj(entry, "quantization"), "name") or text(entry, "quantization")
    return Facts(
        context_length=count(entry, "loaded_context_length", "max_context_length"),
        parameter_count=parameters(text(entry, "params_string")),
        size=count(entry, "size_bytes"),
        quantization=bits or None,
        family=text(entry, "architecture", "arch") or None,
        format=text(entry, "format", "compatibility_type") or None,
        can=can,
    )


def listed(body: bytes) -> Told:
    """Decode a fuller list of the same models, in one of the forms that `/models` has."""
    return {text(entry, "id"): facts_of(entry) for entry in array(load(body), "data", "models")}


def _object(body: bytes) -> dict[str, Any]:
    value = load(body)
    if not isinstance(value, dict) or "error" in value:
        raise UpstreamBroken("the upstream's description of its models is none")
    return value


def _fields(facts: Facts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in Facts.__struct_fields__}

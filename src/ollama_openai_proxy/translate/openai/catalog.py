"""`GET /models`, as backends answer it: OpenAI's list, and what each adds to it.

Where vendors document it: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html,
https://github.com/ggml-org/llama.cpp/tree/master/tools/server, https://openrouter.ai/docs/api-reference/list-available-models,
https://docs.mistral.ai/api/endpoint/models, https://docs.together.ai/reference/models-1, https://console.groq.com/docs/models,
https://docs.anthropic.com/en/api/models-list, https://docs.venice.ai/api-reference/endpoint/models/list,
https://huggingface.co/docs/inference-providers/index, https://novita.ai/docs/api-reference/model-apis-llm-list-models
"""

from __future__ import annotations

from typing import Any

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.abilities import abilities, of_words
from ollama_openai_proxy.translate.openai.facts import Facts, array, count, learnt, load, obj, parameters, text, texts

_LENGTHS = (
    *("loaded_context_length", "max_model_len", "context_length", "contextLength", "context_window", "context_size"),
    *("max_context_length", "max_input_tokens", "max_seq_len", "max_context_window_tokens", "availableContextTokens"),
)
_NAMES = frozenset(_LENGTHS)
MAX_MODELS = 50_000  # ten times as many as anybody has


def decode(body: bytes) -> list[Model]:
    """Return the models, every id that is text. Raises UpstreamBroken when it is no list, or too long."""
    reply = load(body)
    entries = array(reply, "data", "models")
    beside = _beside(reply) if isinstance(reply, dict) and "data" in reply else {}
    if len(entries) > MAX_MODELS:
        raise UpstreamBroken(f"the upstream lists more than {MAX_MODELS} models")
    named = [(name, entry, facts_of(entry)) for entry in entries if (name := text(entry, "id"))]
    lengths = {name: facts.context_length for name, _, facts in named}
    models = []
    for name, entry, facts in named:
        model = Model(name, created=count(entry, "created"), owned_by=text(entry, "owned_by"))
        if name in beside:
            model = learnt(model, beside[name])
        model = learnt(model, facts)
        if not model.context_length and (parent := text(entry, "parent")):
            # vLLM does not say of an adapter what holds for the model below it
            model = learnt(model, Facts(context_length=lengths.get(parent)))
        models.append(model)
    return models


def facts_of(entry: Any) -> Facts:
    """Return what an entry of a list says of its model."""
    if not isinstance(entry, dict):
        return Facts()
    meta = obj(entry, "meta")
    return Facts(
        context_length=_context_length(entry),
        embedding_length=count(meta, "n_embd"),
        parameter_count=count(meta, "n_params"),
        size=count(meta, "size"),
        quantization=text(meta, "ftype") or None,
        family=text(meta, "architecture") or None,
        can=abilities(entry) | _of_providers(entry),
    )


def _context_length(entry: dict[str, Any]) -> int | None:
    """Return the context that is served, where that is told, else the model's own.

    llama.cpp's `n_ctx` is that of one slot. OpenRouter's `context_length` is the longest that any provider has, and
    `top_provider` the one that is asked; of the Hugging Face router's providers nobody knows which is, so the
    shortest counts: longer input than that may be refused.
    """
    spec = obj(entry, "model_spec")
    capabilities = obj(entry, "capabilities")
    places = (
        entry,
        obj(entry, "parameters"),
        obj(entry, "metadata"),
        obj(entry, "limits"),
        obj(capabilities, "limits"),
        spec,
    )
    meta = obj(entry, "meta")
    told = (count(meta, "n_ctx"), *(count(place, *_LENGTHS) for place in places if not _NAMES.isdisjoint(place)))
    length = next(filter(None, told), None)
    served = [length, count(obj(entry, "top_provider"), "context_length")]
    served += [count(provider, "context_length") for provider in _providers(entry)]
    return min(filter(None, served), default=None) or count(meta, "n_ctx_train")


def _providers(entry: Any) -> list[dict[str, Any]]:
    """Return the providers behind the Hugging Face router that serve the model now."""
    told = entry.get("providers") if isinstance(entry, dict) else None
    listed = told if isinstance(told, list) else []
    return [each for each in listed if isinstance(each, dict) and text(each, "status") in ("", "live")]


def _of_providers(entry: Any) -> dict[str, bool]:
    """Return whether the model takes tools: where some providers do and others do not, it is not known."""
    told = {tools for each in _providers(entry) if isinstance(tools := each.get("supports_tools"), bool)}
    return {"tools": told.pop()} if len(told) == 1 else {}


def _beside(reply: dict[str, Any]) -> dict[str, Facts]:
    """Return what llama.cpp says in `models`, beside `data`, in the form of Ollama's tags."""
    listed = reply.get("models")
    return {text(each, "name", "model"): tag_facts(each) for each in listed} if isinstance(listed, list) else {}


def tag_facts(entry: Any) -> Facts:
    """Return what an entry of `/api/tags` says of its model (contract 5.4)."""
    details = obj(entry, "details")
    return Facts(
        context_length=count(details, "context_length"),
        embedding_length=count(details, "embedding_length"),
        parameter_count=parameters(text(details, "parameter_size")),
        size=count(entry, "size"),
        quantization=text(details, "quantization_level") or None,
        family=text(details, "family") or None,
        format=text(details, "format") or None,
        can=of_words(texts(entry, "capabilities") or ()),
    )

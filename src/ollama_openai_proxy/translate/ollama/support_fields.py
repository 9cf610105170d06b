"""What becomes of each field of a request, and of each option. Data: docs/compatibility.md is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ollama_openai_proxy.translate.ollama import management, wire
from ollama_openai_proxy.translate.ollama.answers import Support
from ollama_openai_proxy.translate.ollama.decoding import Wire


class Row(NamedTuple):
    """What becomes of it, and why or how."""

    support: Support
    note: str


def _forwarded(note: str) -> Row:
    return Row("forwarded", note)


def _translated(note: str) -> Row:
    return Row("translated", note)


def _answered(note: str) -> Row:
    return Row("answered", note)


def _ignored(note: str) -> Row:
    return Row("ignored", note)


def _refused(note: str) -> Row:
    return Row("refused", note)


_MODEL = _translated("the backend's id is sent; tag, case and aliases are resolved here")
_NAME = _answered("an older name of `model`, used where that is empty")
_KEEP_ALIVE = _answered("how long `/api/ps` lists the model; the backend is not told")
_CHECKED = _ignored("checked, as Ollama does; no option changes a vector")
_WEIGHTS = _refused("this server keeps no weights")
_REGISTRY = _ignored("no registry is asked")
_WHOLE = _answered("false: one object in place of lines of progress")

_GENERATION = {
    "model": _MODEL,
    "stream": _forwarded("true by default; false is one object"),
    "format": _translated("`response_format`: `json`, or a schema, which is sent as it is"),
    "keep_alive": _KEEP_ALIVE,
    "options": _translated("see the options below"),
    "think": _translated("in the words of the backend's profile; refused for a model that is known not to think"),
    "truncate": _translated("sent to backends that can leave messages out; nothing is left out here"),
    "shift": _ignored("how a backend goes on beyond its context is its affair"),
    "logprobs": _forwarded("where the backend has them"),
    "top_logprobs": _forwarded("0 to 20; without `logprobs` not sent"),
    "_debug_render_only": _answered("what would be sent is told, and not sent"),
}

FIELDS: Mapping[type[Wire], Mapping[str, Row]] = {
    wire.ChatRequest: {
        **_GENERATION,
        "messages": _translated("see the messages below"),
        "tools": _translated(
            "schemas are kept, `properties` added where missing; refused for a model known to have none"
        ),
    },
    wire.Message: {
        "role": _forwarded("in lower case"),
        "content": _forwarded("a text; empty where it is missing"),
        "thinking": _translated("to backends that want it back, else left out"),
        "images": _translated("parts of the message, as data URIs; sounds are told by their first bytes"),
        "tool_calls": _translated("arguments as text; an id is made up where it is missing"),
        "tool_name": _translated("finds the call that is answered"),
        "tool_call_id": _forwarded("made up where it is missing, from the name or the order"),
    },
    wire.ToolCall: {
        "id": _forwarded("made up where it is missing"),
        "type": _ignored("it is always `function`"),
        "function": _translated("name and arguments"),
    },
    wire.ToolCallFunction: {
        "index": _ignored("the order says it"),
        "name": _forwarded("as it is"),
        "arguments": _translated("an object, sent as text"),
    },
    wire.GenerateRequest: {
        **_GENERATION,
        "prompt": _translated("a user's message; with `raw`, `suffix` or `template` a plain prompt"),
        "suffix": _translated("filled in by backends that have a route for it, else refused"),
        "system": _translated("a system message"),
        "template": _answered("rendered here, to a plain prompt; without one the backend uses its own"),
        "context": _answered("holds the conversation itself, which is put before the prompt; others' are ignored"),
        "raw": _translated("a plain prompt to `/v1/completions`"),
        "images": _translated("parts of the message, as data URIs; refused in plain prompts"),
    },
    wire.EmbedRequest: {
        "model": _MODEL,
        "input": _forwarded("all texts in one call"),
        "truncate": _translated("vLLM is asked to cut; others cut or refuse, and a refusal is told in Ollama's words"),
        "dimensions": _answered("cut here and normalised again, whatever the backend can do"),
        "keep_alive": _KEEP_ALIVE,
        "options": _CHECKED,
    },
    wire.EmbeddingsRequest: {
        "model": _MODEL,
        "prompt": _forwarded("one text"),
        "keep_alive": _KEEP_ALIVE,
        "options": _CHECKED,
    },
    wire.ShowRequest: {
        "model": _answered("looked up among the backend's models and the aliases"),
        "name": _NAME,
        "verbose": _ignored("there are no tensors and no tokens to show"),
        "system": _answered("shown in place of the model's"),
        "template": _ignored("as Ollama does"),
        "options": _answered("shown in the `modelfile`"),
    },
    management.PullRequest: {
        "model": _answered("the backend is asked whether it has it"),
        "name": _NAME,
        "stream": _WHOLE,
        "insecure": _REGISTRY,
        "username": _REGISTRY,
        "password": _REGISTRY,
    },
    management.PushRequest: {
        "model": _refused("no registry takes it"),
        "name": _NAME,
        "stream": _WHOLE,
        "insecure": _REGISTRY,
        "username": _REGISTRY,
        "password": _REGISTRY,
    },
    management.DeleteRequest: {
        "model": _answered("an alias is removed; a model of the backend's is refused"),
        "name": _NAME,
    },
    management.CopyRequest: {
        "source": _answered("a model or an alias"),
        "destination": _answered("the name of the new alias"),
    },
    management.CreateRequest: {
        "model": _answered("the name of the new alias"),
        "name": _NAME,
        "stream": _WHOLE,
        "from": _answered("the model that is behind the alias"),
        "template": _answered("kept, and shown; a backend that takes chats has its own"),
        "license": _answered("kept, and shown"),
        "system": _answered("kept, and put before each chat"),
        "parameters": _answered("kept, and sent as options below those of a request"),
        "messages": _answered("kept, and put before each chat"),
        "info": _answered("what is told of the model: lengths, capabilities, family, size"),
        "files": _WEIGHTS,
        "adapters": _WEIGHTS,
        "draft_files": _WEIGHTS,
        "draft_quantize": _WEIGHTS,
        "quantize": _WEIGHTS,
        "quantization": _WEIGHTS,
        "remote_host": _refused("there is one backend"),
        "renderer": _ignored("the backend has its own"),
        "parser": _ignored("the backend has its own"),
        "requires": _ignored("no version is asked for"),
    },
}

_SAMPLING = "to backends that take it, under their name"
_LOADING = "how a model is loaded is the backend's affair"
OPTIONS: Mapping[str, Row] = {
    "temperature": _forwarded("`temperature`"),
    "top_p": _forwarded("`top_p`"),
    "presence_penalty": _forwarded("`presence_penalty`"),
    "frequency_penalty": _forwarded("`frequency_penalty`"),
    "seed": _forwarded("`seed`; a negative one, which is a random one, is not sent"),
    "stop": _forwarded("`stop`; one text is taken for a list of one"),
    "num_predict": _translated(
        "`max_tokens` or `max_completion_tokens`; 0 and less, and 2^31 and more, are no limit: not sent"
    ),
    "top_k": _translated(_SAMPLING),
    "min_p": _translated(_SAMPLING),
    "typical_p": _translated(_SAMPLING),
    "repeat_penalty": _translated(_SAMPLING),
    "repeat_last_n": _translated(_SAMPLING),
    "num_keep": _translated(_SAMPLING),
    "num_ctx": _ignored("a hint: the context is the backend's"),
    "num_batch": _ignored(_LOADING),
    "num_gpu": _ignored(_LOADING),
    "main_gpu": _ignored(_LOADING),
    "use_mmap": _ignored(_LOADING),
    "num_thread": _ignored(_LOADING),
    "draft_num_predict": _ignored(_LOADING),
}

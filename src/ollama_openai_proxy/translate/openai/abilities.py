"""What an entry of a list of models says the model can do, in Ollama's words.

Each vendor has its own way: a list of modalities, one of request parameters, one of tags, an object of flags,
a kind. What is in none of them is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ollama_openai_proxy.translate.openai.facts import EMBEDS, NEITHER, PAINTS, WORDS, obj, text, texts

# Flags, true or false, or Anthropic's {"supported": ...}: where Mistral, Moonshot, Venice, Fireworks, Requesty, Azure,
# Cerebras and others put them.
_FLAGS = {
    "completion": ("completion_chat", "chat_completion", "supports_chat"),
    "tools": (
        *("function_calling", "tools", "tool_calls", "supports_tools", "supports_function_calling"),
        *("supports_tool_calling", "supports_tool_calls", "supportsFunctionCalling", "trained_for_tool_use"),
    ),
    "insert": ("completion_fim",),
    "vision": (
        *("vision", "image_input", "supports_vision", "supports_image_input", "supports_image_in"),
        *("supports_images", "supportsVision"),
    ),
    "embedding": ("embeddings", "supports_embeddings"),
    "thinking": ("reasoning", "thinking", "supports_reasoning", "supportsReasoning"),
    "audio": ("supports_audio_input", "supportsAudioInput"),
}
_WORD_OF = {name: word for word, names in _FLAGS.items() for name in names}
# Words in lists of tags and features: what they name is there, and of the rest nothing is said.
_TAGS = {word: word for word in WORDS if word != "image"} | {
    **dict.fromkeys(("tool_use", "tool-use", "tool-calling", "tool_calling", "function-calling"), "tools"),
    **dict.fromkeys(("function_calling", "functions"), "tools"),
    **dict.fromkeys(("reasoning", "reasoning_effort"), "thinking"),
    **dict.fromkeys(("embed", "embeddings"), "embedding"),
    "fim": "insert",
}
_CHAT_KINDS = frozenset({"chat", "language", "llm", "vlm", "text", "code", "completion", "responses"})
_EMBEDDING_KINDS = frozenset({"embedding", "embeddings", "embed", "text-embedding", "embedding_model"})
_OTHER_KINDS = frozenset(
    {
        *("image", "video", "audio", "rerank", "reranker", "transcribe", "transcription", "tts", "asr", "stt"),
        *("image_generation", "video_generation", "audio_speech", "audio_transcription", "ocr"),
    }
)
_PAINTING = frozenset({"image", "images", "image_generation"})
_OTHER_OUTPUTS = _OTHER_KINDS | {"images", "videos", "speech", "music", "file", "3d", "score", "scores"}


def abilities(entry: dict[str, Any]) -> dict[str, bool]:
    """Return which of Ollama's words hold, as far as the entry says."""
    can = _of_tags(entry) | _of_flags(entry) | _of_features(entry) | _of_modalities(entry)
    for kind in (text(entry, "type"), text(entry, "model_type"), text(obj(entry, "capabilities"), "type")):
        can |= of_kind(kind)
    return can


def of_kind(kind: str) -> dict[str, bool]:
    """Return what a word says for what a model is made for: `chat`, `embedding`, `image`, ..."""
    kind = kind.casefold()
    if kind in _EMBEDDING_KINDS:
        return EMBEDS
    if kind in _OTHER_KINDS:
        return PAINTS if kind in _PAINTING else NEITHER
    return {"completion": True} if kind in _CHAT_KINDS else {}


def of_words(words: Iterable[str]) -> dict[str, bool]:
    """Return what a list of tags or features says is there."""
    return {_TAGS[word]: True for word in map(str.casefold, words) if word in _TAGS}


def _of_tags(entry: dict[str, Any]) -> dict[str, bool]:
    lists = (
        texts(entry, "capabilities"),
        texts(entry, "tags"),
        texts(entry, "features"),
        texts(obj(entry, "metadata"), "tags"),
    )
    return of_words(word for words in lists for word in words or ())


def _of_flags(entry: dict[str, Any]) -> dict[str, bool]:
    told = obj(entry, "capabilities")
    places = (entry, told, obj(told, "supports"), obj(obj(entry, "model_spec"), "capabilities"))
    found: dict[str, bool] = {}
    for place in places:
        for name in place.keys() & _WORD_OF.keys():
            if (flag := _flag(place[name])) is not None:
                found[_WORD_OF[name]] = flag or found.get(_WORD_OF[name], False)
    return found


def _flag(value: Any) -> bool | None:
    if isinstance(value, dict):
        value = value.get("supported")
    return value if isinstance(value, bool) else None


def _of_features(entry: dict[str, Any]) -> dict[str, bool]:
    """Read lists that are whole: a parameter that is not in them is not taken (OpenRouter and those it lists).

    A model may have no features; one that takes no parameters at all is one of which they are not told.
    """
    taken, features = texts(entry, "supported_parameters"), texts(entry, "supported_features")
    if not taken and features is None:
        return {}
    listed = {name.casefold() for name in (*(taken or ()), *(features or ()))}
    return {"tools": "tools" in listed, "thinking": not listed.isdisjoint({"reasoning", "include_reasoning"})}


def _of_modalities(entry: dict[str, Any]) -> dict[str, bool]:
    inputs, outputs = _modalities(entry)
    found: dict[str, bool] = {}
    if inputs is not None:
        found |= {"vision": "image" in inputs, "audio": "audio" in inputs}
    if outputs is None:
        return found
    if not outputs.isdisjoint(_EMBEDDING_KINDS):
        return EMBEDS
    if "text" in outputs:
        return found | {"completion": True}
    if outputs <= _OTHER_OUTPUTS:
        return PAINTS if outputs & _PAINTING else NEITHER
    return found


def _modalities(entry: dict[str, Any]) -> tuple[set[str] | None, set[str] | None]:
    """Return what goes in and what comes out. None: not told."""
    architecture = obj(entry, "architecture")
    before, arrow, after = text(architecture, "modality").partition("->")
    either = (before.split("+"), after.split("+")) if arrow else (None, None)
    return (
        _first(architecture, entry, "input_modalities", either[0]),
        _first(architecture, entry, "output_modalities", either[1]),
    )


def _first(architecture: dict[str, Any], entry: dict[str, Any], key: str, default: list[str] | None) -> set[str] | None:
    told = texts(architecture, key) or texts(entry, key) or texts(entry, f"supported_{key}") or default
    return set(map(str.casefold, told)) if told else None

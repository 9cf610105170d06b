"""What a model can do, in the many ways in which vendors say it."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.abilities import abilities, of_kind, of_words
from ollama_openai_proxy.translate.openai.facts import EMBEDS, NEITHER, PAINTS


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"supports_tools": True}, {"tools": True}, id="a flag"),
        pytest.param({"capabilities": {"function_calling": False}}, {"tools": False}, id="a flag within"),
        pytest.param({"capabilities": {"vision": {"supported": False}}}, {"vision": False}, id="Anthropic's flags"),
        pytest.param({"capabilities": {"supports": {"tool_calls": True}}}, {"tools": True}, id="one deeper"),
        pytest.param({"supports_vision": "yes", "supports_reasoning": 1}, {}, id="no flags"),
        pytest.param(
            {"tools": True, "supports_tools": False}, {"tools": True}, id="two flags: one that is true counts"
        ),
        pytest.param({"capabilities": ["tool_use", 7, "unknown"]}, {"tools": True}, id="tags say what is there"),
        pytest.param(
            {"tags": ["Vision"], "features": ["reasoning"]}, {"vision": True, "thinking": True}, id="all lists"
        ),
        pytest.param({"supported_parameters": ["tools"]}, {"tools": True, "thinking": False}, id="parameters say all"),
        pytest.param({"supported_features": []}, {"tools": False, "thinking": False}, id="features say all"),
        pytest.param({"supported_parameters": []}, {}, id="no parameters: not told"),
        pytest.param({"output_modalities": ["token_ids"]}, {}, id="outputs that nobody knows"),
        pytest.param({"output_modalities": ["speech", "file"]}, NEITHER, id="outputs that are no text"),
        pytest.param(
            {"tools": False, "capabilities": {"function_calling": True, "tools": False}}, {"tools": True}, id="flags"
        ),
        pytest.param({"input_modalities": ["text"]}, {"vision": False, "audio": False}, id="inputs"),
        pytest.param({"output_modalities": ["text"]}, {"completion": True}, id="outputs"),
        pytest.param({"output_modalities": ["embeddings"]}, EMBEDS, id="embeddings"),
        pytest.param({"architecture": {"output_modalities": ["image"]}}, PAINTS, id="images"),
        pytest.param({"output_modalities": ["video"]}, NEITHER, id="videos"),
        pytest.param({"architecture": {"modality": "text"}}, {}, id="no arrow"),
        pytest.param({"input_modalities": [], "modality": "x->y"}, {}, id="empty"),
        pytest.param({"type": "language"}, {"completion": True}, id="kind"),
        pytest.param({"model_type": "Embedding"}, EMBEDS, id="kind of embedding"),
        pytest.param({"capabilities": {"type": "embeddings"}}, EMBEDS, id="kind within"),
        pytest.param({"type": "model", "model_type": "qwen2"}, {}, id="other types"),
    ],
)
def test_words(entry: dict[str, Any], told: dict[str, bool]) -> None:
    """Contract 5.6: the words of Ollama; what is not told is left out."""
    assert abilities(entry) == told


@pytest.mark.parametrize("kind", ["image", "video", "audio", "rerank", "audio_transcription", "TTS"])
def test_models_that_make_no_text(kind: str) -> None:
    """Neither a chat nor an embedding comes out of them."""
    assert of_kind(kind) == (PAINTS if kind == "image" else NEITHER)


def test_moderation_models_may_chat() -> None:
    """Together calls Llama Guard so, and answers chats with it."""
    assert of_kind("moderation") == {}


def test_tags_in_many_spellings() -> None:
    """LM Studio, Vercel, GitHub and Novita each have their own word for tools."""
    for word in ("tool_use", "tool-use", "tool-calling", "function-calling", "tools"):
        assert of_words([word]) == {"tools": True}

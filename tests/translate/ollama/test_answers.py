"""The shapes of answers are those of what is really written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import answers, catalog, embeddings, errors, management
from ollama_openai_proxy.translate.ollama.answers import Shape
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, idle_answer
from ollama_openai_proxy.translate.ollama.schemas import answers as schemas
from ollama_openai_proxy.translate.ollama.show import show
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS
from ollama_openai_proxy.translate.ollama.wire import ShowRequest

MODEL = Model("m", created=1, context_length=8, embedding_length=4, parameter_count=7 * 10**9)


def kinds(of: type[Shape] = Shape) -> Iterator[type[Shape]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_shape_is_of_an_answer() -> None:
    """No shape is left over: each is an answer, a part of one, or what several have in common."""
    found = schemas([route.answer for route in ENDPOINTS if route.answer] + [answers.Error])
    named = {kind.__name__ for kind in kinds() if not kind.__name__.startswith("_")}
    assert set(found) == named


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_member_says_where_it_comes_from(kind: type[Shape]) -> None:
    """Whoever adds a member says whose it is, in a short phrase without a full stop."""
    for name, member in schemas([kind])[kind.__name__]["properties"].items():
        support, _, note = member["description"].partition(": ")
        assert support == member["x-support"], name
        assert support in get_args(answers.Support), name
        assert 0 < len(note) <= 100, name
        assert note[-1] not in ". ", name


WRITTEN: list[tuple[type[Shape], bytes]] = [
    (answers.Error, errors.error_body(InvalidRequest("no"))),
    (answers.Tags, catalog.tags([MODEL, Model("other")], 5, 100)),
    (answers.Processes, catalog.running([(MODEL, 60.0)], 10**18, 100)),
    (answers.Shown, show(MODEL, ShowRequest(system="s", options={"seed": 1}), 5, 100, name="m")),
    (answers.ChatAnswer, idle_answer(CHAT, "m", 10**18, "load")),
    (answers.GenerateAnswer, idle_answer(GENERATE, "m", 10**18, "unload")),
    (answers.EmbedAnswer, embeddings.loaded("m")),
    (answers.EmbedAnswer, embeddings.embed_answer("m", [b"[1,0]"], prompt_tokens=1, opened=1, elapsed=2)),
    (answers.EmbeddingsAnswer, embeddings.embeddings_answer([])),
    *((answers.Progress, line) for line in management.pulled(MODEL)),
]


@pytest.mark.parametrize(
    ("kind", "body"), WRITTEN, ids=[f"{number} {kind.__name__}" for number, (kind, _) in enumerate(WRITTEN)]
)
def test_what_is_written_has_its_shape(kind: type[Shape], body: bytes) -> None:
    """All members that are written are described, all that are always there are, and none is null (rule R5)."""
    msgspec.json.decode(body, type=kind)


@pytest.mark.parametrize("body", [{"error": None}, {"error": "a", "code": 5}, {}])
def test_another_shape_is_told_from_it(body: dict[str, Any]) -> None:
    """Contract 1.9: an error is a string, and there is nothing beside it."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, answers.Error)

"""Models and their names: what the backend calls them, and what clients of Ollama call them.

An Ollama name always has a tag (contract 2.2), so a backend's `gpt-4o` is listed as
`gpt-4o:latest`. A request may use either, in any case, or the backend's id to the letter: ids that
Ollama's grammar does not know (contract 2.1) work all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Preset(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands before each request to a model: an alias's own settings, or the operator's.

    `parameters` are Ollama's options, which those of a request override; `messages` are Ollama's
    messages (`role`, `content`, ...), put before those of a request; `license` has all licences.
    """

    system: str = ""
    template: str = ""
    license: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = {}
    messages: tuple[Mapping[str, Any], ...] = ()


NO_PRESET = Preset()


class Model(msgspec.Struct, frozen=True):
    """What is known about a model. None: nobody said.

    `id` is what clients call it (a tag `:latest` left out), `upstream` what the backend calls it
    where that is another name; `parent` is the name of the model that an alias was made from.
    """

    id: str
    created: int | None = None
    owned_by: str = ""
    context_length: int | None = None
    embedding_length: int | None = None
    parameter_count: int | None = None
    size: int | None = None
    quantization: str | None = None
    family: str | None = None
    vision: bool = False
    capabilities: tuple[str, ...] | None = None  # the whole list, where somebody tells one
    upstream: str = ""
    parent: str = ""
    preset: Preset = NO_PRESET

    @property
    def upstream_id(self) -> str:
        """What the backend calls it."""
        return self.upstream or self.id

    @property
    def name(self) -> str:
        """The name with its tag: what clients see."""
        return tagged(self.id)


def tagged(name: str) -> str:
    """Return the name with `:latest` where it has no tag of its own."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def qualified(name: str) -> str:
    """Return the name with all its parts, as Ollama writes it in some errors (contract 3.7)."""
    parts = tagged(name).split("/")
    return "/".join(["registry.ollama.ai", "library"][: max(3 - len(parts), 0)] + parts)


# contract 2.1: [scheme://][host/][namespace/]model[:tag]
_NAME = re.compile(r"(?:\w+://)?(?:(?:\w[\w.:-]{0,349}/)?\w[\w-]{0,79}/)?\w[\w.-]{0,79}(?::\w[\w.-]{0,79})?", re.ASCII)


def is_valid_name(name: str) -> bool:
    """Whether the name follows Ollama's grammar."""
    return _NAME.fullmatch(name.strip()) is not None


class Directory:
    """The models of a backend, found by any of their names."""

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self.models = tuple({model.id: model for model in models if model.id}.values())
        self._ids = {model.id: model for model in self.models}
        self._folded: dict[str, Model] = {}
        self._names: dict[str, Model] = {}
        for model in self.models:
            self._names.setdefault(model.name, model)
            self._folded.setdefault(model.name.casefold(), model)

    def find(self, name: str) -> Model | None:
        """Return the model that `name` means: the id itself first, then tag and case folded."""
        name = name.strip()
        if model := self._ids.get(name):
            return model
        if name.casefold().endswith(":local"):  # contract 2.5: a marker, not a tag
            name = name[: -len(":local")]
        return self._names.get(tagged(name)) or self._folded.get(tagged(name).casefold())

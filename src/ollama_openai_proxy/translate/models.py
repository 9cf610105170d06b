"""Models and their names: what the backend calls them, and what clients of Ollama call them.

An Ollama name always has a tag (contract 2.2), so a backend's `gpt-4o` is listed as
`gpt-4o:latest`. A request may use either, in any case, or the backend's id to the letter: ids that
Ollama's grammar does not know (contract 2.1) work all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.errors import InvalidRequest


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
    format: str | None = None
    capabilities: tuple[str, ...] | None = None  # the whole list, where somebody tells one: the rest is refused,
    unsaid: tuple[str, ...] = ()  # but for these, of which nobody spoke
    offers: tuple[str, ...] = ()  # where nobody does, what is known to be there,
    lacks: tuple[str, ...] = ()  # and what is known not to be: neither refuses anything
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


# What a name may have in front that says nothing: a scheme, the default host and the default namespace (contract 2.1).
_SAYS_NOTHING = re.compile(
    r"(?:\w+://(?=(?:[^/]+/){2}[^/]+$))?(?:registry\.ollama\.ai/(?=[^/]+/[^/]+$))?(?:library/(?=[^/]+$))?",
    re.ASCII | re.IGNORECASE,
)


def is_valid_name(name: str) -> bool:
    """Whether the name follows Ollama's grammar."""
    return _NAME.fullmatch(name.strip()) is not None


_LOCAL = ":local"
_CLOUD = (":cloud", "-cloud")


def without_source(name: str) -> str:
    """Return the name without space around it and without `:local`, which is a marker, not a tag (contract 2.5).

    `:cloud` and `-cloud` stay: the backend may well call a model that.
    """
    name = name.strip()
    return name[: -len(_LOCAL)] if name.casefold().endswith(_LOCAL) else name


def check_source(name: str) -> None:
    """Raise InvalidRequest for a name that says both where the model is and where it is not (contract 2.5)."""
    bare = name.strip().casefold()
    base = next((bare.removesuffix(mark) for mark in _CLOUD if bare.endswith(mark)), "")
    # A tag may end in -cloud; `-cloud` at the end of a model without one is part of its name.
    if (bare.endswith(_LOCAL) and _is_cloud(bare.removesuffix(_LOCAL))) or base.endswith(_LOCAL):
        raise InvalidRequest(f"use either :local or :cloud, not both: {json.dumps(name, ensure_ascii=False)}")


def _is_cloud(name: str) -> bool:
    return name.endswith(_CLOUD) and ":" in name.rpartition("/")[2]


class Directory:
    """The models of a backend, found by any of their names.

    `models` are those to show. Where two are shown by one name (`x` and `x:latest`) that is the one which the name
    means to the letter; the other is found by its id all the same.
    """

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self._ids = {model.id: model for model in models if model.id}
        self._folded: dict[str, Model] = {}
        self._names: dict[str, Model] = {}
        for model in self._ids.values():
            if model.name not in self._names or model.id == model.name:
                self._names[model.name] = model
        for model in self._names.values():
            self._folded.setdefault(model.name.casefold(), model)
        self.models = tuple(self._names.values())

    def find(self, name: str) -> Model | None:
        """Return the model that `name` means: the id itself first, then tag and case folded, then without defaults."""
        if model := self._ids.get(name.strip()):
            return model
        name = without_source(name)
        return self._ids.get(name) or self._named(name) or self._named(_SAYS_NOTHING.sub("", name, count=1))

    def _named(self, name: str) -> Model | None:
        return self._names.get(tagged(name)) or self._folded.get(tagged(name).casefold())

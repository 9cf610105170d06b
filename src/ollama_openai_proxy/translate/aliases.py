"""Aliases: models that clients make of others, with `/api/create` and `/api/copy` (contract 5.13, 5.14)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ollama_openai_proxy.translate.models import NO_PRESET, Model, Preset


class Alias(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name for the backend's model `upstream`, and what stands before each request to it.

    `name` is in display form, with its tag; `modified` is in seconds since 1970; `parent` is the name
    it was made from. The rest is what its maker says of the model; None: what the backend says holds.
    """

    name: str
    upstream: str
    modified: int
    parent: str = ""
    preset: Preset = NO_PRESET
    context_length: int | None = None
    embedding_length: int | None = None
    family: str | None = None
    quantization: str | None = None
    parameter_count: int | None = None
    capabilities: tuple[str, ...] | None = None


_TOLD = ("context_length", "embedding_length", "family", "quantization", "parameter_count", "capabilities")


def applied(alias: Alias, base: Model | None) -> Model:
    """Return the model that an alias is. `base` is the backend's; None while it has none of that name."""
    told = {field: value for field in _TOLD if (value := getattr(alias, field)) is not None}
    return msgspec.structs.replace(
        base or Model(id=alias.upstream),
        id=alias.name.removesuffix(":latest"),
        upstream=alias.upstream,
        created=alias.modified,
        parent=alias.parent,
        preset=alias.preset,
        **told,
    )


def with_aliases(models: Iterable[Model], aliases: Iterable[Alias]) -> list[Model]:
    """Return the models that clients see: the aliases, and what they do not hide by having its name."""
    own = list(models)
    by_id = {model.upstream_id: model for model in own}
    made = [applied(alias, by_id.get(alias.upstream)) for alias in aliases]
    hidden = {model.name.casefold() for model in made}
    return made + [model for model in own if model.name.casefold() not in hidden]

"""Aliases: models that clients make of others, with `/api/create` and `/api/copy` (contract 5.13, 5.14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ollama_openai_proxy.translate.models import NO_PRESET, Model, Preset, tagged


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


class _Head(msgspec.Struct):
    version: int


class _Table(msgspec.Struct):
    version: int
    aliases: tuple[Alias, ...]


_VERSION = 1
_TOLD = ("context_length", "embedding_length", "family", "quantization", "parameter_count", "capabilities")


def applied(alias: Alias, base: Model | None) -> Model:
    """Return the model that an alias is. `base` is the backend's; None while it has none of that name."""
    told = {field: value for field in _TOLD if (value := getattr(alias, field)) is not None}
    if alias.capabilities is not None:
        told["unsaid"] = ()
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
    own, table = list(models), {alias.name: alias for alias in aliases}
    by_id, by_name = {model.upstream_id: model for model in own}, {model.name: model for model in own}
    made = [applied(alias, _base(alias, table, by_name) or by_id.get(alias.upstream)) for alias in table.values()]
    hidden = {model.name.casefold() for model in made}
    return made + [model for model in own if model.name.casefold() not in hidden]


def _base(alias: Alias, table: Mapping[str, Alias], models: Mapping[str, Model]) -> Model | None:
    """Return the one of the models that the alias was made from, or the alias that it was made from.

    Several may be one model upstream: those that the models file makes, each with facts of its own.
    """
    name, seen = alias.parent, set[str]()
    while name and name not in seen:
        if (model := models.get(name)) and model.upstream_id == alias.upstream:
            return model
        seen.add(name)
        name = table[name].parent if name in table else ""
    return None


def encode(aliases: Iterable[Alias]) -> bytes:
    """Return the table as a file keeps it: JSON that people can read, with the version of its form."""
    return msgspec.json.format(msgspec.json.encode(_Table(_VERSION, tuple(aliases)))) + b"\n"


def decode(data: bytes) -> tuple[Alias, ...]:
    """Return the table that a file keeps. Raises ValueError, which says what is wrong and holds nothing of it."""
    try:
        version = msgspec.json.decode(data, type=_Head).version
        if version != _VERSION:
            raise ValueError(f"has the form {version}, and this version of the proxy knows {_VERSION}")
        aliases = msgspec.json.decode(data, type=_Table).aliases
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("is damaged: it is not what the proxy wrote") from None
    names = [alias.name.casefold() for alias in aliases]
    if len({*names}) < len(names) or not all(alias.name == tagged(alias.name) and alias.upstream for alias in aliases):
        raise ValueError("is damaged: two aliases have one name, or one has none or no tag")
    return aliases

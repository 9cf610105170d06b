"""The models file: what an operator tells of models, in TOML (docs/models.md describes it)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import translate as as_expression
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Directory, Model, Preset, is_valid_name, tagged
from ollama_openai_proxy.translate.ollama import options

MAX_FILE = 1024 * 1024  # bytes
_MAX_ENTRIES = 10_000
_MAX_PATTERNS = 1_000  # each is held against each name
_MAX_REMEMBERED = 20_000
# contract 5.6
CAPABILITIES = ("completion", "tools", "insert", "vision", "embedding", "thinking", "image", "audio")

_Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Text = Annotated[str, Meta(min_length=1)]
_Name = Annotated[str, Meta(min_length=1, max_length=400)]
_Word = Annotated[str, Meta(min_length=1, max_length=80)]

_NUMBERS = ("context_length", "embedding_length", "parameter_count", "size")
_FACTS = (*_NUMBERS, "quantization", "family", "format", "capabilities")
_SETTINGS = ("system", "template", "license")
_OPTIONS = {option.key for option in options.OPTIONS}
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_WILD = re.compile(r"[*?]|\[.*")  # what follows a bracket may be in it
_SIZE = re.compile(r"(\d{1,6})(?:\.(\d{1,9}))?([KMBT]?)", re.ASCII | re.IGNORECASE)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[model]]` table. None: it does not say."""

    match: _Name
    alias: _Name | list[_Name] = []
    upstream: _Name = ""
    override: bool = False
    context_length: _Number | None = None
    embedding_length: _Number | None = None
    parameter_count: _Number | None = None
    parameter_size: _Word | None = None
    size: _Number | None = None
    quantization: _Word | None = None
    family: _Word | None = None
    format: _Word | None = None
    capabilities: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    system: _Text | None = None
    template: _Text | None = None
    license: _Text | Annotated[tuple[_Text, ...], Meta(min_length=1)] | None = None
    options: dict[str, Any] = {}

    @property
    def aliases(self) -> list[str]:
        return [self.alias] if isinstance(self.alias, str) else self.alias

    @property
    def is_pattern(self) -> bool:
        return any(wildcard in self.match for wildcard in "*?[")


class ModelsFile:
    """What the operator says of models, to be laid over what the backend tells."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self._named: dict[str, list[int]] = {}
        self._patterns: list[tuple[int, str, re.Pattern[str]]] = []  # each with a text that is in all that it matches
        for index, entry in enumerate(self.entries):
            folded = entry.match.casefold()
            if entry.is_pattern:
                part = max(_WILD.split(folded), key=len)
                self._patterns.append((index, part, re.compile(as_expression(folded))))
            self._named.setdefault(folded, []).append(index)  # a pattern, too: ids may have brackets
        self._remembered: dict[str, tuple[int, ...]] = {}

    def apply(self, models: Iterable[Model]) -> list[Model]:
        """Return what is offered: the backend's `models` with what the file says of them, and the file's own.

        Those come first. They hide models of the backend that have the same name.
        """
        told = list(models)
        made = list(self._made(told)) if self.entries else []
        hidden = {model.name.casefold() for model in made}
        return made + [self._described(model, model.id) for model in told if model.name.casefold() not in hidden]

    def _made(self, told: list[Model]) -> Iterator[Model]:
        """Yield the models that there are because the file says so."""
        directory, by_id = Directory(told), {model.id: model for model in told}
        own: dict[str, tuple[Model, tuple[str, ...]]] = {}  # each with its names, under which entries may be for it
        for entry in self.entries:
            if entry.upstream:
                known = by_id.get(entry.upstream) or directory.find(entry.match) or Model(entry.upstream)
                model = _renamed(known, entry.match, entry.upstream)
                own[model.name.casefold()] = model, (names := (model.id, entry.upstream))
                yield self._described(model, *names)
        for entry in self.entries:
            if not entry.aliases:
                continue
            if found := own.get(tagged(entry.match).casefold()):
                base, more = found
            elif listed := directory.find(entry.match):
                base, more = listed, (listed.id, listed.upstream_id)
            else:  # there is none that an alias could be for
                continue
            for alias in entry.aliases:
                model = msgspec.structs.replace(_renamed(base, alias, base.upstream_id), parent=base.name)
                own[model.name.casefold()] = model, (model.id, *more)
                yield self._described(model, model.id, *more)

    def _described(self, model: Model, *names: str) -> Model:
        """Return the model with what the entries for these names say, those for the first name first."""
        indexes = dict.fromkeys(index for name in names for index in self._matching(name))
        if not indexes:
            return model
        entries = [self.entries[index] for index in indexes]
        facts: dict[str, Any] = {}
        for field in _FACTS:
            for entry in entries:
                if (value := getattr(entry, field)) is not None:
                    if entry.override or getattr(model, field) is None:
                        facts[field] = value
                    break
        if "capabilities" in facts:
            facts["unsaid"] = ()
        return msgspec.structs.replace(model, preset=_preset(entries), **facts)

    def _matching(self, name: str) -> tuple[int, ...]:
        """Return the numbers of the entries that match the name, with its tag or without."""
        if (known := self._remembered.get(name)) is not None:
            return known
        folded = name.casefold()
        whole = tagged(folded)
        spellings = dict.fromkeys((folded, whole, whole.rpartition(":")[0]))
        found = {index for spelling in spellings for index in self._named.get(spelling, ())}
        found.update(
            index for index, part, pattern in self._patterns if part in whole and any(map(pattern.match, spellings))
        )
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = matching = tuple(sorted(found))
        return matching


NO_MODELS_FILE = ModelsFile()


def _renamed(model: Model, name: str, upstream: str) -> Model:
    return msgspec.structs.replace(model, id=name.removesuffix(":latest"), upstream=upstream)


def _preset(entries: list[Entry]) -> Preset:
    settings: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for entry in entries:
        for field in _SETTINGS:
            if (value := getattr(entry, field)) is not None:
                settings.setdefault(field, value)
        parameters = {**entry.options, **parameters}
    return Preset(**settings, parameters=parameters)


def parse(text: str) -> ModelsFile:
    """Return what the file says. Raises ValueError, whose message goes after the file's name.

    The message holds keys, and no values.
    """
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {_short(str(error))}") from None
    except ValueError:  # a number of thousands of digits
        raise ValueError("has a value that is too long") from None
    tables = document.pop("model", [])
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        key = next(iter(document), "model")
        raise ValueError(f"has a wrong key at the top, {_short(key)}: it takes nothing but [[model]] tables")
    if len(tables) > _MAX_ENTRIES:
        raise ValueError(f"has more than {_MAX_ENTRIES} models")
    entries = []
    for number, table in enumerate(tables, 1):
        try:
            entries.append(_entry(table))
        except ValueError as error:
            raise ValueError(f"has an error in model {number}: {error}") from None
    if sum(entry.is_pattern for entry in entries) > _MAX_PATTERNS:
        raise ValueError(f"has more than {_MAX_PATTERNS} models whose match is a pattern")
    _check_names(entries)
    return ModelsFile(entries)


def _short(text: str) -> str:
    """Return the text as one line of bounded length."""
    plain = ascii(text[:120])[1:-1]
    return plain if len(text) <= 120 else f"{plain}..."


def _entry(table: dict[str, Any]) -> Entry:
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(str(error))) from None
    for problem in (*_problems(entry), *_wrong_options(entry.options)):
        raise ValueError(problem)
    licenses = (entry.license,) if isinstance(entry.license, str) else entry.license
    count = entry.parameter_count if entry.parameter_size is None else _count(entry.parameter_size)
    return msgspec.structs.replace(entry, license=licenses, parameter_count=count)


def _explain(problem: str) -> str:
    """Return msgspec's message with the key first: "Expected `int`, got `str` - at `$.size`"."""
    what, _, path = problem.partition(" - at ")
    what = what.replace("Object contains unknown field", "unknown key").replace("Object missing required field", "no")
    what = _short(what.replace("`", "").replace(" | null", "").replace("array", "list")).strip()
    where = path.strip("`").removeprefix("$.").removeprefix("$")
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else what


def _problems(entry: Entry) -> Iterator[str]:
    """Yield what is wrong with an entry whose types are right."""
    for key in ("match", "upstream", "family", "quantization", "format"):
        value = getattr(entry, key)
        if value and (not value.isprintable() or value != value.strip()):
            yield f"{key}: has characters that no name has, or spaces around it"
    if entry.family and not re.fullmatch(r"[\w.-]+", entry.family, re.ASCII):
        yield "family: may have letters, digits, _ . and - only"
    if entry.is_pattern and (entry.alias or entry.upstream):
        yield f"{'alias' if entry.alias else 'upstream'}: is for one model, and match is a pattern"
    if not set(entry.capabilities or ()) <= set(CAPABILITIES):
        yield f"capabilities: are among {', '.join(CAPABILITIES)}"
    if entry.parameter_size is not None and entry.parameter_count is not None:
        yield "parameter_size: is given beside parameter_count; give one"
    if entry.parameter_size is not None and not _count(entry.parameter_size):
        yield "parameter_size: is a number above 0 with K, M, B or T, such as 8B or 1.5B"


def _wrong_options(given: dict[str, Any]) -> Iterator[str]:
    for key, value in given.items():
        if key not in _OPTIONS:
            yield f"options: unknown option {_short(key)}"
        try:
            options.translate({key: value})
        except InvalidRequest as error:
            yield f"options: {error.message}"


def _count(size: str) -> int:
    """Return the number that "8.03B" means; 0 if it means none."""
    if not (found := _SIZE.fullmatch(size)):
        return 0
    whole, fraction, unit = found.group(1), found.group(2) or "", found.group(3).upper()
    count: int = int(whole + fraction) * _UNITS[unit] // 10 ** len(fraction)
    return count


def _check_names(entries: list[Entry]) -> None:
    """Check the names that the file itself gives to models. Raises ValueError."""
    taken: set[str] = set()
    for number, entry in enumerate(entries, 1):
        given = [("alias", alias) for alias in entry.aliases] + [("match", entry.match)] * bool(entry.upstream)
        for key, name in given:
            if name != name.strip() or "://" in name or not is_valid_name(name):
                raise ValueError(f"has an error in model {number}: {key}: is not a name that Ollama takes")
            if (folded := tagged(name).casefold()) in taken:
                raise ValueError(f"has an error in model {number}: {key}: another model has this name already")
            taken.add(folded)

"""Names that clients give to what they make: their parts, and how they are written (contract 2.1 to 2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ollama_openai_proxy.translate.models import is_valid_name, tagged, without_source

_HOST = "registry.ollama.ai"
_NAMESPACE = "library"


class Name(NamedTuple):
    """All parts of a name, defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def display(self) -> str:
        """The shortest form, always with the tag."""
        short = f"{self.model}:{self.tag}"
        if self.host != _HOST:
            return f"{self.host}/{self.namespace}/{short}"
        return short if self.namespace == _NAMESPACE else f"{self.namespace}/{short}"

    @property
    def path(self) -> str:
        """Where Ollama would keep its manifest, below its folder."""
        return "/".join(("manifests", *self))


def parse(text: str) -> Name | None:
    """Return the parts of a name; None if it does not follow the grammar."""
    text = without_source(text)
    if not is_valid_name(text):
        return None
    _, scheme, rest = text.rpartition("://")
    path, _, tag = tagged(rest).rpartition(":")
    parts = path.split("/")
    if scheme and len(parts) < 3:
        return None
    host, namespace, model = [_HOST, _NAMESPACE][: 3 - len(parts)] + parts
    return Name(host, namespace, model, tag)


def spelled(name: Name, known: Iterable[str]) -> Name:
    """Return the name with each part as a known name spells it, where one differs by case alone."""
    spellings = [parts for text in known if (parts := parse(text))]
    host, namespace, model, tag = (
        _like(part, [parts[place] for parts in spellings]) for place, part in enumerate(name)
    )
    return Name(host, namespace, model, tag)


def _like(part: str, spellings: list[str]) -> str:
    if part in spellings:
        return part
    folded = part.casefold()
    return next((spelling for spelling in spellings if spelling.casefold() == folded), part)

"""Parsers of what operators write: whatever is wrong is a ValueError with a reason, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable

from ollama_openai_proxy import setting_values
from ollama_openai_proxy.translate import aliases, modelsfile
from ollama_openai_proxy.translate.models import Model


def told(parse: Callable[[], object]) -> None:
    """Check that what is wrong is said on one line, by a ValueError and none of its kinds."""
    reason: ValueError | None = None
    try:
        parse()
    except ValueError as error:
        reason = error
    assert reason is None or (type(reason) is ValueError and str(reason) and "\n" not in str(reason))


def fuzz_modelsfile(data: bytes) -> None:
    """The file about models: read and laid over models, or refused with a reason on one line."""
    text = data.decode(errors="replace")

    def read() -> None:
        offered = modelsfile.parse(text).apply([Model("m"), Model("org/Model:8b", context_length=10)])
        assert all(model.id for model in offered)

    told(read)


def fuzz_aliases(data: bytes) -> None:
    """The file of aliases: read, and then written as the same table, or refused with a reason on one line."""

    def read() -> None:
        table = aliases.decode(data)
        assert aliases.decode(aliases.encode(table)) == table

    told(read)


def fuzz_values(data: bytes) -> None:
    """Addresses, names and durations in settings: read, or refused with a reason that holds nothing of the value."""
    text = data.decode(errors="replace")
    told(lambda: setting_values.host_and_port(text))
    told(lambda: setting_values.hosts(text))
    told(lambda: setting_values.keep_alive(text))

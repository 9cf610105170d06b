"""The tables of fields and options are complete, and have nothing that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest

from ollama_openai_proxy.translate.ollama import support_fields
from ollama_openai_proxy.translate.ollama.answers import Support
from ollama_openai_proxy.translate.ollama.decoding import Wire
from ollama_openai_proxy.translate.ollama.options import OPTIONS
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS
from ollama_openai_proxy.translate.ollama.support_fields import FIELDS
from ollama_openai_proxy.translate.ollama.wire import ModelRequest


def kinds(of: type[Wire] = Wire) -> Iterator[type[Wire]]:
    """Every type that a request, or a part of one, is read to."""
    for kind in of.__subclasses__():
        if kind.__module__.startswith("ollama_openai_proxy."):
            yield kind
            yield from kinds(kind)


def test_every_request_has_rows() -> None:
    """Whoever adds a request says what becomes of its fields; whoever takes one away takes its rows, too."""
    assert set(FIELDS) == set(kinds()) - {ModelRequest}  # which is what they have in common
    assert {route.body for route in ENDPOINTS if route.body} <= set(FIELDS)


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_every_field_has_one_row(kind: type[Wire]) -> None:
    """Whoever adds a field says what becomes of it; whoever takes one away takes its row, too."""
    assert sorted(FIELDS[kind]) == sorted(field.encode_name for field in msgspec.structs.fields(kind))


def test_every_option_has_one_row() -> None:
    """Contract 4: the options of the table are the options that are read."""
    assert sorted(support_fields.OPTIONS) == sorted(option.key for option in OPTIONS)


def test_an_option_that_is_sent_has_a_parameter() -> None:
    """What is said to be ignored has no parameter to be sent as, and what is said to be sent has one."""
    for option in OPTIONS:
        assert (support_fields.OPTIONS[option.key].support == "ignored") == (option.upstream is None), option.key


ROWS = [
    *((f"{kind.__name__}.{name}", row) for kind, rows in FIELDS.items() for name, row in rows.items()),
    *support_fields.OPTIONS.items(),
]


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=[name for name, _ in ROWS])
def test_a_row_says_what_a_reader_needs(row: support_fields.Row) -> None:
    """Each row has a class from the closed list, and a note that is a short phrase without a full stop."""
    assert row.support in get_args(Support)
    assert 0 < len(row.note) <= 100
    assert row.note[-1] not in ". "
    assert "|" not in row.note

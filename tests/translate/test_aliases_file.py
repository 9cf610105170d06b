"""How a file keeps the aliases that clients have made."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.aliases import Alias, decode, encode
from ollama_openai_proxy.translate.models import Preset

PRESET = Preset("Be brief.", "{{ .Prompt }}", ("MIT",), {"stop": ["a"], "seed": 1}, ({"role": "user", "content": "é"},))
ALIAS = Alias("short:latest", "gpt", 1000, "gpt:latest", PRESET, 1, 2, "llama", "Q4_0", 7, ("completion",))
TEXT = st.text(min_size=1, max_size=10)
SHORT = st.text(max_size=10)
ALIASES = st.lists(
    st.builds(
        Alias,
        TEXT.map("{}:1b".format),
        TEXT,
        st.integers(0, 2**40),
        SHORT,
        st.builds(Preset, SHORT, SHORT, st.tuples(SHORT), st.dictionaries(TEXT, st.integers(0, 9), max_size=3)),
        st.none() | st.integers(0, 2**40),
    ),
    max_size=4,
    unique_by=lambda alias: alias.name.casefold(),
)


def test_file() -> None:
    """The file is JSON that people can read and mend, with the version of its form."""
    data = encode([ALIAS, Alias("x:latest", "gpt", 1)])
    assert json.loads(data) == {
        "version": 1,
        "aliases": [
            {
                "name": "short:latest",
                "upstream": "gpt",
                "modified": 1000,
                "parent": "gpt:latest",
                "preset": {
                    "system": "Be brief.",
                    "template": "{{ .Prompt }}",
                    "license": ["MIT"],
                    "parameters": {"stop": ["a"], "seed": 1},
                    "messages": [{"role": "user", "content": "é"}],
                },
                "context_length": 1,
                "embedding_length": 2,
                "family": "llama",
                "quantization": "Q4_0",
                "parameter_count": 7,
                "capabilities": ["completion"],
            },
            {"name": "x:latest", "upstream": "gpt", "modified": 1},
        ],
    }
    assert data.count(b"\n") > 10


@given(ALIASES)
def test_round_trip(aliases: list[Alias]) -> None:
    """What is written is read again, as it was."""
    assert decode(encode(aliases)) == tuple(aliases)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        encode([ALIAS])[:-40],
        b'{"version": 1}',
        b'{"version": 1, "aliases": {}}',
        b'{"version": 1, "aliases": [{"name": "a"}]}',
        b'{"version": 1, "aliases": [{"name": "", "upstream": "b", "modified": 1}]}',
        b'{"version": 1, "aliases": [{"name": "a:b", "upstream": "", "modified": 1}]}',
        b'{"version": 1, "aliases": [{"name": "a", "upstream": "b", "modified": 1}]}',
        b'{"version": 1, "aliases": [{"name": "a:b/c", "upstream": "b", "modified": 1}]}',
        encode([Alias("a:b", "c", 1), Alias("A:B", "c", 1)]),
        pytest.param(b'{"version": 1, "aliases": ' + b"[" * 100_000, id="deep"),
    ],
)
def test_damaged_file(data: bytes) -> None:
    """Bad input: a file that was not written so is damaged; it is told without anything of what it holds."""
    with pytest.raises(ValueError, match=r"^is damaged: [a-z ,']+$"):
        decode(data)


def test_another_version() -> None:
    """A file of another form is refused, for to write it anew would lose what it has more."""
    with pytest.raises(ValueError, match=r"^has the form 2, and this version of the proxy knows 1$"):
        decode(b'{"version": 2, "models": []}')


@given(st.binary(max_size=60))
def test_whatever_is_read(data: bytes) -> None:
    """Bad input: whatever a file holds is a table or a ValueError."""
    with suppress(ValueError):
        decode(data)

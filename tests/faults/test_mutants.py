"""The mutants that scripts/mutants makes: each can be made of the sources as they are now."""

from __future__ import annotations

import ast

import pytest

from faults.mutant import Mutant
from support.mutation import MUTANTS, PACKAGE, mutated, noticing


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_can_be_made(mutant: Mutant) -> None:
    """Its guard stands in the file, once; without it the file is still Python; and some tests should notice."""
    text = (PACKAGE / mutant.path).read_text(encoding="utf-8")
    changed = mutated(mutant, text)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    assert noticing(mutant)


def test_names_are_unlike() -> None:
    """Each can be asked for by its name."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)

"""benchmarks/soak/ledger.py: it sees each thing that can happen to a token, or the soak proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from support.scripts import ROOT, module

ledger = module(ROOT / "benchmarks" / "soak" / "ledger.py")
MADE = 1_000_000_000


def tokens(stream: str = "s1", number: int = 5) -> list[str]:
    chain = ledger.Chain(stream)
    return [chain.token(MADE) for _ in range(number)]


def checked(pieces: Sequence[str], number: int = 5) -> Any:
    """Return the ledger of stream s1 after these pieces, each 2 s after its token was made."""
    found = ledger.Ledger("s1")
    for piece in pieces:
        found.take(piece, MADE + 2_000_000_000)
    found.end(number)
    return found


def test_all_are_there() -> None:
    """A whole stream has no problems; each of its tokens has the time that it was on its way."""
    found = checked(tokens())
    assert (found.problems, found.tokens, found.delays) == ([], 5, [2.0] * 5)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces(size: int) -> None:
    """It does not matter how the text was cut."""
    text = "".join(tokens())
    assert checked([text[at : at + size] for at in range(0, len(text), size)]).problems == []


WRONG = {
    "lost": [0, 1, 3, 4],
    "the first lost": [1, 2, 3, 4],
    "the last lost": [0, 1, 2, 3],
    "all lost": [],
    "doubled": [0, 1, 1, 2, 3, 4],
    "one doubled for one lost": [0, 1, 1, 3, 4],
    "the last doubled": [0, 1, 2, 3, 4, 4],
    "swapped": [0, 2, 1, 3, 4],
    "the last ones swapped": [0, 1, 2, 4, 3],
}


@pytest.mark.parametrize("order", WRONG.values(), ids=WRONG)
def test_order(order: list[int]) -> None:
    """A token that is lost, doubled or swapped is seen."""
    made = tokens()
    assert checked([made[place] for place in order]).problems


def test_another_stream() -> None:
    """A token of another stream in the right place is seen."""
    made = tokens()
    made[2] = tokens("s2")[2]
    assert checked(made).problems


@pytest.mark.parametrize("at", range(len(tokens()[2])))
def test_each_character_counts(at: int) -> None:
    """No character of a token can change unseen, though the token is in its place."""
    made = tokens()
    other = "7" if made[2][at] != "7" else "8"
    made[2] = made[2][:at] + other + made[2][at + 1 :]
    assert checked(made).problems


def test_half_a_token() -> None:
    """A stream that ends within a token is not whole."""
    made = tokens()
    assert checked([*made[:4], made[4][:-1]]).problems


def test_text_between() -> None:
    """Text that is no token is seen."""
    made = tokens()
    assert checked([*made[:2], "Hello", *made[2:]]).problems

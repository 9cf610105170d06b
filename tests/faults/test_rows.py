"""The page of the rows: none is missing, and it is current."""

from __future__ import annotations

import pytest

from faults.rows import NONE_HERE
from support.fault_rows import PAGE, held, page, rows, rows_of


@pytest.mark.parametrize("row", rows())
def test_is_held(row: str) -> None:
    """Each row has a test that is named after it, or a reason why there can be none; not both."""
    assert (row in held()) != (row in NONE_HERE)


def test_names_are_of_rows() -> None:
    """No test claims a row that there is not."""
    assert {*held()} <= {*rows()}


def test_names_are_read() -> None:
    """The rows are those at the start of a name."""
    assert rows_of("test_a5_header_block") == ["A5"]
    assert rows_of("test_c3_c16_t1_leaves") == ["C3", "C16", "T1"]
    assert rows_of("test_all_a5_of_it") == []


def test_page_is_current() -> None:
    """README.md says what the tests' names say."""
    assert PAGE.read_text(encoding="utf-8") == page()

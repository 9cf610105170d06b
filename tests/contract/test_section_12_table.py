"""The table of what holds the proxy to Ollama's own tests is complete: section-12.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE / "section-12.md").read_text(encoding="utf-8")


def test_named_tests_exist() -> None:
    """Each test that the table names is defined here, and each that is named after a row is in the table."""
    defined = {
        name
        for path in HERE.glob("test_section_12_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = {*re.findall(r"`(test_\w+)`", TABLE)}
    assert named - defined == set()
    assert {name for name in defined if "_go" in name} - named == set()


def test_no_row_is_empty() -> None:
    """Each row has a test, or says why it has none."""
    rows = [
        line.split("|")[1:-1] for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("|---")
    ]
    assert len(rows) > 40
    assert all(len(row) == 2 and row[1].strip() for row in rows)

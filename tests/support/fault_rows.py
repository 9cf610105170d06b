"""Which test holds which row of the fault matrix, by the tests' names.

Run as a program it writes the page of them: `PYTHONPATH=tests python -m support.fault_rows`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from faults.rows import NONE_HERE, ROWS

TESTS = Path(__file__).parents[1]
PAGE = TESTS / "faults" / "README.md"
_NAME = re.compile(r"test((?:_[a-mt]\d{1,2})+)_")
_PAGE = """# What goes wrong, and which test holds it

<!-- Made by `PYTHONPATH=tests python -m support.fault_rows` of rows.py and of the names of the tests. -->

Each row is a way in which a client, a backend, an operator or the machine breaks what the proxy is built on. Its tests
fail when the proxy does not do there what it promises. `scripts/mutants` breaks the guards one by one, and shows
which of these tests notice.
{groups}
"""


def rows() -> dict[str, str]:
    """Return all rows: the number of each, such as A5, and what goes wrong."""
    return {
        f"{group}{number}": text
        for group, lines in ROWS.items()
        for number, text in enumerate(lines.splitlines()[1:], start=1)
    }


@cache
def held() -> dict[str, list[str]]:
    """Return the tests of each row that has any, as `path::name`, from the folder of all tests."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in _functions(path):
            for row in rows_of(name):
                found.setdefault(row, []).append(f"{path.relative_to(TESTS)}::{name}")
    return found


def rows_of(name: str) -> list[str]:
    """Return the rows that the name of a test says it holds."""
    match = _NAME.match(name)
    return match[1].upper().split("_")[1:] if match else []


def page() -> str:
    """Return the text of README.md."""
    tests = held()
    return _PAGE.format(groups="".join(_group(letter, tests) for letter in ROWS))


def _functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def _group(letter: str, tests: dict[str, list[str]]) -> str:
    title = ROWS[letter].partition("\n")[0]
    lines = [f"| {row} | {text} | {_tests(row, tests)} |" for row, text in rows().items() if row[0] == letter]
    return "\n".join((f"\n## {letter}: {title}", "", "| | what goes wrong | held by |", "|---|---|---|", *lines, ""))


def _tests(row: str, tests: dict[str, list[str]]) -> str:
    by_file: dict[str, list[str]] = {}
    for test in tests.get(row, []):
        path, _, name = test.partition("::")
        by_file.setdefault(path, []).append(_NAME.sub("", name))
    parts = [f"[{path}](../{path}): {', '.join(names)}" for path, names in by_file.items()]
    return "; ".join(parts + ([f"*not here*: {NONE_HERE[row]}"] if row in NONE_HERE else []))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

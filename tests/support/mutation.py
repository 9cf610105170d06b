"""Mutants of the proxy: each in a copy of the sources, before the tests of the rows that hold its guard.

Run as a program it prints who was caught by what, and its exit status tells whether all were: `scripts/mutants`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from faults.mutant import Mutant
from faults.mutants import ACCESS, CLIENT, OVERLOAD
from faults.mutants_upstream import REACHING, REPLIES
from support.fault_rows import TESTS, held, rows_of

MUTANTS = (*CLIENT, *ACCESS, *OVERLOAD, *REACHING, *REPLIES)
ROOT = TESTS.parent
PACKAGE = ROOT / "src" / "ollama_openai_proxy"
_SECONDS = 300  # for the tests of one mutant, which may hang where a guard is missing
_FAILED = re.compile(r"^(?:FAILED|ERROR) \S+::(test_\w+)", re.MULTILINE)
# A process of its own would run the sources as they are.
_ELSEWHERE = ("container/", "real/", "contract/")


def mutated(mutant: Mutant, text: str) -> str:
    """Return the source without the guard. Raises ValueError where the guard is not found, or not once."""
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.path} has {text.count(mutant.old)} places for it")
    return text.replace(mutant.old, mutant.new)


def noticing(mutant: Mutant) -> list[str]:
    """Return the tests that are to notice, as pytest takes them."""
    tests = held()
    found = [test for row in mutant.rows for test in tests.get(row, []) if not test.startswith(_ELSEWHERE)]
    return [f"tests/{test}" for test in dict.fromkeys(found)]


def caught_by(mutant: Mutant) -> list[str]:
    """Return the tests that fail with the mutant, [] if none does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        target = copy / mutant.path
        target.write_text(mutated(mutant, target.read_text(encoding="utf-8")), encoding="utf-8")
        return _failing(folder, noticing(mutant))


def _failing(folder: str, tests: list[str]) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=20", "-p", "no:cacheprovider", *tests]
    environ = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(  # noqa: S603  # our own tests
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return ["hangs"]
    found = list(dict.fromkeys(_FAILED.findall(done.stdout)))
    return found if done.returncode == 1 else []


def main(names: list[str]) -> int:
    survivors = 0
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        caught = caught_by(mutant)
        rows = [row for row in mutant.rows if any(row in rows_of(test) for test in caught)]
        survivors += not caught
        _tell(f"{'caught by ' + ' '.join(rows or caught) if caught else 'NOT CAUGHT':24} {mutant.name}")
    _tell(f"{survivors} not caught")
    return 1 if survivors else 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where a tool is told to look away, it is told why."""

import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

from architecture.files import ALL, ROOT, each

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SUPPRESSION = re.compile(
    r"#\s*(?:ruff:\s*)?(?:noqa|type:\s*ignore|pragma:\s*no\s*cover|nosec|fmt:\s*off)", re.IGNORECASE
)
# The names of the rules, and after another # the reason.
REASONED = re.compile(r"# (?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\])  # \S.{2,}")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


@each(ALL)
def test_comments(path: Path) -> None:
    """Each `noqa` and `type: ignore` names the rule that it switches off for its line, and the reason."""
    found = [(line, comment) for line, comment in comments(path) if SUPPRESSION.search(comment)]
    assert [(line, comment) for line, comment in found if not REASONED.search(comment)] == []


def test_rules_of_ruff() -> None:
    """Each rule that is off for the project or for a folder has a comment that says why."""
    lint = tomllib.loads(PYPROJECT)["tool"]["ruff"]["lint"]
    off = [*lint["ignore"], *(code for codes in lint["per-file-ignores"].values() for code in codes)]
    assert off
    *_, settings = PYPROJECT.partition("\nignore = [")
    lines = settings.partition("\n[tool.mypy]")[0].splitlines()
    reasoned = [code for line in lines if re.search(r"# \S+", line) for code in re.findall(r'"([A-Z]+\d+)"', line)]
    assert sorted(reasoned) == sorted(off)


def test_nothing_is_hidden_from_mypy() -> None:
    """Types are checked strictly everywhere: no module is exempt."""
    settings = tomllib.loads(PYPROJECT)["tool"]["mypy"]
    assert settings["strict"] is True
    assert not {"overrides", "exclude", "ignore_errors", "ignore_missing_imports"} & {*settings}


def test_no_warning_is_hidden() -> None:
    """Every warning fails the test in which it is raised."""
    assert tomllib.loads(PYPROJECT)["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]

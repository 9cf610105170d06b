"""The files that other programs read are without findings of the programs that know them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.installed import installed
from support.scripts import ROOT, SCRIPTS

WORKFLOWS = ROOT / ".github" / "workflows"
COMPOSE = sorted((ROOT / "docker").glob("docker-compose*.yml"))


def output(*command: str) -> str:
    """Run a linter at the root, and return all it says; an error if it finds anything."""
    done = subprocess.run(  # noqa: S603  # a linter
        [installed(command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def names(files: Sequence[Path]) -> list[str]:
    assert files
    return [str(file) for file in files]


def test_hadolint() -> None:
    """The Dockerfile follows hadolint's rules; where it does not, it says why."""
    assert output("hadolint", "docker/Dockerfile") == ""


def test_actionlint() -> None:
    """G19: the workflows are what GitHub takes, down to their expressions and their scripts."""
    assert output("actionlint", *names(sorted(WORKFLOWS.glob("*.yml")))) == ""


def test_zizmor() -> None:
    """G19: zizmor finds nothing in the workflows, as strict as it can be, and none of its rules is switched off."""
    said = output("zizmor", "--offline", "--persona=auditor", "--no-progress", ".github")
    assert "No findings to report" in said
    assert "WARN" not in said
    assert not [*ROOT.glob("zizmor.y*ml"), *(ROOT / ".github").glob("zizmor.y*ml")]
    assert not any("zizmor: ignore" in path.read_text(encoding="utf-8") for path in WORKFLOWS.iterdir())


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", sorted(WORKFLOWS.glob("*.yml"))),
        ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
        ("vendor.compose-spec", COMPOSE),
    ],
)
def test_schemas(schema: str, files: list[Path]) -> None:
    """Each file has the form that the program that reads it documents."""
    output("check-jsonschema", "--builtin-schema", schema, *names(files))


def test_compose_lint() -> None:
    """G21: compose-lint has no finding in the compose files."""
    output("compose-lint", *names(COMPOSE))


def test_shellcheck() -> None:
    """shellcheck has no finding in the scripts."""
    scripts = [path for path in sorted(SCRIPTS.iterdir()) if path.is_file() and path.suffix == ""]
    output("shellcheck", *names(scripts))

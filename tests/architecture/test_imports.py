"""The import rules of docs/architecture.md, which import-linter checks."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from architecture.files import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    cache = tmp_path_factory.mktemp("import-linter")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(cache)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # the tool under its own name


@pytest.mark.parametrize("contract", [contract["name"] for contract in CONTRACTS])
def test_contract(report: subprocess.CompletedProcess[str], contract: str) -> None:
    """Each contract is kept."""
    assert f"{contract} KEPT" in report.stdout, report.stdout + report.stderr


def test_all_are_kept(report: subprocess.CompletedProcess[str]) -> None:
    """None is broken, and none was left out."""
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in report.stdout
    assert report.returncode == 0


@pytest.mark.parametrize(
    "rule",
    ["Imports go one way", "Dialects do not know each other", "Translation is pure", "Only upstream opens connections"],
)
def test_rule_exists(rule: str) -> None:
    """The rules that the architecture rests on are among the contracts."""
    assert rule in [contract["name"] for contract in CONTRACTS]

"""Prometheus and its tools, from Debian's packages, and the files of monitoring/."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES = MONITORING / "rules" / "ollama_proxy.yml"
RULE_TESTS = sorted((MONITORING / "rules" / "tests").glob("*.yml"))
DASHBOARD = MONITORING / "grafana" / "ollama_proxy.json"
DOCS = ROOT / "docs" / "monitoring.md"

PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
}


def needs(tool: str) -> pytest.MarkDecorator:
    # Where CI is set nothing is skipped: a run without the tool would pass and have tested nothing.
    missing = not (shutil.which(tool) or os.environ.get("CI"))
    return pytest.mark.skipif(missing, reason=f"{tool} is not installed; Debian's package {PACKAGES[tool]} has it")


def run(*command: str | Path) -> str:
    """The output of a tool that must succeed."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=50, check=False)  # noqa: S603  # a tool and our files
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def panels() -> list[dict[str, Any]]:
    """The panels that show something; the others are the titles of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_expressions() -> list[str]:
    """What the dashboard asks Prometheus, as Grafana asks it when all is selected."""
    values = {"$__rate_interval": "1m", "$__range": "3h", "$instance": ".*", "$model": ".*"}
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    for variable, value in values.items():
        found = [expression.replace(variable, value) for expression in found]
    assert not [expression for expression in found if "$" in expression]
    return found


def expressions() -> list[str]:
    """Every PromQL expression of the rules and the dashboard."""
    return [*(rule["expr"] for rule in rules()), *panel_expressions()]

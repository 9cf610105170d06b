"""The workflows, parsed: their jobs, their steps and what they hang on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from support.scripts import ROOT

FOLDER = ROOT / ".github" / "workflows"
ALL = sorted(FOLDER.glob("*.yml"))


def load(path: Path) -> dict[str, Any]:
    """Return a workflow. YAML 1.1 takes its key `on` for a boolean: it is told apart here."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else str(key): value for key, value in content.items()}


def build() -> dict[str, Any]:
    """Return docker-build.yml."""
    return load(FOLDER / "docker-build.yml")


def jobs(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(workflow["jobs"])


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(job["steps"])


def using(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """The inputs of each step of a job that uses an action."""
    return [step.get("with", {}) for step in steps(job) if str(step.get("uses", "")).startswith(f"{action}@")]


def needs(workflow: dict[str, Any], name: str) -> set[str]:
    """Return all jobs that have succeeded when this one starts."""
    wanted = workflow["jobs"][name].get("needs", [])
    direct = {wanted} if isinstance(wanted, str) else set(wanted)
    return direct.union(*(needs(workflow, other) for other in direct))


def texts(value: object) -> Iterator[str]:
    """All texts within a value."""
    if isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    else:
        yield str(value)

"""What holds of every workflow: who may do what, with which code, for how long."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.scripts import ROOT
from support.workflow import ALL, jobs, load, steps, texts

each = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
# What a run, not a reader of its code, decides: it goes to a script as a variable, never as a part of its text.
EXPRESSION = re.compile(r"\$\{\{")
# Each job that may write, and what.
WRITERS = {
    ("docker-build", "publish"): {"packages", "id-token", "attestations"},
    ("docker-rescan", "report"): {"issues"},
}

BRANCH = "${{ github.workflow }}-${{ github.ref }}"
# Which runs wait for each other, and which end the one before: none that may publish.
CONCURRENCY = {
    "docker-build": {"group": BRANCH, "cancel-in-progress": "${{ github.event_name == 'pull_request' }}"},
    "docker-rescan": {"group": "${{ github.workflow }}", "cancel-in-progress": False},
    "test": {"group": BRANCH, "cancel-in-progress": True},
}


def test_workflows_are_found() -> None:
    """The rules below are about something."""
    assert {path.stem for path in ALL} == {"docker-build", "docker-rescan", "test"}


@each
def test_actions_are_pinned(path: Path) -> None:
    """G19, D36: each action is named by the hash of its commit, and by its version for the reader."""
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_one_version_of_each_action() -> None:
    """G19: all workflows use the same commit of an action."""
    used = {line for path in ALL for line in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))}
    names = [line.partition("@")[0] for line in used]
    assert sorted(names) == sorted(set(names))


@each
def test_jobs_may_do_the_least(path: Path) -> None:
    """G19: nothing may write but the jobs whose work it is; in new workflows, nothing at all by default."""
    workflow = load(path)
    for name, job in jobs(workflow).items():
        rights = job.get("permissions", workflow["permissions"])
        assert {right for right, level in rights.items() if level == "write"} == WRITERS.get((path.stem, name), set())
        assert set(rights.values()) <= {"read", "write"}
        assert path.stem == "test" or (workflow["permissions"] == {} and "permissions" in job)


@each
def test_jobs_end(path: Path) -> None:
    """D42: each job has a time after which it is ended, and two runs for one branch do not go on side by side."""
    workflow = load(path)
    assert all(0 < job["timeout-minutes"] <= 60 for job in jobs(workflow).values())
    assert workflow["concurrency"] == CONCURRENCY[path.stem]


@each
def test_one_leg_does_not_end_the_others(path: Path) -> None:
    """D38: what fails for one platform, image or version of Python does not hide what others find."""
    strategies = [job["strategy"] for job in jobs(load(path)).values() if "strategy" in job]
    assert strategies
    assert all(strategy["fail-fast"] is False for strategy in strategies)


@each
def test_scripts_have_no_expressions(path: Path) -> None:
    """G19, D41: no script has GitHub's expressions in its text, secret, chosen by a stranger, or otherwise."""
    scripts = [step["run"] for job in jobs(load(path)).values() for step in steps(job) if "run" in step]
    assert scripts
    assert [script for script in scripts if EXPRESSION.search(script)] == []


@each
def test_no_secrets(path: Path) -> None:
    """D41: no workflow asks for a secret, so that one from a fork has all that it needs."""
    assert not any("secrets." in text for text in texts(load(path)))


@each
def test_nothing_runs_a_strangers_code_with_rights(path: Path) -> None:
    """G19: the events that give code of a pull request the rights of the repository are not used."""
    events = load(path)["on"]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(events)


@each
def test_credentials_are_not_left_behind(path: Path) -> None:
    """G19: what is checked out has no token in it."""
    kept = [
        step
        for job in jobs(load(path)).values()
        for step in steps(job)
        if step.get("uses", "").startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials", True)
    ]
    assert kept == []


@each
def test_failures_are_failures(path: Path) -> None:
    """D35, D39: no step goes on after an error, or hides it."""
    workflow = load(path)
    for job in jobs(workflow).values():
        assert "continue-on-error" not in job
        for step in steps(job):
            assert "continue-on-error" not in step
            assert not re.search(r"\|\|\s*(true|:|exit 0)|set \+e", step.get("run", ""))
    assert path.stem == "test" or workflow["defaults"]["run"]["shell"] == "bash"  # with pipefail, unlike none named


def test_dependabot_waits() -> None:
    """G19: updates of what the workflows, the locks and the compose files pin are proposed when they are a week old."""
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    folders = {update["package-ecosystem"]: update["directory"] for update in content["updates"]}
    assert folders == {"github-actions": "/", "uv": "/", "npm": "/tests/contract/npm", "docker-compose": "/docker"}
    assert (ROOT / "tests" / "contract" / "npm" / "package-lock.json").exists()
    assert len(content["updates"]) == len(folders)
    assert all(update["cooldown"]["default-days"] >= 7 for update in content["updates"])

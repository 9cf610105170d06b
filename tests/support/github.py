"""docker-build.yml, run by act on this machine: its own scripts and its own graph, with stand-ins for what is GitHub's.

The actions are stand-ins that do the least: the build writes a small archive, artifacts are copied in a folder, an
attestation is a line in a file. The registry is a real one; skopeo is told that it is ghcr.io.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support import archives
from support.installed import installed
from support.registry import Registry
from support.scripts import ROOT

WORKFLOW = ".github/workflows/docker-build.yml"
VERSION = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
PINNED = f"python:3.12-slim@sha256:{'a' * 64}"
# Each is called with the inputs that the workflow gives it, and with the folder of the run as $RUN.
ACTIONS = {
    "docker/setup-buildx-action": ((), "true"),
    "docker/build-push-action": (
        ("target", "outputs", "cache-from", "cache-to"),
        """echo "$target|$cache_from|$cache_to" >>"$RUN/builds"
        case $outputs in type=oci,*)
          path=${outputs#*dest=}
          python3 "$ARCHIVES" "${path%%,*}" "$target" "${ARCH:-$ELSEWHERE}" ;;
        esac""",
    ),
    "actions/upload-artifact": (
        ("name", "path"),
        'mkdir -p "$RUN/artifacts/$name" && cp $path "$RUN/artifacts/$name/"',
    ),
    "actions/download-artifact": (
        ("name", "pattern", "path"),
        'mkdir -p "${path:-.}" && cp "$RUN/artifacts/"${name:-$pattern}/* "${path:-.}/"',
    ),
    "actions/attest": (
        ("subject-name", "subject-digest", "sbom-path"),
        'echo "attest $subject_name@$subject_digest $sbom_path" >>"$RUN/events"',
    ),
}
BOOTSTRAP = """import os, pathlib, sys
with pathlib.Path(os.environ["RUN"], "bootstraps").open("a") as file: print(*sys.argv[1:], file=file)"""
# Programs of GitHub's machines, and our scripts that need more than a small archive.
PROGRAMS = {
    "bin/gh": 'echo "gh $*" >>"$RUN/events"',
    "bin/docker": 'echo "docker $*" >>"$RUN/engine"; [ "$1" != cp ] || touch "$3"; [ "$1" != login ] || cat >/dev/null',
    "bin/skopeo": """for word; do shift; set -- "$@" "$(echo "$word" | sed "s|//ghcr.io/|//$HOST/|")"; done
        case "$*" in copy*) echo "push ${*##*/}" >>"$RUN/events" ;; esac
        exec "$SKOPEO" "$@\"""",
    "repository/scripts/image-check": 'echo "$1 $ARCH" >>"$RUN/checked"',
    "repository/scripts/image-scan": 'echo "$1 $ARCH" >>"$RUN/scanned"; [ "$TARGET-$ARCH" != "$FAIL_SCAN" ]',
    "repository/scripts/bootstrap.py": BOOTSTRAP,
    "repository/.venv/bin/syft": 'path=${4#*=}; echo "$2" >"$path"',
}


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    folder: Path
    sha: str
    status: int
    log: str

    @property
    def wrong(self) -> str:
        """What failed, and what the steps printed."""
        return "\n".join(line for line in self.log.splitlines() if "❌" in line or "  | " in line)

    def lines(self, name: str) -> list[str]:
        """What the stand-ins wrote down, in order."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def repository(folder: Path) -> None:
    """Make what is checked out."""
    for name in (".github", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("pyproject.toml", "docker/Dockerfile"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def git(folder: Path, *arguments: str) -> str:
    command = [installed("git"), "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603  # git


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shell = "#!/usr/bin/env python3\n" if path.suffix == ".py" else "#!/bin/sh\nset -eu\n"
    path.write_text(f"{shell}{text}\n")
    path.chmod(0o755)


def write_action(folder: Path, inputs: tuple[str, ...], text: str) -> None:
    """Write an action that runs a line of shell, which has the inputs as variables."""
    environ = {name.replace("-", "_"): f"${{{{ inputs.{name} }}}}" for name in inputs}
    step = {"shell": "bash", "run": text, "env": environ}
    described = {name: {"description": name, "required": False} for name in inputs}
    action = {"name": "x", "description": "x", "inputs": described, "runs": {"using": "composite", "steps": [step]}}
    folder.mkdir(parents=True)
    (folder / "action.yml").write_text(json.dumps(action))


def run(folder: Path, store: Registry, event: str, payload: Mapping[str, object], **knobs: str) -> Run:
    """Run the workflow for an event. The knobs: FAIL_SCAN, a TARGET-ARCH; ELSEWHERE, for what is built again."""
    tree = folder / "repository"
    repository(tree)
    for name, text in PROGRAMS.items():
        write_program(folder / name, text)
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", "--all", "--force")
    git(tree, "commit", "--quiet", "--message=all")
    git(tree, "tag", f"v{VERSION}")
    git(tree, "remote", "add", "origin", "https://github.com/Some-Owner/Proxy.git")
    command = [installed("act"), event, f"--workflows={WORKFLOW}", "--eventpath=../event", "--action-offline-mode"]
    for used in sorted(set(re.findall(r"uses: (\S+)", (tree / WORKFLOW).read_text()))):
        action = used.partition("@")[0]
        if action in ACTIONS:
            command.append(f"--local-repository={used}={folder / 'actions' / action}")
            if not (folder / "actions" / action).exists():
                write_action(folder / "actions" / action, *ACTIONS[action])
    (folder / "event").write_text(json.dumps(payload))
    settings = {
        "RUN": str(folder),
        "ARCHIVES": str(Path(archives.__file__)),
        "HOST": store.host,
        "SKOPEO": installed("skopeo"),
        "HOME": str(store.home),
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ELSEWHERE": "amd64",
        "FAIL_SCAN": "",
        **knobs,
    }
    command += [f"--env={name}={value}" for name, value in settings.items()]
    command += ["--platform=ubuntu-24.04=-self-hosted", "--platform=ubuntu-24.04-arm=-self-hosted", "--pull=false"]
    command += [f"--var=PYTHON_IMAGE={PINNED}", f"--var=BUILDKIT_IMAGE={PINNED}", "--secret=GITHUB_TOKEN=not-a-token"]
    with (folder / "log").open("wb") as log:
        environ = {**settings, "XDG_CACHE_HOME": str(folder / "cache")}
        done = subprocess.run(  # noqa: S603  # act
            command, cwd=tree, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120, check=False
        )
    return Run(folder, git(tree, "rev-parse", "HEAD"), done.returncode, (folder / "log").read_text())

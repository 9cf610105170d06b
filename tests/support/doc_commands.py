"""Checks of the commands that documentation shows: each program that is named there has one here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import yaml

from ollama_openai_proxy.settings import Settings
from support import compose, engine
from support.docs import GUIDE, Command, blocks
from support.engine import ROOT
from support.installed import installed

SETTINGS = {name.upper() for name in Settings.model_fields}
FOLDER = "/etc/ollama-openai-proxy"
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
STAGES = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
ARGUMENTS = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
SECRETS = set(re.findall(r"type=secret,id=(\w+)", DOCKERFILE))
WORKFLOW = (ROOT / ".github" / "workflows" / "docker-build.yml").read_text(encoding="utf-8")
# Of `gh attestation verify`, beside those that the workflow itself uses: how it prints what it has verified.
PRINTING = {"--format", "--jq"}
# What a line of the log has, of an exchange that failed.
LINE = {"time": "", "level": "ERROR", "request_id": "1", "route": "/api/chat", "model": "m", "outcome": "up_5xx"}


def check(command: Command, folder: Path) -> None:
    """Check a command by what it names. A program that no check knows fails."""
    program = command.words[0] if command.words else ""
    known = next((known for known in (program, program.rpartition("/")[0]) if known in CHECKS), None)
    assert known is not None, f"{command}: there is no check for it"
    CHECKS[known](command, folder)


def options(command: Command, help_text: str, start: int) -> None:
    """Check that each option is one that the program itself tells of, and not one for what runs in a container."""
    for word in command.words[start:]:
        if re.match(r"(ghcr\.io/\w+/)?ollama-openai-proxy\b|proxy$", word):
            break
        name = word.partition("=")[0]
        if name.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", help_text), f"{command}: {name}"


@cache
def help_of(*words: str, ask: tuple[str, ...] = ("--help",)) -> str:
    done = subprocess.run([*words, *ask], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  # known programs
    return done.stdout


def check_docker(command: Command, folder: Path) -> None:
    subcommand = command.words[1]
    if subcommand == "compose":
        check_compose(command, folder)
    elif subcommand == "buildx":  # a plugin that need not be here
        assert command.words[2:4] == ("imagetools", "inspect")
    else:
        length = 3 if subcommand == "network" else 2
        told = help_of(engine.client() or "", *command.words[1:length])
        # To a word that it does not know, it answers with the help of all.
        assert f"docker {' '.join(command.words[1:length])} " in told, f"{command}: no such command"
        options(command, told, length)
        if subcommand == "run":
            create(command, folder)
        elif subcommand == "build":
            check_build(command)


def create(command: Command, folder: Path) -> None:
    """Let the engine make the container, with the files that it mounts, and not start it."""
    (folder / "openai_api_key").write_text("sk-docs", encoding="utf-8")
    name = f"docs-{uuid.uuid4().hex[:8]}"
    words = [word.replace(FOLDER, str(folder)) for word in command.words[2:] if word not in {"--detach", "--rm"}]
    if "--name" in words:
        words[words.index("--name") + 1] = name
    else:
        words[:0] = ["--name", name]
    try:
        engine.docker("create", *words)
        image = str(engine.inspect(name)["Config"]["Image"])
        given = engine.inspect(name)["Args"]
        if image.endswith(":ci"):
            paths = [word for word in given if "/" in word and not word.startswith("-")]
            assert [path for path in paths if not (ROOT / path).exists()] == []
        else:
            assert given[0] in {"serve", "check", "probe"}
    finally:
        with suppress(engine.Failed):
            engine.docker("rm", "--force", name)


def check_build(command: Command) -> None:
    """It builds, under another name. Of what is built already nothing is built again."""
    assert command.value("--target") in STAGES
    assert command.words[-1] == "."  # from the root
    assert command.value("--tag") == f"{engine.IMAGE}:{command.value('--target')}"
    tag = f"docs-{uuid.uuid4().hex[:8]}"
    words = [tag if word == command.value("--tag") else word for word in command.words[2:-1]]
    words = [str(ROOT / word) if (ROOT / word).is_file() else word for word in words]
    base = os.environ.get("PYTHON_IMAGE")
    given = [*os.environ.get("BUILD_OPTIONS", "").split(), *([f"--build-arg=PYTHON_IMAGE={base}"] if base else [])]
    try:
        engine.docker("build", *given, *words, str(ROOT), timeout=600)
    finally:
        engine.docker("rmi", tag, check=False)


def environment_file(folder: Path) -> Path:
    """The file of settings that the guide shows, with a key beside it, in a folder of the test's own."""
    (block,) = [block for block in blocks(GUIDE) if block.language == "ini"]
    (folder / "openai_api_key").write_text("sk-docs", encoding="utf-8")
    path = folder / "prod.env"
    path.write_text(block.text.replace(FOLDER, str(folder)), encoding="utf-8")
    return path


def check_compose(command: Command, folder: Path) -> None:
    """Compose renders the files; the subcommand, its options, its service and the profiles exist."""
    words = list(command.words[2:])
    files = [ROOT / file for file in command.values("-f")]
    settings = command.value("--env-file")
    assert settings in {None, f"{FOLDER}/prod.env", ".env"}
    if files:
        # .env is that of scripts/run, and need not be there.
        given = [f"--env-file={environment_file(folder)}"] if settings else []
        profiles = [f"--profile={name}" for name in command.values("--profile")]
        services = compose.Compose(files, options=[*given, *profiles]).config().services
        of_each = [yaml.safe_load(file.read_text())["services"].values() for file in files]
        known = {name for of_file in of_each for service in of_file for name in service.get("profiles", [])}
        assert set(command.values("--profile")) <= known
    else:
        services = {}
    while words and words[0].startswith("-"):
        del words[:2]
    subcommand, rest = words[0], words[1:]
    options(command, help_of(str(compose.program()), subcommand) + help_of(str(compose.program())), 2)
    named = [word for word in rest if not word.startswith("-")][:1]
    assert [name for name in named if name.partition(":")[0] not in services] == []
    if subcommand == "up" and "prod" in str(files):
        assert "--wait" in rest, f"{command}: without it a failed start looks like success"


def check_script(command: Command, _: Path) -> None:
    path = ROOT / command.words[0]
    assert os.access(path, os.X_OK)
    if path.name == "image":
        assert set(command.words[1:]) <= STAGES
        source = path.read_text(encoding="utf-8")
        variables = dict(command.variables)
        assert [name for name in variables if f"${{{name}:" not in source] == []
        build_options = variables.get("BUILD_OPTIONS", "").split()
        assert {each.split("=")[1] for each in build_options if each.startswith("--build-arg=")} <= ARGUMENTS
        assert set(re.findall(r"--secret=id=(\w+)", variables.get("BUILD_OPTIONS", ""))) <= SECRETS
    elif path.name.startswith("image-"):
        assert len(command.words) == 2
        assert str(command.words[1]).rpartition(":")[2] in STAGES


def check_update(command: Command, _: Path) -> None:
    path = ROOT / command.words[0]
    assert os.access(path, os.X_OK)
    head = path.read_text(encoding="utf-8").partition("set -eu")[0]
    options(command, head, 1)


def check_install(command: Command, folder: Path) -> None:
    """It runs as it is written, in another folder; who is not root can give nothing away."""
    words = [word.replace(FOLDER, str(folder / "etc")) for word in command.words if word != "sudo"]
    if os.getuid():
        for option, mine in (("-o", os.getuid()), ("-g", os.getgid())):
            if option in words:
                words[words.index(option) + 1] = str(mine)
    (folder / "etc").mkdir(exist_ok=True)
    subprocess.run(words, cwd=ROOT, input="sk-docs", text=True, timeout=10, check=True)  # noqa: S603  # of our own docs
    made = Path(words[-1])
    assert made.exists()
    if (mode := command.value("-m")) is not None:
        assert made.stat().st_mode & 0o777 == int(mode, 8)
    if made.name == "openai_api_key":
        assert made.read_text() == "sk-docs"
        assert made.stat().st_mode & 0o077 == 0
    if os.getuid() == 0 and (owner := command.value("-o")):
        assert made.stat().st_uid == int(owner)


def check_gh(command: Command, _: Path) -> None:
    """It is what the workflow does with what it has published, with the names of the repository in place."""
    assert command.words[:3] == ("gh", "attestation", "verify")
    assert "gh attestation verify" in WORKFLOW
    used = set(re.findall(r"--[a-z-]+", WORKFLOW[WORKFLOW.index("gh attestation verify") :]))
    assert {word for word in command.words if word.startswith("--")} <= used | PRINTING
    repository = command.value("--repo")
    signer = str(command.value("--signer-workflow"))
    assert signer.startswith(f"{repository}/")
    assert (ROOT / signer.removeprefix(f"{repository}/")).exists()
    predicate = command.value("--predicate-type")
    assert predicate is None or predicate in WORKFLOW
    assert command.words[3].startswith(f"oci://ghcr.io/{repository}")


def check_jq(command: Command, _: Path) -> None:
    """It finds the line of a failed exchange, with all that it asks for, and lets the others pass."""
    ok = {**LINE, "level": "INFO", "outcome": "ok"}
    state = {"time": "", "level": "INFO", "message": "lifecycle", "state": "ready"}
    given = "\n".join(json.dumps(line) for line in (LINE, ok, state))
    words = [installed("jq"), *command.words[1:]]
    done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  # of our own docs
    (found,) = map(json.loads, done.stdout.splitlines())
    assert found.items() <= LINE.items()
    assert found


def check_curl(command: Command, _: Path) -> None:
    """Its options are known; what it asks for is asked for real where README.md is run."""
    options(command, help_of(installed("curl"), ask=("--help", "all")), 1)


def check_gzip(command: Command, _: Path) -> None:
    assert shutil.which("gzip")
    assert command.words[1] == ">"


def check_sudo(command: Command, folder: Path) -> None:
    assert command.words[1] == "install", f"{command}: nothing else is to be done as root"
    check_install(command, folder)


def check_variables(command: Command, _: Path) -> None:
    """Settings that go into a file are the proxy's."""
    assert command.variables
    assert {name for name, _ in command.variables} <= SETTINGS


CHECKS: dict[str, Callable[[Command, Path], None]] = {
    "": check_variables,
    "curl": check_curl,
    "docker": check_docker,
    "docker/update": check_update,
    "gh": check_gh,
    "gzip": check_gzip,
    "jq": check_jq,
    "scripts": check_script,
    "sudo": check_sudo,
}

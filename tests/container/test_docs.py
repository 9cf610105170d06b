"""README.md and the deployment guide: each block in them is run, or at least checked by what it names (G24)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support import compose, doc_commands, engine
from support.compose import DEV, DOCKER, PROD, Compose, Config
from support.docs import GUIDE, PAGES, README, Block, Command, blocks, commands
from support.engine import ROOT
from support.installed import installed
from support.processes import free_port

ALL = blocks(*PAGES)
SHELL = [command for block in ALL if block.language == "sh" for command in commands(block)]
FRONTS = [block for block in ALL if block.section == "Behind a reverse proxy"]


@pytest.fixture
def demo(prod: str) -> Iterator[str]:
    with engine.serving(prod) as container:
        yield container.url


def of_language(name: str) -> list[Block]:
    return [block for block in ALL if block.language == name]


def test_blocks_are_of_known_kinds() -> None:
    """Each block has a language that a test below looks at; none is left out."""
    assert {block.language for block in ALL} == {"sh", "python", "yaml", "json", "ini"}
    assert len(SHELL) > 40
    assert {str(block) for block in of_language("sh")} == {str(command.block) for command in SHELL}


@pytest.mark.parametrize("block", of_language("sh"), ids=str)
def test_shell_is_shell(block: Block) -> None:
    """Each block of commands is one that sh can read."""
    subprocess.run(["/bin/sh", "-n"], input=block.text, text=True, timeout=10, check=True)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("command", SHELL, ids=str)
def test_command(command: Command, tmp_path: Path) -> None:
    """Each command names programs, files, options, images, services and variables that exist."""
    compose.check_installed()
    doc_commands.check(command, tmp_path)


def client(folder: Path) -> dict[str, str]:
    """The environment of someone whose `docker` is the engine's client."""
    (folder / "docker").symlink_to(engine.client() or "")
    return {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "no_proxy": "*"}


def test_readme_runs(prod: str, tmp_path: Path) -> None:
    """What README.md shows to try an image gives an answer, and leaves nothing behind."""
    installed("curl")
    (block,) = [block for block in of_language("sh") if block.page == README and "\ndocker run " in block.text]
    name, port = f"docs-{uuid.uuid4().hex[:8]}", free_port()
    script = block.text.replace("scripts/image\n", "").replace("ollama-proxy ", f"{name} ")
    script = script.replace("ollama-proxy\n", f"{name}\n").replace("127.0.0.1:11434", f"127.0.0.1:{port}")
    script = script.replace(f"{engine.IMAGE}:prod", prod)
    try:
        done = subprocess.run(
            ["/bin/sh", "-eu"],
            input=script,
            env=client(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        left = engine.docker("ps", "--all", "--quiet", f"--filter=name={name}")
    finally:
        engine.docker("rm", "--force", name, check=False)

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert records[-1]["done"] is True
    assert "".join(record["message"]["content"] for record in records)
    assert left == ""


@pytest.mark.parametrize("block", of_language("python"), ids=str)
def test_python_runs(block: Block, demo: str) -> None:
    """Each block of Python gets an answer."""
    code = block.text.replace("http://127.0.0.1:11434", demo)
    assert demo in code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # of our own docs

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_guide_runs_as_in_production(prod: str, tmp_path: Path) -> None:
    """The guide's container for production starts as hardened as it says, checks itself, and ends well in time."""
    first, *rest = [block for block in of_language("sh") if block.page == GUIDE and block.section == "Run"]
    assert "--demo" in first.text
    name, port = f"docs-{uuid.uuid4().hex[:8]}", free_port()
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    try:
        for command in [command for block in rest for command in commands(block)]:
            if command.words[0] == "sudo":
                doc_commands.check_install(command, tmp_path)
                continue
            words = renamed(command, name, port, prod, tmp_path)
            done[command.words[1]] = engine.run(*words)
            if command.words[1] == "run":
                await_start(name)
    finally:
        engine.docker("rm", "--force", name, check=False)

    assert list(done) == ["run", "exec", "stop", "rm"]
    assert {command: made.returncode for command, made in done.items() if command != "exec"} == dict.fromkeys(
        ("run", "stop", "rm"), 0
    ), done
    assert "ok    settings valid" in done["exec"].stdout


def renamed(command: Command, name: str, port: int, image: str, folder: Path) -> list[str]:
    """The same command with a name, a port, a folder and a backend of the test's own."""
    container = engine.IMAGE
    words = list(command.words[1:])
    index = words.index("--name") + 1 if "--name" in words else words.index(container)
    assert words[index] == container
    words[index] = name
    own = {
        f"{container}:prod": image,
        "127.0.0.1:11434:11434": f"127.0.0.1:{port}:11434",
        "OPENAI_API_BASE_URL=https://api.openai.com/v1": "OPENAI_API_BASE_URL=http://127.0.0.1:9/v1",
    }
    words = [own.get(word, word).replace(doc_commands.FOLDER, str(folder / "etc")) for word in words]
    if words[0] == "run" and os.getuid():
        words[1:1] = [f"--user={os.getuid()}:{os.getgid()}"]
    return words


def await_start(name: str) -> None:
    engine.Container(name).wait_ready()
    facts = engine.inspect(name)
    host = facts["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Init"]) == (True, ["ALL"], True)
    assert facts["Config"]["StopTimeout"] == 75


@pytest.mark.parametrize("block", of_language("json"), ids=str)
def test_debugger_is_found(block: Block) -> None:
    """launch.json names the port and the folder that the Compose file of development has."""
    compose.check_installed()
    (launch,) = json.loads(block.text)["configurations"]
    proxy = Compose(DEV).config().proxy
    (debugger,) = [port for port in proxy["ports"] if port["target"] == 5678]
    assert launch["connect"] == {"host": debugger["host_ip"], "port": int(debugger["published"])}
    (sources,) = proxy["volumes"]
    (mapping,) = launch["pathMappings"]
    assert mapping["remoteRoot"] == sources["target"]
    assert mapping["localRoot"].replace("${workspaceFolder}", str(ROOT)) == sources["source"]


def test_settings_of_production(tmp_path: Path) -> None:
    """D25, P7: the guide's file of settings is in the form of the example, and Compose gets what it says."""
    compose.check_installed()
    (block,) = of_language("ini")
    example = (DOCKER / "compose.env.example").read_text(encoding="utf-8")
    values = dict(line.split("=", 1) for line in block.text.splitlines())
    assert [name for name in values if not re.search(rf"^#?{name}=", example, re.MULTILINE)] == []
    assert not set("\"'$ ") & set(block.text)
    made = Compose(PROD, options=[f"--env-file={doc_commands.environment_file(tmp_path)}"]).config()
    assert made.proxy["image"] == values["PROXY_IMAGE"]
    assert made.proxy["environment"]["OPENAI_API_BASE_URL"] == values["OPENAI_API_BASE_URL"]
    assert made["secrets"]["openai_api_key"]["file"] == str(tmp_path / "openai_api_key")


def test_fragments_have_the_form_of_compose(tmp_path: Path) -> None:
    """Each block of YAML is a Compose file."""
    files = []
    for block in of_language("yaml"):
        files.append(tmp_path / f"{block.line}.yml")
        files[-1].write_text(block.text, encoding="utf-8")
    words = [installed("check-jsonschema"), "--builtin-schema=vendor.compose-spec", *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # a linter
    assert done.returncode == 0, done.stdout


def test_fragment_of_a_private_authority(tmp_path: Path) -> None:
    """Laid over production, it adds the file and the variable that names it, and nothing else."""
    compose.check_installed()
    (block,) = [block for block in of_language("yaml") if block not in FRONTS]
    (tmp_path / "ca.yml").write_text(block.text, encoding="utf-8")
    before = Compose(PROD, compose.NEEDED).config()
    after = Compose((*PROD, tmp_path / "ca.yml"), compose.NEEDED).config()
    (mount,) = after.proxy.pop("volumes")
    assert after.proxy["environment"].pop("SSL_CERT_FILE") == mount["target"]
    assert after == before


FILES: dict[str, Callable[[str], str]] = {
    "caddy": lambda name: name,
    "nginx": lambda name: name,
    "traefik": lambda name: name.removeprefix("traefik-"),
    "haproxy": lambda name: name,
}


@pytest.mark.parametrize("block", FRONTS, ids=lambda block: block.name)
def test_reverse_proxy(block: Block, tmp_path: Path) -> None:
    """G22: it mounts each file of docker/proxies that is its own, what these name, and reaches the proxy's network."""
    compose.check_installed()
    own = [path for path in (DOCKER / "proxies").iterdir() if path.name.lower().startswith(block.name)]
    assert own
    for path in own:
        (tmp_path / FILES[block.name](path.name)).write_bytes(path.read_bytes())
    (tmp_path / "compose.yml").write_text(block.text, encoding="utf-8")
    made = Compose([tmp_path / "compose.yml"], folder=tmp_path).config()
    ((name, service),) = made.services.items()
    assert name == block.name
    mounts = {Path(each["source"]).name: each["target"] for each in service["volumes"] if each["type"] == "bind"}
    assert mounts.keys() - {"tls"} == {FILES[block.name](path.name) for path in own}
    text = "\n".join(path.read_text(encoding="utf-8") for path in own)
    named = set(re.findall(rf"^(?!\s*#).*?(/etc/{name}/tls)/", text, re.MULTILINE))
    assert named == ({mounts["tls"]} if "tls" in mounts else set())
    assert [variable for variable in service.get("environment", {}) if variable not in text] == []
    assert {port["target"] for port in service["ports"]} == {80, 443}
    joins(made, text)


def joins(made: Config, text: str) -> None:
    """The network is the one of production, and the name is the one that the proxy has there."""
    production = compose.rendered(PROD)
    (service,) = made.services.values()
    (network,) = service["networks"]
    assert made["networks"][network] == production["networks"]["proxy-network"]
    (alias,) = production.proxy["networks"]["proxy-network"]["aliases"]
    assert f"{alias}:11434" in text + yaml.safe_dump(service)


def test_each_reverse_proxy_is_shown() -> None:
    """The guide has a block for each that docker/proxies configures, and its table names each file."""
    names = {path.name for path in (DOCKER / "proxies").iterdir()}
    assert {block.name for block in FRONTS} == FILES.keys()
    assert [name for name in names if f"`{name}`" not in GUIDE.read_text(encoding="utf-8")] == []
    assert [name for name in names if not name.lower().startswith(tuple(FILES))] == []

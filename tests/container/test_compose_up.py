"""The Compose files, started: production with its limits, development with its reload, and what a mistake leads to."""

from __future__ import annotations

import json
import shutil
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest

from support import engine
from support.compose import OVERLAID, Compose, check_installed, file
from support.processes import eventually, free_port
from support.proxy import KEY

MIB = 1024 * 1024
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "stream": False}
# The embedded backend on a port of its own, for those who have the key.
BACKEND = f"""
import uvicorn
from ollama_openai_proxy.demo import create_demo
demo = create_demo(rate=0)
async def backend(scope, receive, send):
    if scope["type"] == "http" and (b"authorization", b"Bearer {KEY}") not in scope["headers"]:
        await send({{"type": "http.response.start", "status": 401, "headers": []}})
        await send({{"type": "http.response.body", "body": b"{{}}"}})
    else:
        await demo(scope, receive, send)
uvicorn.run(backend, host="0.0.0.0", port=8000, log_config=None)
"""


@dataclass(frozen=True)
class Stack:
    """A project that is up."""

    compose: Compose
    folder: Path

    @property
    def proxy(self) -> engine.Container:
        return self.compose.container("proxy")

    @property
    def url(self) -> str:
        return self.proxy.url

    def chat(self) -> httpx.Response:
        return httpx.post(f"{self.url}/api/chat", json={"model": "demo", **HELLO}, timeout=30, trust_env=False)


@pytest.fixture(scope="module")
def network(prod: str) -> Iterator[str]:
    """A network as a reverse proxy has it, with a backend in it."""
    check_installed()
    name = f"oop-test-{uuid.uuid4().hex[:8]}"
    engine.docker("network", "create", name)
    try:
        options = ("--entrypoint=python", f"--network={name}", "--network-alias=backend")
        with engine.container(prod, "-c", BACKEND, options=options):
            yield name
    finally:
        engine.docker("network", "rm", name)


@pytest.fixture(scope="module")
def settings(prod: str, network: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an operator gives, and a health check that is soon."""
    key = tmp_path_factory.mktemp("secrets") / "openai_api_key"
    key.write_text(f"{KEY}\n", encoding="utf-8")
    key.chmod(0o444)  # the tests may not give it to user 1000
    return {
        "OPENAI_API_BASE_URL": "http://backend:8000/v1",
        "OPENAI_API_KEY_FILE": str(key),
        "PROXY_IMAGE": prod,
        "PROXY_NETWORK": network,
        "PROXY_PORT_HOST": str(free_port()),
        "HEALTH_INTERVAL": "1s",
        "DRAIN_DELAY": "0",
    }


@pytest.fixture(scope="module")
def production(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Production, with its settings in a file and its port on loopback."""
    folder = tmp_path_factory.mktemp("prod")
    path = folder / "prod.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    options = (f"--env-file={path}", f"--project-name={settings['PROXY_NETWORK']}-prod")
    compose = Compose(OVERLAID, options=options)
    with compose.up():
        yield Stack(compose, folder)


@pytest.fixture(scope="module")
def development(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:  # noqa: ARG001  # a fixture has no other way to ask for another
    """Development, on a copy of the sources."""
    check_installed()
    folder = tmp_path_factory.mktemp("dev")
    for name in ("src", "docker"):
        shutil.copytree(engine.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    ports = {"PROXY_PORT_HOST": str(free_port()), "DEBUGGER_PORT_HOST": str(free_port())}
    options = (f"--project-name=oop-test-{uuid.uuid4().hex[:8]}-dev",)
    compose = Compose([file("dev", folder / "docker")], {**ports, "HEALTH_INTERVAL": "1s"}, options, folder)
    with compose.up():
        yield Stack(compose, folder)


@pytest.fixture(params=["production", "development"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each of them."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Stack)
    return found


def test_production_answers(production: Stack) -> None:
    """A chat gets to the backend with the key of the file, which no variable holds; a given setting is one."""
    reply = production.chat()
    known = engine.inspect(production.proxy.id)

    assert reply.status_code == 200, reply.text
    assert "You said: Hello" in reply.json()["message"]["content"]
    assert KEY not in json.dumps(known)
    assert "DRAIN_DELAY=0" in known["Config"]["Env"]


def test_production_has_its_limits(production: Stack) -> None:
    """P6, D29, D30: the engine has got all limits, and not only the file."""
    host = engine.inspect(production.proxy.id)["HostConfig"]

    assert (host["Memory"], host["MemorySwap"]) == (256 * MIB, 256 * MIB)
    assert (host["NanoCpus"], host["PidsLimit"]) == (1_000_000_000, 128)
    assert (host["ReadonlyRootfs"], host["Init"], host["Privileged"]) == (True, True, False)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "10m"}}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["Ulimits"] == [{"Name": "core", "Hard": 0, "Soft": 0}]
    assert [port["HostIp"] for ports in host["PortBindings"].values() for port in ports] == ["127.0.0.1"]


def test_production_can_do_nothing_else(production: Stack) -> None:
    """Seen from inside: no root, no capabilities, no new rights, filtered calls, and nothing to write to but /tmp."""
    lines = production.proxy.python("print(open('/proc/1/status').read())").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if line)
    folders = ["/", "/app", "/etc", "/home", "/tmp", "/usr", "/var"]  # noqa: S108  # the container's own
    writable = production.proxy.python(f"import os; print([path for path in {folders} if os.access(path, os.W_OK)])")

    assert set(status["Uid"].split()) == {"1000"}
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert writable.strip() == "['/tmp']"


def test_the_image_keeps_its_variables(stack: Stack) -> None:
    """A variable of the image is there, though Compose takes away each that is handed on without a value."""
    config = engine.inspect(stack.proxy.id)["Config"]
    own = engine.inspect(config["Image"])["Config"]["Env"]
    names = {variable.partition("=")[0] for variable in config["Env"]}

    assert [variable for variable in own if variable.partition("=")[0] not in names] == []


def test_logs_go_to_the_volume_too(production: Stack) -> None:
    """P14: with docker-compose.logs.yml the lines are in the volume, which user 1000 can write, and still shown."""
    production.chat()
    path = "/var/log/ollama-openai-proxy/proxy.log"
    kept = eventually(lambda: _exchanges(production.proxy.python(f"print(open('{path}').read())")), within=10)

    assert kept[0]["route"] == "/api/chat"
    assert [line["message"] for line in production.proxy.lines()].count("exchange") >= len(kept)


def _exchanges(text: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in text.splitlines() if line]
    return [line for line in lines if line["message"] == "exchange"]


def test_development_needs_no_backend(development: Stack) -> None:
    """Without a key or a backend it starts, and the embedded backend answers."""
    reply = development.chat()

    assert reply.status_code == 200, reply.text
    assert "You said: Hello" in reply.json()["message"]["content"]


def test_development_serves_what_is_edited(development: Stack) -> None:
    """A change of the mounted sources is served, without a command; the container itself can't change them."""
    note = f"edited {uuid.uuid4().hex}"
    with (development.folder / "src" / "ollama_openai_proxy" / "demo_answers.py").open("a", encoding="utf-8") as source:
        source.write(f'\nNOTE = "{note}"\n')

    def served() -> bool:
        try:
            return note in development.chat().text
        except httpx.TransportError:  # it is being started anew
            return False

    eventually(served, within=30)
    (mount,) = [it for it in engine.inspect(development.proxy.id)["Mounts"] if it["Destination"] == "/src/src"]
    assert mount["RW"] is False


def test_debugger_answers_on_loopback(development: Stack) -> None:
    """D32: behind port 5678 is a debugger that speaks the Debug Adapter Protocol, on loopback and nowhere else."""
    published = engine.inspect(development.proxy.id)["NetworkSettings"]["Ports"]["5678/tcp"]
    address = ("127.0.0.1", int(development.compose.settings["DEBUGGER_PORT_HOST"]))
    ask = json.dumps({"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "test"}})
    with socket.create_connection(address, timeout=30) as client, client.makefile("rb") as stream:
        client.sendall(f"Content-Length: {len(ask)}\r\n\r\n{ask}".encode())
        reply = next(message for message in _messages(stream) if message["type"] == "response")

    assert (reply["command"], reply["success"]) == ("initialize", True)
    assert [port["HostIp"] for port in published] == ["127.0.0.1"]


def _messages(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    while header := stream.readline():
        stream.readline()
        yield json.loads(stream.read(int(header.partition(b":")[2])))

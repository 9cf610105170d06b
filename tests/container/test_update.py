"""docker/update: another image on one host, behind each of the reverse proxies, while clients go on asking."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

import httpx
import pytest

from support import compose, engine, reverse_proxies
from support.compose import NEEDED, PROD, Compose
from support.engine import ROOT, docker
from support.reverse_proxies import Front
from support.waiting import eventually

UPDATE = ROOT / "docker" / "update"
RATE = 25  # tokens per second
SHORT = "one two three"
LONG = " ".join(f"word{number}" for number in range(RATE * 10))  # it outlasts the old container's listener


@dataclass
class Deployment:
    """Production, with a reverse proxy of each kind on its network."""

    compose: Compose
    fronts: dict[str, Front]
    image: str
    folder: Path

    def running(self) -> list[str]:
        """The images of the containers that run."""
        containers = self.compose.do("ps", "--quiet", "proxy").split()
        return [str(engine.inspect(each)["Config"]["Image"]) for each in containers]

    def derived(self, name: str, *lines: str) -> str:
        """Build another image of the one under test."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "Dockerfile").write_text("\n".join((f"FROM {self.image}", *lines)))
        tag = f"{self.compose.settings['COMPOSE_PROJECT_NAME']}:{name}"
        docker("build", "--tag", tag, str(folder))
        return tag

    def all(self) -> list[str]:
        """The containers, in whatever state they are."""
        return sorted(self.compose.do("ps", "--all", "--quiet", "proxy").split())

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Run the script as a person does, in a group of its own."""
        files = (f"-f {path}" for path in self.compose.files)
        command = shlex.split(f"{UPDATE} {' '.join(files)}") + list(arguments)
        environ = {
            **{name: os.environ[name] for name in compose.KEPT if name in os.environ},
            **self.compose.settings,
            "COMPOSE": str(compose.program()),
            "DOCKER": str(engine.client()),
            "SETTLE": "2",
            **environment,
        }
        pipe, both = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        return await asyncio.create_subprocess_exec(
            *command, env=environ, stdout=pipe, stderr=both, start_new_session=True
        )

    async def update(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run the script to its end, and return its status and what it said."""
        process = await self.start(*arguments, **environment)
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()


@pytest.fixture(scope="module")
def deployment(prod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Start it with one container."""
    compose.check_installed()
    folder = tmp_path_factory.mktemp("update")
    name = f"update-{uuid4().hex[:8]}"
    override = folder / "demo.yml"
    override.write_text(f"services: {{proxy: {{command: [serve, --demo, '--rate={RATE}']}}}}\n")
    settings = {**NEEDED, "COMPOSE_PROJECT_NAME": name, "PROXY_NETWORK": name, "PROXY_IMAGE": prod}
    made = Compose((*PROD, override), settings)
    with ExitStack() as stack:
        stack.callback(docker, "network", "rm", name, check=False)
        docker("network", "create", name)
        stack.callback(lambda: docker("rmi", *docker("images", "--quiet", name).split(), check=False))
        stack.callback(made.run, "down", "--volumes", "--timeout=1")
        made.do("up", "--detach", "--no-build", "proxy")
        fronts = {
            kind.name: stack.enter_context(reverse_proxies.contained(kind, folder, name, prod))
            for kind in reverse_proxies.ALL
        }
        yield Deployment(made, fronts, prod, folder)


class Load:
    """Clients of each reverse proxy: some that ask again and again, and one whose answer takes long."""

    def __init__(self, deployment: Deployment, *, long: bool = False) -> None:
        self._fronts = deployment.fronts
        self._long = long
        self._over = asyncio.Event()
        self.asked = dict.fromkeys(deployment.fronts, 0)
        self.failed: list[str] = []

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(front.answers() for front in self._fronts.values()))
        clients = [self._asks_again(name, front) for name, front in self._fronts.items() for _ in range(2)]
        patient = [self._asks_once(name, front) for name, front in self._fronts.items() if self._long]
        self._tasks = [asyncio.create_task(each) for each in (*clients, *patient)]
        await self.goes_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def goes_on(self) -> None:
        """Wait until each reverse proxy has handed on more requests."""
        before = dict(self.asked)
        await eventually(lambda: all(self.asked[name] > before[name] + 1 for name in before), within=30)

    async def _asks_again(self, name: str, front: Front) -> None:
        async with front.client() as client:
            while not self._over.is_set():
                await self._ask(name, client, SHORT)

    async def _asks_once(self, name: str, front: Front) -> None:
        async with front.client() as client:
            await self._ask(name, client, LONG)

    async def _ask(self, name: str, client: httpx.AsyncClient, prompt: str) -> None:
        try:
            response = await client.post(
                "/api/chat", json={"model": "demo", "messages": [{"role": "user", "content": prompt}]}
            )
            assert response.status_code == 200, (response.status_code, response.text[-200:])
            records = [json.loads(line) for line in response.text.splitlines()]
            answer = "".join(record["message"]["content"] for record in records if "message" in record)
            assert records[-1].get("done") is True, records[-1]
            assert prompt in answer
        except (httpx.HTTPError, ValueError, AssertionError) as error:
            self.failed.append(f"{name}: {prompt[:10]}: {error!r}")
        self.asked[name] += 1


async def test_a_broken_image_changes_nothing(deployment: Deployment) -> None:
    """G12: an image that does not start is noticed and removed, with its reason; the old container serves on."""
    broken = deployment.derived("broken", "ENV PROXY_PORT=none")
    async with Load(deployment) as load:
        status, said = await deployment.update("--no-pull", broken)
        await load.goes_on()
    assert not load.failed, "\n".join(load.failed)
    assert status == 1
    assert "PROXY_PORT" in said
    assert deployment.running() == [deployment.image]


async def test_an_update_that_is_stopped_changes_nothing(deployment: Deployment) -> None:
    """Whoever stops it half-way has the containers from before, and no others that the next one would count."""
    before = deployment.all()
    process = await deployment.start("--no-pull", deployment.image)
    await eventually(lambda: len(deployment.all()) > len(before), within=30)
    os.killpg(process.pid, signal.SIGTERM)  # as Ctrl-C does, all that run
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 143
    assert "the old containers serve on" in output.decode()
    assert deployment.all() == before


async def test_an_update_and_its_way_back_lose_nothing(deployment: Deployment) -> None:
    """G12, D28: over an update and the command that it says leads back, each request gets its whole answer."""
    newer = deployment.derived("newer", "LABEL newer=yes")
    async with Load(deployment, long=True) as load:
        status, said = await deployment.update("--no-pull", newer)
        assert status == 0, said
        assert deployment.running() == [newer]
        await load.goes_on()
    assert not load.failed, "\n".join(load.failed)
    back = shlex.split(said.splitlines()[-1].partition("To go back: ")[2])
    assert back[0] == str(UPDATE)
    status, said = await deployment.update("--no-pull", back[-1])
    assert status == 0, said
    (image,) = deployment.running()
    assert engine.inspect(image)["Id"] == engine.inspect(deployment.image)["Id"]
    await asyncio.gather(*(front.answers() for front in deployment.fronts.values()))


async def test_an_image_that_others_built_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    """An image of ghcr.io whose attestation GitHub does not confirm is not started. `gh` is a stand-in that says no."""
    foreign = "ghcr.io/example/ollama-openai-proxy:1.2.3"
    docker("tag", deployment.image, foreign)
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\nexit 1\n')
    gh.chmod(0o755)
    before = deployment.compose.do("ps", "--all", "--quiet", "proxy")
    try:
        status, said = await deployment.update("--no-pull", foreign, PATH=f"{tmp_path}:{os.environ['PATH']}")
    finally:
        docker("rmi", foreign)
    assert status == 1, said
    asked = (tmp_path / "asked").read_text()
    assert asked == f"attestation verify oci://{foreign} --repo example/ollama-openai-proxy\n"
    assert deployment.compose.do("ps", "--all", "--quiet", "proxy") == before

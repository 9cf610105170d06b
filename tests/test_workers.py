"""Workers: how they are started, and what happens when one ends that nobody asked to."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from support.processes import eventually
from support.supervising import SECONDS, Family, running_family


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    with ExitStack() as stack:

        def started(count: int, **environ: str) -> Family:
            running: AbstractContextManager[Family] = running_family(tmp_path, count, 30.0, environ)
            family = stack.enter_context(running)
            family.wait_for("ready")
            return family

        yield started


def test_parent_is_small() -> None:
    """The parent of the workers has nothing of the application in its memory, nor an event loop."""
    program = "import sys, ollama_openai_proxy.workers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()  # noqa: S603  # our own words
    assert "ollama_openai_proxy.workers" in loaded
    assert {"asyncio", "fastapi", "msgspec", "pydantic", "starlette", "uvicorn", "uvloop"} & {*loaded} == set()


def test_how_a_worker_starts(start: Callable[..., Family]) -> None:
    """A worker knows its slot and its sockets, has the environment, and holds nothing else: no other worker's pipe."""
    family = start(3)
    workers = family.wait_for("serving", 3) and family.events("started")
    assert sorted(worker["slot"] for worker in workers) == [0, 1, 2]
    for worker in workers:
        assert len(worker["fds"]) == 2
        assert worker["descriptors"] == [0, 1, 2, *worker["fds"]]
        assert worker["origin"] == "parent"
        assert worker["group"] == worker["pid"]
    pids = {worker["pid"] for worker in workers}
    assert {family.ask(listener=0)["pid"], family.ask(listener=1)["pid"]} <= pids


def test_signals_of_a_worker(start: Callable[..., Family]) -> None:
    """A worker starts with no signal blocked or ignored, whatever its parent does with them."""
    family = start(1, COMMAND=json.dumps(["sh", "-c", "exec cat /proc/self/status"]))
    eventually(lambda: "SigCgt" in family.text, within=SECONDS)
    masks = dict(line.split(":\t") for line in family.text.splitlines() if line.startswith(("SigBlk", "SigIgn")))
    glibc = 0b11 << 31  # its own two, which no program can set
    assert {name: int(mask, 16) & ~glibc for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


@pytest.mark.parametrize("environ", [{}, {"ON_DEAD_FAILS": "1"}])
def test_k10_dead_worker_is_replaced(start: Callable[..., Family], environ: dict[str, str]) -> None:
    """K10: a worker that dies is cleared up after, told of, and replaced in its slot; the others keep running."""
    family = start(2, **environ)
    first, second = sorted(family.wait_for("serving", 2), key=lambda worker: worker["slot"])
    os.kill(second["pid"], signal.SIGKILL)
    family.wait_for("serving", 2, slot=1)
    assert [event["slot"] for event in family.events("dead")] == [1]
    (line,) = family.logged("worker ended: replacing it")
    assert (line["slot"], line["pid"], line["signal"]) == (1, second["pid"], "SIGKILL")
    assert [event["pid"] for event in family.events("serving", slot=0)] == [first["pid"]]
    os.kill(first["pid"], 0)
    assert family.process.poll() is None


def test_k10_worker_that_ends_well_is_replaced(start: Callable[..., Family]) -> None:
    """K10: a worker that somebody else told to end is replaced too, and the line has its status."""
    family = start(1)
    (worker,) = family.wait_for("serving")
    os.kill(worker["pid"], signal.SIGTERM)
    family.wait_for("serving", 2)
    assert family.logged("worker ended: replacing it")[0]["status"] == 0


def test_k10_pauses_grow(start: Callable[..., Family]) -> None:
    """K10: a worker that ends as soon as it has started is replaced after 0.1 s, then 0.2 s, 0.4 s and so on."""
    family = start(1, END_STATUS="7")
    times = [event["time"] for event in family.wait_for("log", 4, message="worker started")]
    assert [line["pause_ms"] for line in family.logged("worker ended: replacing it")][:3] == [100, 200, 400]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert [gap >= pause for gap, pause in zip(gaps, (0.1, 0.2, 0.4), strict=False)] == [True, True, True]


def test_k10_no_pause_after_a_life(start: Callable[..., Family]) -> None:
    """K10: a worker that has lived for a second is replaced at once, and its next pause is the first again."""
    family = start(1, END_STATUS="7", END_AFTER="1.0")
    family.wait_for("started", 3)
    assert [line["pause_ms"] for line in family.logged("worker ended: replacing it")][:2] == [0, 0]


@pytest.mark.parametrize("status", [1, 2, 3])
def test_k10_failed_start(start: Callable[..., Family], status: int) -> None:
    """K10: a worker that can't start, as with bad settings, is no reason to try for ever: all end, with its status."""
    family = start(2, END_STATUS=str(status), END_SLOT="1", END_AFTER="0.2")
    assert family.ended() == status
    assert len(family.events("started")) == 2
    (line,) = family.logged("worker failed to start: stopping")
    assert (line["slot"], line["status"]) == (1, status)
    assert family.events("ended")[0]["left_open"] == []
    assert family.pids() == []


def test_k10_late_failure(start: Callable[..., Family]) -> None:
    """K10: the same status after five seconds is a crash, and the worker is replaced."""
    family = start(1, END_STATUS="3", END_AFTER="5.1")
    family.wait_for("serving", 2)
    assert family.logged("worker ended: replacing it")[0]["status"] == 3


def test_k10_too_many_replacements(start: Callable[..., Family]) -> None:
    """K10: after 20 replacements within a minute the parent ends with status 1."""
    family = start(8, END_STATUS="7")
    assert family.ended() == 1
    assert len(family.logged("worker ended: replacing it")) == 20
    assert len(family.logged("workers end too often: stopping")) == 1
    assert family.pids() == []


def test_no_such_command(start: Callable[..., Family]) -> None:
    """A command that isn't there ends the parent with status 1 and one line."""
    family = start(3, COMMAND='["/no/such/command"]')
    assert family.ended() == 1
    (line,) = family.logged("can't start a worker: stopping")
    assert line["error"] == "No such file or directory"


def test_k10_command_that_is_gone_for_a_while(start: Callable[..., Family], tmp_path: Path) -> None:
    """K10: once workers have run, one that can't be started now is tried again."""
    command = tmp_path / "command"
    command.symlink_to("/bin/cat")
    family = start(1, COMMAND=json.dumps([str(command), "-", "--"]))
    (worker,) = family.wait_for("log", message="worker started")
    command.unlink()
    os.kill(worker["pid"], signal.SIGKILL)
    family.wait_for("log", message="can't start a worker: trying again")
    command.symlink_to("/bin/cat")
    family.wait_for("log", 2, message="worker started")


def test_k10_backlog_survives_a_worker(start: Callable[..., Family]) -> None:
    """K10: who has connected while the only worker was dying is served by the next one."""
    family = start(1)
    (worker,) = family.wait_for("serving")
    os.kill(worker["pid"], signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", family.wait_for("ready")[0]["ports"][0]), timeout=SECONDS) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        os.kill(worker["pid"], signal.SIGKILL)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["pid"] != worker["pid"]


def test_k10_kill_under_load(start: Callable[..., Family]) -> None:
    """K10: when one of two workers is killed under load, only what it was serving fails, and service goes on."""
    family = start(2, REPLY_SECONDS="0.1")
    workers = {worker["pid"] for worker in family.wait_for("serving", 2)}
    port = family.wait_for("ready")[0]["ports"][0]
    failed: list[int] = []
    served: list[int] = []
    enough = threading.Event()

    def client() -> None:
        while not enough.is_set():
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
                own = connection.getsockname()[1]
                try:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    answer = b"".join(iter(lambda: connection.recv(4096), b""))
                except ConnectionResetError:
                    answer = b""
                (served if answer.endswith(b"}") else failed).append(own)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    victim = family.wait_for("accepted", 20)[-1]["pid"]
    os.kill(victim, signal.SIGKILL)
    family.wait_for("serving", 3)
    so_far = len(family.events("accepted"))
    family.wait_for("accepted", so_far + 20)
    enough.set()
    for thread in clients:
        thread.join(SECONDS)
    others = {event["port"] for event in family.events("accepted") if event["pid"] != victim}
    assert others & {*failed} == set()
    assert len(failed) <= 4
    assert len(served) > 20
    assert {event["pid"] for event in family.events("serving")} > workers

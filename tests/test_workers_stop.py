"""Workers: how all of it ends, on signals and when the parent is killed."""

import os
import pty
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.processes import eventually
from support.supervising import SECONDS, Family, running_family

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
CYCLES = 50


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    with ExitStack() as stack:

        def started(count: int, stop_within: float = 30.0, **environ: str) -> Family:
            family = stack.enter_context(running_family(tmp_path, count, stop_within, environ))
            family.wait_for("serving", count)
            return family

        yield started


def signals_of_workers(family: Family) -> dict[int, list[str]]:
    """Which signals each slot's worker got."""
    told = family.events("signal")
    return {slot: [event["name"] for event in told if event["slot"] == slot] for slot in {e["slot"] for e in told}}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_k1_signal_ends_all(start: Callable[..., Family], number: signal.Signals) -> None:
    """K1: on SIGTERM, SIGINT and SIGHUP each worker gets one SIGTERM; the parent waits for them, and ends with 0."""
    family = start(3, DRAIN="0.2")
    family.send(number)
    assert family.ended() == 0
    assert signals_of_workers(family) == {0: ["SIGTERM"], 1: ["SIGTERM"], 2: ["SIGTERM"]}
    assert [line["signal"] for line in family.logged("stopping")] == [number.name]
    assert sorted((line["slot"], line["status"]) for line in family.logged("worker ended")) == [(0, 0), (1, 0), (2, 0)]
    assert family.events("ended")[0]["left_open"] == []
    assert family.pids() == []


def test_k6_signals_after_the_end(start: Callable[..., Family]) -> None:
    """K6: a signal that comes once all workers have ended doesn't change the exit status: it is ignored."""
    family = start(1)
    family.send(signal.SIGTERM)
    # The program sends itself a SIGTERM between `run` and its end.
    assert family.ended() == 0
    assert len(family.events("ended")) == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_k6_second_signal(start: Callable[..., Family], second: signal.Signals) -> None:
    """K6: a second signal is passed on as SIGINT, and workers that drain end on it."""
    family = start(2, DRAIN="1000")
    family.send(signal.SIGTERM)
    family.wait_for("signal", 2)
    family.send(second)
    assert family.ended() == 0
    assert signals_of_workers(family) == {0: ["SIGTERM", "SIGINT"], 1: ["SIGTERM", "SIGINT"]}
    assert [line["status"] for line in family.logged("worker ended")] == [0, 0]
    assert [line["signal"] for line in family.logged("stopping at once")] == [second.name]


def test_k6_second_signal_to_the_deaf(start: Callable[..., Family]) -> None:
    """K6: workers that don't end on the second signal are killed, long before the drain would be over."""
    family = start(2, DRAIN="inf")
    family.send(signal.SIGTERM)
    family.wait_for("signal", 2)
    family.send(signal.SIGTERM)
    assert family.ended() == 0
    assert {line["signal"] for line in family.logged("worker ended")} == {"SIGKILL"}
    assert sorted(line["slot"] for line in family.logged("worker did not end in time: killed")) == [0, 1]


def test_k3_end_of_the_drain(start: Callable[..., Family]) -> None:
    """K3: what drains longer than it may is killed, and a line says so; the exit status is 0."""
    family = start(2, 0.3, DRAIN="inf")
    family.send(signal.SIGTERM)
    assert family.ended() == 0
    assert sorted(line["slot"] for line in family.logged("worker did not end in time: killed")) == [0, 1]
    assert family.pids() == []


def test_k10_dead_in_the_drain(start: Callable[..., Family]) -> None:
    """K10: a worker that dies while all drain is not replaced."""
    family = start(2, DRAIN="1000")
    family.send(signal.SIGTERM)
    victim = family.wait_for("signal", 2)[0]
    os.kill(victim["pid"], signal.SIGKILL)
    family.wait_for("dead", slot=victim["slot"])
    family.send(signal.SIGTERM)
    assert family.ended() == 0
    assert len(family.logged("worker started")) == 2
    assert family.logged("worker ended: replacing it") == []


def test_k10_no_start_in_the_drain(start: Callable[..., Family]) -> None:
    """K10: a worker that was to be replaced after a pause isn't, once all drain."""
    family = start(2, DRAIN="2", END_SLOT="0", END_STATUS="7")
    family.wait_for("log", pause_ms=1600)  # long enough for the signal to come in it, on a loaded machine too
    family.send(signal.SIGTERM)
    assert family.ended() == 0
    assert len(family.logged("worker started")) == 2 + 4
    assert family.logged("can't start a worker: trying again") == []
    assert signals_of_workers(family) == {1: ["SIGTERM"]}


def test_k2_listeners_in_the_drain(start: Callable[..., Family]) -> None:
    """K2: while workers accept, connections are served; once they stop that, they are refused: nobody else holds on."""
    family = start(1, DRAIN="1000")
    family.send(signal.SIGTERM)
    family.wait_for("signal")
    assert family.ask()["slot"] == 0
    family.ask("/close")
    for port in family.events("ready")[0]["ports"]:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    assert family.process.poll() is None


def test_k1_signal_before_the_start(tmp_path: Path) -> None:
    """K1: a signal that was blocked until `run` ends it with 0, before a worker serves."""
    with running_family(tmp_path, 2, 30.0, {"SIGNALS_BEFORE": "1", "DRAIN": "1000"}) as family:
        assert family.ended() == 0
        assert family.events("started") == []


def test_k6_signals_in_between(start: Callable[..., Family]) -> None:
    """K6: two signals that come while the parent is busy with something else are two: nobody drains."""
    family = start(2, DRAIN="1000", SIGNALS_MEANWHILE="2")
    os.kill(family.events("serving", slot=0)[0]["pid"], signal.SIGKILL)
    assert family.ended() == 0
    assert len(family.logged("stopping")) == len(family.logged("stopping at once")) == 1


def test_k7_parent_is_killed(start: Callable[..., Family]) -> None:
    """K7: when the parent is killed, each worker sees its standard input end."""
    family = start(3, DRAIN="1000")
    os.kill(family.events("serving", slot=0)[0]["pid"], signal.SIGKILL)
    family.wait_for("serving", 2, slot=0)  # so with a worker's successor, too
    family.send(signal.SIGKILL)
    assert sorted(event["slot"] for event in family.wait_for("eof", 3)) == [0, 1, 2]
    eventually(lambda: not family.pids(), within=SECONDS)


def test_k6_nohup(tmp_path: Path) -> None:
    """K6: under `nohup`, SIGHUP stays ignored."""
    with running_family(tmp_path, 1, 30.0, {}, prefix=["nohup"]) as family:
        family.wait_for("serving")
        family.send(signal.SIGHUP)
        family.send(signal.SIGTERM)
        assert family.ended() == 0
        assert [line["signal"] for line in family.logged("stopping")] == ["SIGTERM"]
        assert family.logged("stopping at once") == []


def test_interrupt_from_a_terminal(start: Callable[..., Family]) -> None:
    """P3: Ctrl-C on a terminal reaches each worker once, by way of its parent."""
    controller, terminal = pty.openpty()
    try:
        family = start(2, DRAIN="0.5", TTY=os.ttyname(terminal))
        os.write(controller, b"\x03")
        assert family.ended() == 0
    finally:
        os.close(controller)
        os.close(terminal)
    assert [line["signal"] for line in family.logged("stopping")] == ["SIGINT"]
    assert signals_of_workers(family) == {0: ["SIGTERM"], 1: ["SIGTERM"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_k1_first_process(tmp_path: Path, number: signal.Signals) -> None:
    """P2, K1: as PID 1 the parent reaps the orphans that it inherits, and a signal ends it with status 0."""
    probe = [*UNSHARE, "true"]
    if shutil.which(probe[0]) is None or subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603  # our own command
        pytest.skip("a namespace of processes is not allowed here")
    with running_family(tmp_path, 2, 30.0, {"ORPHAN": "1"}, prefix=UNSHARE) as family:
        family.wait_for("serving", 2)
        (first,) = children(family.process.pid)
        assert family.events("ready")[0]["pid"] == 1
        eventually(lambda: len(children(first)) == 2, within=SECONDS)  # each worker left an orphan for a second
        os.kill(first, number)
        assert family.ended() == 0
        assert signals_of_workers(family) == {0: ["SIGTERM"], 1: ["SIGTERM"]}


def children(pid: int) -> list[int]:
    """The children of a process, those too that have ended and were not reaped."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def test_k1_k7_many_starts_and_stops(tmp_path: Path) -> None:
    """K1, K7: a signal at any moment ends all within two seconds, with status 0 and no process left."""
    for cycle in range(CYCLES):
        moment = random.Random(cycle).uniform(0, 0.3)  # noqa: S311  # no secret
        with running_family(tmp_path, 2, 30.0, {}) as family:
            family.wait_for("ready")
            time.sleep(moment)  # the moment is what is tested
            sent = time.monotonic()
            family.send(signal.SIGTERM)
            assert family.ended() == 0, (cycle, moment, family.text)
            assert time.monotonic() - sent < 2.0, (cycle, moment, family.text)
            assert family.pids() == []
            assert len(family.logged("worker started")) == len(family.logged("worker ended"))

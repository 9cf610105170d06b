"""What is told of the process, or of all workers: checked with real child processes of this one."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import ProcessCollector

from observe.metrics_worker import worker
from observe.scraped import Scraped
from ollama_openai_proxy.observe.metrics_process import Processes

CPU = "process_cpu_seconds_total"


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


def told(processes: Processes | ProcessCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in processes.collect() for sample in family.samples}


def of(process: int) -> dict[str, float]:
    return told(ProcessCollector(pid=lambda: process, registry=None))


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def of_children() -> list[dict[str, float]]:
    """What is told of each child process of this one, whoever started it."""
    stats = [(path.parent.name, text) for path in Path("/proc").glob("[0-9]*/stat") if (text := read(path))]
    return [of(int(process)) for process, stat in stats if int(stat.rpartition(b")")[2].split()[1]) == os.getpid()]


def value(body: bytes, name: str) -> float:
    found = Scraped(body, "text/plain").value(name)
    assert found is not None
    return found


@pytest.mark.parametrize("supervisor", [None, os.getpid()], ids=["alone", "no child of the supervisor"])
def test_own_process(supervisor: int | None) -> None:
    """Without a supervisor, and when it is not its parent any more, a process tells of itself."""
    own = told(Processes(supervisor))
    assert own["process_start_time_seconds"] == of(os.getpid())["process_start_time_seconds"]
    assert own["process_resident_memory_bytes"] == pytest.approx(
        of(os.getpid())["process_resident_memory_bytes"], rel=0.2
    )
    assert own["process_open_fds"] == pytest.approx(len(os.listdir("/proc/self/fd")), abs=2)  # noqa: PTH208  # as text


def test_workers_are_added_up(directory: Path) -> None:
    """Memory and open files are the sums over all workers, the start is their supervisor's."""
    with worker(directory, 0), worker(directory, 1) as asked, worker(directory, 2):
        children = of_children()
        assert len(children) >= 3
        body = asked.order("render")
        for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
            assert value(body, name) == pytest.approx(sum(child[name] for child in children), rel=0.2), name
        assert value(body, "process_start_time_seconds") == of(os.getpid())["process_start_time_seconds"]


def test_cpu_time_of_the_dead(directory: Path) -> None:
    """The CPU time is a counter: that of a worker which ended, and was waited for, stays in the sum."""
    with worker(directory, 0) as asked, worker(directory, 1) as burning:
        burning.order("burn", 0.6)
        before = value(asked.order("render"), CPU)
        burning.process.kill()
        os.waitid(os.P_PID, burning.process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not waited for
        between = value(asked.order("render"), CPU)
        burning.process.wait()
        after = value(asked.order("render"), CPU)
        assert 0.6 <= before <= between <= after
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        expected = ended.ru_utime + ended.ru_stime + sum(child[CPU] for child in of_children())
        assert after == pytest.approx(expected, abs=0.1)


def test_children_that_come_and_go(directory: Path) -> None:
    """However many children end between one look and the next, the CPU time does not go back."""
    command = [sys.executable, "-c", "sum(range(1_000_000))"]
    with worker(directory, 0) as asked, ThreadPoolExecutor(1) as thread:
        children = thread.submit(lambda: [subprocess.run(command, check=True) for _ in range(20)])  # noqa: S603  # ours
        seen = []
        while not children.done():
            seen.append(value(asked.order("render"), CPU))
        children.result()
        assert len(seen) > 1
        assert seen == sorted(seen)

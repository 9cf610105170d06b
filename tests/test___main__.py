"""The command as a process: signals and failures while it starts, and how little it imports for `probe`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.processes import free_port

COMMAND = [sys.executable, "-m", "ollama_openai_proxy"]
SERVE = [*COMMAND, "serve", "--demo", "--rate", "0"]
AS_PROCESS_1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
SECONDS = 30.0  # for a start on a loaded machine
STOPPING = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # our own command


class Starting:
    """A server that has just been started, with what it writes."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
        self.process = process
        self.pid = process.pid
        self._port = port
        self._output, self._errors = folder / "stdout", folder / "stderr"

    def until(self, reached: Callable[[int], object]) -> None:
        """Wait for what the process's own entries in /proc tell."""
        deadline = time.monotonic() + SECONDS
        while not reached(self.pid):
            assert self.process.poll() is None, self.written()
            assert time.monotonic() < deadline, "not reached"
            time.sleep(0.001)

    def serves(self, _: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS) as connection:
                connection.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in connection.recv(4096)
        except ConnectionError:
            return False

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def status(self) -> int:
        return self.process.wait(SECONDS)

    def written(self) -> tuple[str, str]:
        return self._output.read_text(), self._errors.read_text()


@contextmanager
def starting(folder: Path, *command: str) -> Iterator[Starting]:
    port = free_port()
    environ = {"PATH": os.environ["PATH"], "PROXY_PORT": str(port), "DRAIN_DELAY": "0"}
    with (
        (folder / "stdout").open("wb") as output,
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=errors) as process,  # noqa: S603  # our own command
    ):
        try:
            yield Starting(process, folder, port)
        finally:
            process.kill()


def masks(pid: int) -> dict[str, int]:
    """The signals that the process ignores, catches, ...; bit 0 is signal 1."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {
        name: int(mask, 16)
        for name, mask in (line.split(":\t") for line in lines if line.startswith("Sig"))
        if name != "SigQ"
    }


def catches(pid: int) -> bool:
    """Whether it has a handler for SIGTERM, which Python itself never has."""
    return bool(masks(pid)["SigCgt"] & 1 << signal.SIGTERM - 1)


def has_loop(pid: int) -> bool:
    """Whether it has made an event loop."""
    return any("eventpoll" in target for target in map(_target, Path(f"/proc/{pid}/fd").iterdir()))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


# It goes on from bytecode to bytecode, as an import does: a signal just before one long sleep would wait for its end.
HELD = """
from pathlib import Path
import time
Path("held").touch()
while True:
    time.sleep(0.01)
"""
# Modules of each kind that a start imports, and its event loop.
_MOMENTS = ["argparse", "pydantic", "asyncio", "httptools", "fastapi", "uvloop", "loop"]
MOMENTS = pytest.mark.parametrize("moment", _MOMENTS)


def reach(moment: str, server: Starting, folder: Path) -> None:
    """Wait until the loop has been made, or until the module of that name, which `hold` has put there, is imported."""
    server.until(has_loop if moment == "loop" else lambda _: (folder / "held").exists())


def hold(moment: str, folder: Path) -> None:
    if moment != "loop":
        (folder / f"{moment}.py").write_text(HELD, encoding="utf-8")


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), ([], 2), (["nonsense"], 2)])
def test_is_the_command(tmp_path: Path, arguments: list[str], status: int) -> None:
    """The module is the command, under the command's name, and passes its exit status on."""
    done = run(tmp_path, *arguments)
    assert done.returncode == status
    assert "ollama-openai-proxy " in done.stdout + done.stderr


@MOMENTS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name)
def test_k6_signal_while_it_starts(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    """G11, K6: a signal ends a start at any moment with exit status 0, and nothing is said but lines of the log."""
    hold(moment, tmp_path)
    with starting(tmp_path, *SERVE) as server:
        reach(moment, server, tmp_path)
        server.send(number)
        assert server.status() == 0
        output, errors = server.written()
    assert errors == ""
    assert all(isinstance(json.loads(line), dict) for line in output.splitlines())


def test_signals_all_through_the_start(tmp_path: Path) -> None:
    """G11: nor is there a gap between these moments."""
    statuses = []
    for number, after in enumerate(range(0, 1200, 150)):
        with starting(tmp_path, *SERVE) as server:
            server.until(catches)
            time.sleep(after / 1000)  # any moment will do
            server.send((signal.SIGTERM, signal.SIGINT)[number % 2])
            statuses.append((server.status(), server.written()[1]))
    assert statuses == [(0, "")] * 8


def unshared() -> str:
    """Why this machine lets nobody be process 1, if so."""
    try:
        done = subprocess.run([*AS_PROCESS_1, "true"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # a tool of util-linux
    except FileNotFoundError:
        return "there is no unshare"
    return done.stderr.strip()


@pytest.mark.parametrize("moment", ["argparse", "uvloop", "loop"])
@STOPPING
def test_signal_as_process_1(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    """P2: so it is as process 1 of a container, to which the kernel brings only signals that it has a handler for."""
    if reason := unshared():
        pytest.skip(reason)
    hold(moment, tmp_path)
    with starting(tmp_path, *AS_PROCESS_1, *SERVE) as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        server.until(lambda _: children.read_text(encoding="utf-8"))
        server.pid = int(children.read_text(encoding="utf-8"))
        reach(moment, server, tmp_path)
        server.send(number)
        assert server.status() == 0
        assert server.written()[1] == ""


@STOPPING
def test_signal_to_a_check(tmp_path: Path, number: signal.Signals) -> None:
    """A check that was stopped has not succeeded: its exit status is the one that shells give, and it is quiet."""
    hold("argparse", tmp_path)
    with starting(tmp_path, *COMMAND, "check") as checking:
        reach("argparse", checking, tmp_path)
        checking.send(number)
        assert checking.status() == 128 + number
        assert checking.written() == ("", "")


def test_k6_hang_up_of_a_running_server(tmp_path: Path) -> None:
    """K6: a terminal that closes stops a server as SIGTERM does."""
    with starting(tmp_path, *SERVE) as server:
        server.until(server.serves)
        before, _ = server.written()
        server.send(signal.SIGHUP)
        assert server.status() == 0
        output, errors = server.written()
    assert output.removeprefix(before).startswith("{")  # it says so: it was no sudden end
    assert errors == ""


def test_nohup(tmp_path: Path) -> None:
    """Under nohup a terminal that closes stops nothing."""
    with starting(tmp_path, "nohup", *SERVE) as server:
        server.until(catches)
        server.until(server.serves)
        assert masks(server.pid)["SigIgn"] & 1 << signal.SIGHUP - 1


def test_k6_broken_pipes_are_errors_not_signals(tmp_path: Path) -> None:
    """K6: a peer that has gone does not end the process: SIGPIPE is ignored."""
    with starting(tmp_path, *SERVE) as server:
        server.until(server.serves)
        assert masks(server.pid)["SigIgn"] & 1 << signal.SIGPIPE - 1


BROKEN = {
    "a library is missing": ("raise ImportError('libm.so.6: no such file')", "ImportError: libm.so.6: no such file"),
    "a file is damaged": ("def", "SyntaxError: invalid syntax (pydantic.py, line 1)"),
}


@pytest.mark.parametrize(("code", "message"), BROKEN.values(), ids=BROKEN)
def test_k9_failed_start(tmp_path: Path, code: str, message: str) -> None:
    """K9: what breaks a start before there is a log is one line of JSON, and the exit status says so."""
    (tmp_path / "pydantic.py").write_text(code, encoding="utf-8")
    done = run(tmp_path, "serve", "--demo", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert {*told} == {"time", "level", "message", "exc_info"}
    assert (told["level"], told["message"]) == ("CRITICAL", message)
    assert told["exc_info"].startswith("Traceback (most recent call last):")
    assert told["time"].endswith("+00:00")


@pytest.mark.parametrize(("command", "settings"), [("serve", {"LOG_FORMAT": "Text"}), ("check", {})])
def test_failed_start_for_people(tmp_path: Path, command: str, settings: dict[str, str]) -> None:
    """With LOG_FORMAT=text, and for a check, which people run, it is Python's own traceback."""
    (tmp_path / "pydantic.py").write_text("raise ImportError('broken')", encoding="utf-8")
    done = run(tmp_path, command, PYTHONPATH=str(tmp_path), **settings)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")


def test_probe_imports_nothing_else(tmp_path: Path) -> None:
    """G9: `probe` starts without the modules that serve, and without those that they need."""
    done = run(tmp_path, "probe", PYTHONPROFILEIMPORTTIME="1", PROXY_PORT=str(free_port()))
    assert done.returncode == 1
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    ours = {name for name in modules if name.startswith("ollama_openai_proxy")}
    assert ours == {"ollama_openai_proxy", "ollama_openai_proxy.probe"}
    heavy = {"argparse", "asyncio", "importlib.metadata", "json", "logging", "pydantic", "re", "signal", "socket"}
    assert modules & heavy == set()

"""`serve`: what a start needs, and what it says when it can't."""

import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from support.command import DEMO, PROMPTLY, one_line, parsed, run, served
from support.processes import eventually, free_port


def test_no_backend(tmp_path: Path) -> None:
    """Without a backend `serve` ends at once, and says in one line what to set."""
    done = run(tmp_path, "serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert "OPENAI_API_BASE_URL" in one_line(done.stderr)
    assert "--demo" in done.stderr


def test_k9_taken_port(tmp_path: Path) -> None:
    """A port that is taken ends `serve` with status 1 and one line (K9)."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, *DEMO, PROXY_PORT=str(port))
    assert done.returncode == 1
    told = json.loads(one_line(done.stderr))
    assert (told["level"], told["message"]) == (
        "CRITICAL",
        f"PROXY_PORT: can't listen on 127.0.0.1:{port}: Address already in use",
    )


def test_k9_unknown_address(tmp_path: Path) -> None:
    """An address that is not this machine's ends `serve` with status 1 and one line (K9)."""
    done = run(tmp_path, *DEMO, PROXY_HOST="no-such-host.invalid", PROXY_PORT="0")
    assert done.returncode == 1
    told = json.loads(one_line(done.stderr))
    assert told["message"].startswith("PROXY_HOST: can't listen on no-such-host.invalid:0: ")


def test_address_of_another_machine(tmp_path: Path) -> None:
    """Bad input: the line names the variable that holds the address, which is not the one of the port."""
    done = run(tmp_path, *DEMO, OLLAMA_HOST="192.0.2.1", PROXY_PORT="8080")  # RFC 5737: nobody's
    assert done.returncode == 1
    assert json.loads(one_line(done.stderr))["message"].startswith("OLLAMA_HOST: can't listen on 192.0.2.1:8080: ")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DRAIN_DELAY": "10", "DRAIN_TIMEOUT": "5"}, ["DRAIN_TIMEOUT", "DRAIN_DELAY"]),
        ({"METRICS_PORT": "9464", "METRICS_ENABLED": "false"}, ["METRICS_PORT", "METRICS_ENABLED"]),
        ({"METRICS_PORT": "8080", "PROXY_PORT": "8080"}, ["METRICS_PORT"]),
        ({"WORKERS": "0"}, ["WORKERS"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_settings_that_contradict(tmp_path: Path, settings: dict[str, str], words: list[str]) -> None:
    """Bad input: settings that can't both be meant stop the start, before anything listens, with one line."""
    done = run(tmp_path, *DEMO, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    told = json.loads(one_line(done.stderr))
    assert told["level"] == "CRITICAL"
    assert all(word in told["message"] for word in words)


def test_failed_start_for_people(tmp_path: Path) -> None:
    """With LOG_FORMAT=text what stops the start is a plain line."""
    done = run(tmp_path, "serve", LOG_FORMAT="text")
    assert one_line(done.stderr).startswith("ollama-openai-proxy: OPENAI_API_BASE_URL is not set")


def test_misused(tmp_path: Path) -> None:
    """A command that makes no sense is one line, too, and status 2."""
    for options in (["--no-such-option"], ["--workers", "many"], ["--workers", "0"], ["--worker", "2"], ["more"]):
        done = run(tmp_path, "serve", *options, OPENAI_API_BASE_URL="http://127.0.0.1:1/v1")
        assert done.returncode == 2
        assert json.loads(one_line(done.stderr))["level"] == "CRITICAL"


@pytest.mark.parametrize("rate", ["nan", "-1", "inf", "fast"])
def test_rate(tmp_path: Path, rate: str) -> None:
    """A rate that is none is refused."""
    assert run(tmp_path, "serve", "--demo", "--rate", rate).returncode == 2


def test_k9_host_that_is_none(tmp_path: Path) -> None:
    """K9: a name that can't be one is one line, too."""
    done = run(tmp_path, *DEMO, PROXY_HOST="..a")
    assert done.returncode == 1
    assert json.loads(one_line(done.stderr))["message"].startswith("PROXY_HOST: can't listen on ..a:")


@pytest.mark.parametrize(
    ("file", "reason"), [("missing/proxy.log", "no such folder"), (".", "Is a directory")], ids=["no folder", "folder"]
)
def test_unwritable_log_file(tmp_path: Path, file: str, reason: str) -> None:
    """Bad input: a log file that can't be written stops the start, before anything listens, with one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(tmp_path, *DEMO, PROXY_PORT=str(taken.getsockname()[1]), LOG_FILE=file)
    assert (done.returncode, done.stdout) == (1, "")
    told = json.loads(one_line(done.stderr))
    assert (told["level"], told["message"]) == ("CRITICAL", f"LOG_FILE can't be written: {reason}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_log_file(tmp_path: Path, workers: str) -> None:
    """With LOG_FILE the lines of all processes are in the file and on standard output."""
    with served(tmp_path, *DEMO, WORKERS=workers, DRAIN_DELAY="0", LOG_FILE="proxy.log") as proxy:
        eventually(lambda: proxy.out.count('"ready"') == int(workers), within=PROMPTLY)
        for _ in range(10):
            assert httpx.post(f"{proxy.url}/api/chat", json=BODY, trust_env=False).status_code == 200
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        kept = (tmp_path / "proxy.log").read_text()
        assert sorted(kept.splitlines()) == sorted(proxy.out.splitlines())
    lines = parsed(kept)
    assert [line["message"] for line in lines].count("exchange") == 10
    assert {line.get("state") for line in lines} == {None, "starting", "ready", "draining", "stopped"}


def test_log_file_for_people(tmp_path: Path) -> None:
    """With `--try` the log file has the lines for people, and not how to try it."""
    with served(tmp_path, "serve", "--try", LOG_FILE="proxy.log") as proxy:
        eventually(proxy.how_to_try, within=PROMPTLY)
        eventually(lambda: " ready" in (tmp_path / "proxy.log").read_text(), within=PROMPTLY)
        assert "print(" not in (tmp_path / "proxy.log").read_text()


def test_log_file_that_becomes_unwritable(tmp_path: Path) -> None:
    """A log file that can't be written any more stops neither a request nor a worker that replaces one: its lines are
    counted, and standard output has them."""
    (tmp_path / "volume").mkdir()
    with served(tmp_path, *DEMO, WORKERS="2", DRAIN_DELAY="0", LOG_FILE="volume/proxy.log") as proxy:
        eventually(lambda: proxy.out.count('"ready"') == 2, within=PROMPTLY)
        (tmp_path / "volume").rename(tmp_path / "gone")
        os.kill(workers_of(proxy.process.pid)[0], signal.SIGKILL)
        eventually(lambda: proxy.out.count('"ready"') == 3, within=PROMPTLY)
        for _ in range(10):
            assert httpx.post(f"{proxy.url}/api/chat", json=BODY, trust_env=False).status_code == 200
        eventually(lambda: proxy.out.count('"exchange"') == 10, within=PROMPTLY)
        eventually(lambda: figures(proxy.url)["ollama_proxy_log_lines_dropped_total"] >= 10, within=PROMPTLY)
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        assert "can't write to the log file" in proxy.out


def figures(url: str) -> dict[str, float]:
    """Return all figures, by name and labels."""
    page = httpx.get(f"{url}/metrics", trust_env=False).text
    pairs = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


ASKED = 'ollama_proxy_exchanges_total{front="ollama",model="demo",outcome="ok",route="/api/chat"}'
BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "stream": False}


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children]


def test_k10_workers(tmp_path: Path) -> None:
    """G14, K10: the figures of several workers are exact sums, also when one of them was killed and replaced."""
    with served(tmp_path, *DEMO, WORKERS="2", DRAIN_DELAY="0") as proxy:
        eventually(lambda: proxy.out.count('"ready"') == 2, within=PROMPTLY)
        assert figures(proxy.url).get(ASKED) is None
        for _ in range(30):
            assert httpx.post(f"{proxy.url}/api/chat", json=BODY, trust_env=False).status_code == 200
        eventually(lambda: figures(proxy.url)[ASKED] == 30, within=PROMPTLY)
        first, second = workers_of(proxy.process.pid)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: proxy.out.count('"ready"') == 3, within=PROMPTLY)
        assert first not in workers_of(proxy.process.pid)
        assert second in workers_of(proxy.process.pid)
        for _ in range(30):
            assert httpx.post(f"{proxy.url}/api/chat", json=BODY, trust_env=False).status_code == 200
        eventually(lambda: figures(proxy.url)[ASKED] == 60, within=PROMPTLY)
        assert figures(proxy.url)["ollama_proxy_exchanges_in_flight"] == 0
        workers = workers_of(proxy.process.pid)
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
        assert parsed(proxy.out)[-1]["state"] == "stopped"
        assert proxy.err == ""


def test_workers_leave_nothing(tmp_path: Path) -> None:
    """P5: what workers share of their metrics is gone with them."""
    with served(tmp_path, *DEMO, WORKERS="2", DRAIN_DELAY="0") as proxy:
        shared = directory_of(workers_of(proxy.process.pid)[0])
        assert shared.is_dir()
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
    assert not shared.exists()


def test_k7_leftovers_of_the_killed(tmp_path: Path) -> None:
    """K7: what a supervisor that was killed has left is gone after the next start; what is in use is not."""
    with served(tmp_path, *DEMO, WORKERS="2", TMPDIR=str(tmp_path)) as proxy:
        shared = directory_of(workers_of(proxy.process.pid)[0])
        proxy.process.kill()
    assert shared.is_dir()
    with served(tmp_path, *DEMO, WORKERS="2", DRAIN_DELAY="0") as proxy:
        assert not shared.exists()
        first = directory_of(workers_of(proxy.process.pid)[0])
        with served(tmp_path, *DEMO, WORKERS="2", DRAIN_DELAY="0") as other:
            assert first.is_dir()
            other.process.send_signal(signal.SIGTERM)
            assert other.process.wait(timeout=PROMPTLY) == 0
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
    assert not first.exists()


def directory_of(worker: int) -> Path:
    """Return where the worker shares its metrics."""
    environ = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    (shared,) = (item.partition(b"=")[2] for item in environ if item.startswith(b"PROMETHEUS_MULTIPROC_DIR="))
    return Path(os.fsdecode(shared))


def test_foreign_metrics_directory(tmp_path: Path) -> None:
    """A directory that another program's metrics are shared in is none of our business."""
    with served(tmp_path, *DEMO, PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "nowhere")) as proxy:
        assert "ollama_proxy_build_info" in httpx.get(f"{proxy.url}/metrics", trust_env=False).text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_of_the_metrics(tmp_path: Path, workers: str) -> None:
    """With METRICS_PORT the metrics are there, and not with the proxy."""
    port = free_port()
    with served(tmp_path, *DEMO, METRICS_PORT=str(port), WORKERS=workers) as proxy:
        assert "ollama_proxy_build_info" in httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert httpx.get(f"{proxy.url}/metrics", trust_env=False).status_code == 404

"""The images, run as operators run them: hardened, as any user, with and without an init, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from support import engine
from support.processes import eventually

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
# A host that was started without IPv6 answers each request for such a socket with "not supported" (97).
NO_IPV6 = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 97,
            "args": [{"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}],
        }
    ],
}


def chat(url: str) -> list[dict[str, object]]:
    """Return the records of a streamed chat."""
    answer = httpx.post(f"{url}/api/chat", json=CHAT, timeout=30)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("user", ["1000:1000", "12345:0", "12345:54321"])
def test_l1_l2_hardened(image: str, user: str) -> None:
    """G10, D18, P15: it serves with a root that can't be written, no capabilities, and as a user nobody knows."""
    with engine.serving(image, options=(*engine.HARDENED, f"--user={user}")) as proxy:
        records = chat(proxy.url)
        assert [record["done"] for record in records] == [False] * (len(records) - 1) + [True]
        assert proxy.exec("ollama-openai-proxy", "probe", "/ready").returncode == 0
        proxy.signal("TERM")
        assert proxy.wait() == 0
        assert proxy.lines()[-1]["state"] == "stopped"


def test_several_workers_on_a_root_that_is_read_only(image: str) -> None:
    """P5: what the workers share needs no folder of the image, and no user that owns one."""
    with engine.serving(image, options=(*engine.HARDENED, "--user=12345:0"), WORKERS="2") as proxy:
        chat(proxy.url)
        figures = httpx.get(f"{proxy.url}/metrics", timeout=10).text
        assert 'ollama_proxy_exchanges_total{front="ollama",model="demo",outcome="ok",route="/api/chat"} 1.0' in figures


def test_l13_health_check_passes(image: str) -> None:
    """G9: the image's own check says healthy of a hardened container, and unhealthy of one that does not answer."""
    quick = (*engine.HARDENED, "--health-interval=1s", "--health-start-period=1s", "--health-retries=1")

    def health() -> str:
        return str(engine.inspect(proxy.id)["State"]["Health"]["Status"])

    with engine.serving(image, options=quick) as proxy:
        eventually(lambda: health() == "healthy", within=30)
        proxy.signal("STOP")
        eventually(lambda: health() == "unhealthy", within=30)
        proxy.signal("CONT")


def test_without_a_network(image: str) -> None:
    """G10: a start needs no network."""
    with engine.container(image, "serve", "--demo", options=("--network=none",)) as proxy:
        eventually(lambda: proxy.exec("ollama-openai-proxy", "probe", "/ready").returncode == 0, within=60)


def test_without_ipv6(prod: str, tmp_path: Path) -> None:
    """P9: on a host without IPv6 it serves IPv4, without being told."""
    profile = tmp_path / "no-ipv6.json"
    profile.write_text(json.dumps(NO_IPV6), encoding="utf-8")
    with engine.serving(prod, options=(f"--security-opt=seccomp={profile}",)) as proxy:
        assert httpx.get(f"{proxy.url}/api/version", timeout=10).status_code == 200
        assert proxy.exec("ollama-openai-proxy", "probe").returncode == 0


@pytest.mark.parametrize("init", [(), ("--init",)], ids=["first", "under init"])
@pytest.mark.parametrize("signal", ["TERM", "INT", "HUP"])
def test_l4_k1_signals(prod: str, init: tuple[str, ...], signal: str) -> None:
    """G11, P2: as process 1 and below an init, each signal that asks for an end gets one, with status 0."""
    with engine.serving(prod, options=(*engine.HARDENED, *init)) as proxy:
        proxy.signal(signal)
        assert proxy.wait(30) == 0
        assert [line["state"] for line in proxy.lines() if line["message"] == "lifecycle"][-2:] == [
            "draining",
            "stopped",
        ]


def test_signal_during_the_start(prod: str) -> None:
    """G11: who is stopped before it serves ends with 0, too, and promptly."""
    with engine.container(prod, "serve", "--demo", options=engine.HARDENED) as proxy:
        eventually(lambda: "starting" in proxy.logs(), within=30)
        proxy.signal("TERM")
        assert proxy.wait(30) == 0


def test_second_signal(prod: str) -> None:
    """G11: with streams running, a second signal ends the wait for them."""
    slow = ("serve", "--demo", "--rate=1")
    with engine.container(prod, *slow, options=engine.HARDENED, DRAIN_DELAY="0") as proxy:
        proxy.wait_ready()
        with httpx.stream("POST", f"{proxy.url}/api/chat", json=CHAT, timeout=30) as answer:
            lines = answer.iter_lines()
            next(lines)
            proxy.signal("TERM")
            proxy.signal("TERM")
            assert [json.loads(line) for line in lines][-1] == {"error": "server is shutting down"}
        assert proxy.wait(30) == 0


ZOMBIES = """
import os
processes = [name for name in os.listdir("/proc") if name.isdigit()]
states = [open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0] for name in processes]
print(states.count("Z"))
"""
# A command that is killed, and leaves a child behind that ends soon.
ORPHAN = "import os, signal, time; os.fork() and os.kill(os.getpid(), signal.SIGKILL); time.sleep(0.2)"


@pytest.mark.parametrize("init", [(), ("--init",)], ids=["first", "under init"])
def test_l4_no_zombies(prod: str, init: tuple[str, ...]) -> None:
    """G11, P2: what health checks and other commands leave behind is reaped, without an init, too."""
    with engine.serving(
        prod, options=(*engine.HARDENED, *init, "--health-interval=1s", "--health-timeout=1s")
    ) as proxy:
        for _ in range(5):
            assert proxy.exec("ollama-openai-proxy", "probe").returncode == 0
            assert proxy.exec("python", "-c", ORPHAN).returncode == 137
        eventually(lambda: proxy.python(ZOMBIES).strip() == "0", within=10)


def test_l3_memory_when_idle(prod: str) -> None:
    """G7: an idle container takes at most 60 MB, as the engine counts it, and starts where it may have 128."""
    backend = {"OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1"}
    with engine.container(prod, options=(*engine.HARDENED, "--memory=128m"), **backend) as proxy:
        proxy.wait_ready()
        used, _, limit = engine.docker("stats", "--no-stream", "--format={{.MemUsage}}", proxy.id).partition(" / ")
        assert limit == "128MiB"
        assert 20 < float(used.removesuffix("MiB")) * 1.048576 <= 60


def test_check_says_what_is_wrong(prod: str) -> None:
    """The command `check` runs in the image, and says that nobody answers for the backend."""
    done = engine.run("run", "--rm", "--env=OPENAI_API_BASE_URL=http://127.0.0.1:9/v1", prod, "check")
    assert done.returncode == 1
    assert "refused the connection" in done.stdout

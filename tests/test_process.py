"""The process that serves: what it prints, which backend it uses, how it ends."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.command import DEMO, NOWHERE, PROMPTLY, parsed, served
from support.processes import answers, eventually
from support.scripted import Upstream


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_k1_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends an idle proxy promptly with status 0 and no traceback, kept connections or not (K1)."""
    with served(tmp_path, *DEMO, DRAIN_DELAY="0") as proxy, httpx.Client(trust_env=False) as client:
        assert client.get(f"{proxy.url}/api/version").status_code == 200  # and the connection stays open
        proxy.process.send_signal(number)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        assert proxy.err == ""
        lines = [json.loads(line) for line in proxy.out.splitlines()]
    states = [line["state"] for line in lines if line["message"] == "lifecycle"]
    assert states == ["starting", "ready", "draining", "stopped"]
    assert lines[-1]["code"] == 0


UNSHARE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_process(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    """P2, G11: as process 1 of a container a signal ends it with status 0, and all it says are lines of JSON."""
    probe = [*UNSHARE, "true"]
    if not shutil.which(probe[0]) or subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603  # a tool of util-linux
        pytest.skip("a namespace of processes is not allowed here")
    with served(tmp_path, *DEMO, prefix=UNSHARE, WORKERS=workers, PATH=os.environ["PATH"]) as proxy:
        (first,) = children(proxy.process.pid)
        os.kill(first, number)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        assert proxy.err == ""
        assert parsed(proxy.out)[-1]["state"] == "stopped"


def children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_k7_parent_is_killed(tmp_path: Path) -> None:
    """K7: workers whose parent was killed drain and end by themselves."""
    with served(tmp_path, *DEMO, WORKERS="2", DRAIN_DELAY="0") as proxy:
        eventually(lambda: proxy.out.count('"ready"') == 2, within=PROMPTLY)
        workers = children(proxy.process.pid)
        proxy.process.kill()
        eventually(lambda: proxy.out.count('"stopped"') == 2, within=PROMPTLY)
        eventually(lambda: not any(map(runs, workers)), within=PROMPTLY)


def runs(process: int) -> bool:
    """Whether the process has not ended; who reaps it does not matter here."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_l16_any_locale(tmp_path: Path) -> None:
    """Emoji pass through a process that knows only ASCII, and its log stays readable (L16)."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    body = {"model": "demo", "messages": [{"role": "user", "content": "😀 é"}], "stream": False}
    with served(tmp_path, *DEMO, **ascii_only) as proxy, httpx.Client(base_url=proxy.url, trust_env=False) as client:
        reply = client.post("/api/chat", json=body).json()
        client.post("/api/show", json={"model": "modèle"})
        eventually(lambda: "mod\\u00e8le" in proxy.out, within=PROMPTLY)
        assert proxy.err == ""
    assert reply["message"]["content"].startswith("You said: 😀 é")


def test_first_look(tmp_path: Path) -> None:
    """`serve --try` needs no backend: it says so in one line, and then prints what can be copied and works."""
    with served(tmp_path, "serve", "--try", "--rate", "0") as proxy:
        shown = eventually(proxy.how_to_try, within=PROMPTLY).splitlines()
        assert shown[0] == "OPENAI_API_BASE_URL is not set: starting with the embedded demo backend"
        curl = next(line.strip() for line in shown if line.startswith("  curl "))
        python = [line.removeprefix("  ") for line in shown if line.startswith(("  import ", "  client", "  print"))]
        assert len(python) == 3
        assert_curl_works(curl)
        done = subprocess.run(  # noqa: S603  # what the proxy told us to run
            [sys.executable, "-c", "\n".join(python)], capture_output=True, text=True, timeout=60, check=False, env={}
        )
    assert done.stderr == ""
    assert done.stdout.startswith("You said: Hello\n")


def assert_curl_works(line: str) -> None:
    """Send what the line sends: `-d` makes a POST and calls it a form."""
    command, url, option, data = shlex.split(line)
    assert (command, option) == ("curl", "-d")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = httpx.post(url, content=data.encode(), headers=form, trust_env=False)
    parts = [json.loads(part) for part in reply.text.splitlines()]
    assert "".join(part["message"]["content"] for part in parts).startswith("You said: Hello")
    assert parts[-1]["done"] is True


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  # so that both answer
def test_first_look_on_all_addresses(tmp_path: Path, host: str) -> None:
    """Where the proxy listens on all addresses, the one that is printed can be asked, out of a container too (P9)."""
    with served(tmp_path, "serve", "--try", "--rate", "0", PROXY_HOST=host) as proxy:
        lines = eventually(proxy.how_to_try, within=PROMPTLY).splitlines()
        url = f"http://127.0.0.1:{proxy.url.rpartition(':')[2]}"
        assert f"Listening on {url}. Try it:" in lines
        assert answers(url)


async def test_first_look_with_backend(tmp_path: Path) -> None:
    """`serve --try` with a backend uses it: what is printed names one of its models, the demo is not mentioned."""
    async with Upstream() as upstream:
        upstream.models = [{"id": "text-embedding-3"}, {"id": "gpt-x"}]

        def look() -> str:
            with served(tmp_path, "serve", "--try", OPENAI_API_BASE_URL=upstream.url) as proxy:
                return eventually(proxy.how_to_try, within=PROMPTLY)

        shown = await asyncio.to_thread(look)
    assert '"model": "gpt-x:latest"' in shown
    assert "demo" not in shown


def test_demo_ignores_the_backend(tmp_path: Path) -> None:
    """`serve --demo` talks to nobody else, whatever backend is set."""
    with served(tmp_path, *DEMO, **NOWHERE, OPENAI_API_KEY="sk-canary") as proxy:
        models = httpx.get(f"{proxy.url}/api/tags", trust_env=False).json()["models"]
        assert "demo:latest" in [model["name"] for model in models]
        assert "canary" not in proxy.out + proxy.err


def test_first_look_for_machines(tmp_path: Path) -> None:
    """G13: who asks for JSON gets nothing else, from a first look neither."""
    with served(tmp_path, "serve", "--try", "--rate", "0", LOG_FORMAT="json", DRAIN_DELAY="0") as proxy:
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        assert [line["state"] for line in parsed(proxy.out)] == ["starting", "ready", "draining", "stopped"]


@pytest.mark.parametrize("closed", ["0<&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_k11_closed_descriptors(tmp_path: Path, closed: str, workers: str) -> None:
    """K11: a process that was started with its standard descriptors closed serves, and ends in order."""
    shell = ("/bin/sh", "-c", f'exec "$@" {closed}', "sh")
    with served(tmp_path, *DEMO, prefix=shell, DRAIN_DELAY="0", WORKERS=workers) as proxy:
        assert answers(f"{proxy.url}/api/version")
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(timeout=PROMPTLY) == 0


def test_a18_upgrades_are_no_news(tmp_path: Path) -> None:
    """A18: a client that asks for a WebSocket is refused, and can't fill the log with warnings."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "eA=="}
    with served(tmp_path, *DEMO) as proxy:
        assert httpx.get(f"{proxy.url}/api/version", headers=upgrade, trust_env=False).status_code == 400
        assert httpx.get(f"{proxy.url}/api/version", trust_env=False).status_code == 200
        eventually(lambda: "/api/version" in proxy.out, within=PROMPTLY)
        assert {line["level"] for line in parsed(proxy.out)} == {"INFO"}

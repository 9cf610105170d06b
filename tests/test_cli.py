"""The command, run as its users run it: arguments and environment in; lines, signals and exit status out."""

import asyncio
import json
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.processes import answers, eventually, free_port
from support.replies import HI
from support.scripted import Upstream

COMMAND = (sys.executable, "-m", "ollama_openai_proxy")
DEMO = ("serve", "--demo", "--rate", "0")
PROMPTLY = 10.0  # far below SHUTDOWN_TIMEOUT, far above what a loaded machine needs
NOWHERE = {"OPENAI_API_BASE_URL": "http://127.0.0.1:1/v1"}


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, with these settings and no other."""
    return subprocess.run(  # noqa: S603  # our own command
        [*COMMAND, *arguments], cwd=folder, env=settings, capture_output=True, text=True, timeout=60, check=False
    )


class Served:
    """A `serve` that runs. What it prints goes to files, which are never full as a pipe may be."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self._folder = folder
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self._folder / "err").read_text()

    def how_to_try(self) -> str | None:
        """What was printed, once all of it is there."""
        return self.out if "print(" in self.out else None

    def up(self) -> bool:
        assert self.process.poll() is None, self.err
        return answers(f"{self.url}/live")


@contextmanager
def served(folder: Path, *arguments: str, **settings: str) -> Iterator[Served]:
    """Run `serve` until the block ends; the block begins when it answers."""
    port = free_port()
    environment = {"PROXY_PORT": str(port), **settings}
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=environment, stdout=out, stderr=err) as process,  # noqa: S603  # our own command
    ):
        running = Served(folder, process, port)
        try:
            eventually(running.up, within=60)
            yield running
        finally:
            process.kill()


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def test_help(tmp_path: Path) -> None:
    """`--help` names the three commands."""
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert {"serve", "check", "probe"} <= {*done.stdout.split()}
    assert done.stderr == ""


def test_no_backend(tmp_path: Path) -> None:
    """Without a backend `serve` ends at once, and says in one line what to set."""
    done = run(tmp_path, "serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert "OPENAI_API_BASE_URL" in one_line(done.stderr)
    assert "--demo" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["serve", "--demo"], {"PROXY_PORT": "canary"}),
        (["serve"], {"OPENAI_API_BASE_URL": "https://u:canary@backend.example"}),
        (["serve"], {"OPENAI_API_BASE_URL": "https://backend.example", "OPENAI_API_KEY": "canary 1"}),
        (["check"], {"LOG_LEVEL": "canary"}),
        (["probe"], {"OLLAMA_HOST": ""}),
    ],
)
def test_bad_setting(tmp_path: Path, arguments: list[str], settings: dict[str, str]) -> None:
    """A setting that can't be used ends any command with status 2 and one line that names it, not its value (K9)."""
    done = run(tmp_path, *arguments, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert [*settings][-1] in one_line(done.stderr)
    assert "canary" not in done.stderr


def test_taken_port(tmp_path: Path) -> None:
    """A port that is taken ends `serve` with status 1 and one line (K9)."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, *DEMO, PROXY_PORT=str(port))
    assert done.returncode == 1
    assert one_line(done.stderr) == f"ollama-openai-proxy: can't listen on 127.0.0.1:{port}: Address already in use"
    assert done.stdout == ""


def test_unknown_address(tmp_path: Path) -> None:
    """An address that is not this machine's ends `serve` with status 1 and one line (K9)."""
    done = run(tmp_path, *DEMO, PROXY_HOST="no-such-host.invalid", PROXY_PORT="0")
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("ollama-openai-proxy: can't listen on no-such-host.invalid:0: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends an idle proxy promptly with status 0 and no traceback, kept connections or not (K1)."""
    with served(tmp_path, *DEMO) as proxy, httpx.Client(trust_env=False) as client:
        assert client.get(f"{proxy.url}/api/version").status_code == 200  # and the connection stays open
        proxy.process.send_signal(number)
        assert proxy.process.wait(timeout=PROMPTLY) == 0
        assert proxy.err == ""
        lines = [json.loads(line) for line in proxy.out.splitlines()]
    assert any(line["message"].startswith("listening on 127.0.0.1:") for line in lines)
    assert lines[-1]["message"] == "stopping"


def test_any_locale(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])  # noqa: S104  # so that both answer
def test_first_look_on_all_addresses(tmp_path: Path, host: str, shown: str) -> None:
    """Where the proxy listens on all addresses, the one that is printed can be asked."""
    with served(tmp_path, "serve", "--try", "--rate", "0", PROXY_HOST=host) as proxy:
        lines = eventually(proxy.how_to_try, within=PROMPTLY).splitlines()
        url = f"http://{shown}:{proxy.url.rpartition(':')[2]}"
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


def test_probe(tmp_path: Path) -> None:
    """`probe` tells by its status alone whether the proxy answers."""
    with served(tmp_path, *DEMO) as proxy:
        port = proxy.url.rpartition(":")[2]
        running = run(tmp_path, "probe", PROXY_PORT=port)
    stopped = run(tmp_path, "probe", PROXY_PORT=port)
    assert (running.returncode, running.stdout, running.stderr) == (0, "", "")
    assert (stopped.returncode, stopped.stderr) == (1, "")


async def test_check(tmp_path: Path) -> None:
    """`check` prints a line for each step, and its status is that of the last; with `--model` it asks that model."""
    async with Upstream() as upstream:
        upstream.script("gpt-x", HI)
        good = await asyncio.to_thread(
            run, tmp_path, "check", "--model", "gpt-x", OPENAI_API_BASE_URL=upstream.url, OPENAI_API_KEY="sk-1"
        )
    bad = await asyncio.to_thread(run, tmp_path, "check", **NOWHERE)
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[0] for line in good.stdout.splitlines()] == ["ok"] * 5
    assert good.stdout.endswith("streaming works (gpt-x)\n")
    assert (bad.returncode, bad.stderr) == (1, "")
    assert bad.stdout.splitlines()[-1] == "FAIL  upstream: the upstream refused the connection"

"""A real llama.cpp server, and the proxy in front of it, each once for the whole run."""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ollama
import pytest

from support.processes import running, running_proxy

FOLDER = Path(__file__).parent


@contextmanager
def running_backend(folder: Path, template: str) -> Iterator[str]:
    command = [sys.executable, str(FOLDER / "server.py"), str(FOLDER / template)]

    def url_in(log: str) -> str | None:
        match = re.search(r"^listening on (\S+)\n", log, re.MULTILINE)
        return match and match[1]

    with ExitStack() as stack:
        try:
            url = stack.enter_context(running(command, folder, {}, url_in))
        except AssertionError:  # it was seen to hang as it started, which is no fault of the proxy's; not twice
            url = stack.enter_context(running(command, folder, {}, url_in))
        yield url


@contextmanager
def connected(folder: Path, backend: str) -> Iterator[ollama.Client]:
    settings = {"OPENAI_API_BASE_URL": f"{backend}/v1", "OPENAI_API_KEY": "none"}
    with running_proxy(folder, **settings) as url, ollama.Client(url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a backend whose model can call tools."""
    with running_backend(tmp_path_factory.mktemp("backend"), "tools.jinja") as url:
        yield url


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[ollama.Client]:
    with connected(tmp_path_factory.mktemp("proxy"), backend) as client:
        yield client


@pytest.fixture(scope="session")
def thinking_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ollama.Client]:
    """The same model, made to think before it answers."""
    folder = tmp_path_factory.mktemp("thinking")
    with running_backend(folder, "thinking.jinja") as backend, connected(folder, backend) as client:
        yield client

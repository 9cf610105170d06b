"""The real command with its embedded backend, once for the whole run, and what talks to it."""

from collections.abc import AsyncIterator, Iterator

import httpx
import ollama
import pytest

from contract.running import Proxy, serving


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy in front of the embedded backend (docs/demo.md), which sends its words without pause."""
    with serving(tmp_path_factory.mktemp("proxy"), "--demo", "--rate", "0") as running:
        yield running


@pytest.fixture
def http(proxy: Proxy) -> Iterator[httpx.Client]:
    """For requests that are written out by hand. It adds no header of its own that could matter."""
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def client(proxy: Proxy) -> Iterator[ollama.Client]:
    """The official SDK."""
    with ollama.Client(proxy.url, trust_env=False, timeout=30) as sdk:
        yield sdk


@pytest.fixture
async def async_client(proxy: Proxy) -> AsyncIterator[ollama.AsyncClient]:
    """The official SDK, for asyncio."""
    async with ollama.AsyncClient(proxy.url, trust_env=False, timeout=30) as sdk:
        yield sdk

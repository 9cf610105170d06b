"""Requests that can't be served: each is told from the start, in Ollama's words, and goes no further.

The words are Ollama's own (contract 1.7, 2.6, 3 and 4): clients and their users match on them. The table is in
`malformed/`, by kind of route.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contract.malformed import embedding, generation, managing, showing
from contract.malformed.row import CANARY, LIMIT, PROMPT, Row
from contract.running import Proxy, serving
from support.proxy import HELLO
from support.rawclient import RawClient, Response
from support.replies import HI
from support.scripted import Upstream
from support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk-canary-key-4711"
TOO_LARGE = "request body too large"
OUTCOMES = {400: {"bad_request"}, 404: {"not_found"}, 413: {"too_large"}, 500: {"bad_request"}}
ROWS = [*generation.ROWS, *embedding.ROWS, *showing.ROWS, *managing.ROWS]


@dataclass
class Setting:
    """`left`: the connection that the row before has left open."""

    proxy: Proxy
    upstream: Upstream
    http: httpx.AsyncClient
    left: RawClient | None = None

    async def send(self, row: Row, **headers: str) -> httpx.Response:
        return await self.http.request(row.method, row.path, content=row.data, headers=headers)

    @asynccontextmanager
    async def connection(self, row: Row) -> AsyncIterator[RawClient]:
        """Yield the connection that is left, or a new one; it is left for the next if all is well."""
        client, self.left = self.left or await RawClient(self.proxy.url).__aenter__(), None
        with ExitStack() as stack:
            stack.callback(client.close)
            yield client
            if not row.closes:
                stack.pop_all()
                self.left = client

    def logged(self) -> list[dict[str, Any]]:
        """The lines of the exchanges that were given an id by their row."""
        return [line for line in self.proxy.exchanges() if line["request_id"].startswith("row-")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    """A proxy that takes small bodies only, in front of a backend that counts what arrives."""
    folder = tmp_path_factory.mktemp("bad-input")
    async with Upstream() as upstream:
        upstream.models = [{"id": "m"}, {"id": "m-embed"}]
        given = {"OPENAI_API_BASE_URL": upstream.url, "OPENAI_API_KEY": KEY, "MAX_BODY_SIZE": str(LIMIT)}
        with serving(folder, **given) as proxy:
            async with httpx.AsyncClient(base_url=proxy.url, trust_env=False, timeout=30) as http:
                await eventually(lambda: upstream.requests)
                assert len((await http.get("/api/tags")).json()["models"]) == 2
                setting = Setting(proxy, upstream, http)
                yield setting
                if setting.left:
                    setting.left.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
async def test_b1_b2_b3_b4_b6_b8_b11_b12_b13_b14_t20_refused(setting: Setting, row: Row) -> None:
    """The status and the words are Ollama's, as JSON; the backend is not asked, and the next row is sent after it.

    Nothing that the words do not ask for is repeated (contract 1.7, 1.9).
    """
    asked = len(setting.upstream.posts)
    async with setting.connection(row) as client:
        await client.ask(row.method, row.path, row.data)
        response = await client.response()
        assert (response.status, response.json) == (row.status, {"error": row.error})
        assert response.all("content-type") == [row.type]
        assert _told(response, row) == set()
        if row.closes:
            assert await client.read_to_end() == b""
    assert len(setting.upstream.posts) == asked


def _told(response: Response, row: Row) -> set[str]:
    """The canaries in an answer that its words have not."""
    whole = f"{response.headers} {response.body.decode()}"
    return {canary for canary in (PROMPT, CANARY) if canary in whole and canary not in row.error}


async def test_table() -> None:
    """No row stands twice; none asks for a prompt to be repeated, and no error could be read as JSON (10.1)."""
    assert [key for key, count in Counter((row.method, row.path, row.data) for row in ROWS).items() if count > 1] == []
    for row in ROWS:
        assert PROMPT not in row.error
        with pytest.raises(json.JSONDecodeError):
            json.loads(row.error)


async def test_a14_too_large_in_chunks(setting: Setting) -> None:
    """A body whose length nobody told is measured as it comes (A14)."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1000 + 1):
            yield b" " * 1000

    response = await setting.http.post("/api/chat", content=parts())
    assert (response.status_code, response.json()) == (413, {"error": TOO_LARGE})


async def test_a14_as_large_as_allowed(setting: Setting) -> None:
    """A body of just the size that is allowed is read."""
    body = b'{"model": "nope"}'
    response = await setting.http.post("/api/show", content=b" " * (LIMIT - len(body)) + body)
    assert response.status_code == 404


async def test_served(setting: Setting) -> None:
    """What is right does reach the backend, with the key that is ours and not the client's."""
    setting.upstream.script("m", HI)
    asked = len(setting.upstream.posts)
    headers = {"Authorization": "Bearer theirs"}
    body = {"model": "m", "messages": HELLO, "stream": True}
    response = await setting.http.post("/api/chat", json=body, headers=headers)
    assert response.status_code == 200
    (post,) = setting.upstream.posts[asked:]
    assert post.headers["authorization"] == f"Bearer {KEY}"
    assert "theirs" not in str(post.headers)


async def test_m3_m4_log(setting: Setting) -> None:
    """Each exchange is one line of JSON with an outcome from the list, and no line holds prompt or key (M3, M4)."""
    rows = ROWS[::7]
    for number, row in enumerate(rows):
        await setting.send(row, **{"X-Request-Id": f"row-{number}"})
    await eventually(lambda: len(setting.logged()) >= len(rows))
    lines = setting.logged()
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        (row.method, row.route, row.status) for row in rows
    ]
    assert all(line["outcome"] in OUTCOMES[line["status"]] for line in lines)
    assert [line["request_id"] for line in lines] == [f"row-{number}" for number in range(len(rows))]
    assert PROMPT not in setting.proxy.output
    assert CANARY not in setting.proxy.output
    assert KEY not in setting.proxy.output
    assert setting.proxy.errors == ""

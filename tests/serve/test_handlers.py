"""What all handlers share: reading a body, finding a model, telling the record of both."""

from __future__ import annotations

import logging

import pytest

from ollama_openai_proxy.serve.handlers import json_answer
from support.proxy import Proxy, chat, proxied, running_proxy
from support.replies import HI
from support.scripted import Upstream
from support.waiting import eventually

EXCHANGES = "ollama_openai_proxy.exchange"


async def fact(proxy: Proxy, caplog: pytest.LogCaptureFixture, path: str, body: object) -> dict[str, object]:
    """Return what the line of one exchange has."""
    caplog.set_level(logging.INFO, EXCHANGES)
    caplog.clear()
    await proxy.ask("POST", path, body)
    await eventually(lambda: [record for record in caplog.records if record.name == EXCHANGES])
    (record,) = [record for record in caplog.records if record.name == EXCHANGES]
    return dict(record.__dict__)


def test_json_answer() -> None:
    """Contract 1.3: a single JSON answer has a charset in its type, its length, and no newline at its end."""
    response = json_answer(b"{}")
    assert (response.status_code, response.body) == (200, b"{}")
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["content-length"] == "2"


async def test_headers_of_an_answer() -> None:
    """Contract 1.3: a date, a type and a length; no server, nothing compressed, whatever the client could take."""
    async with proxied() as proxy:
        response = await proxy.ask("GET", "/api/tags", None, "Accept-Encoding: gzip, br", "Accept: text/html")
        assert sorted(name for name, _ in response.headers) == [
            "content-length",
            "content-type",
            "date",
            "x-request-id",
        ]
        assert response.all("content-type") == ["application/json; charset=utf-8"]


async def test_headers_that_clients_send() -> None:
    """Contract 1.3: credentials and the headers of other APIs are taken and ignored."""
    headers = ("Authorization: Bearer x", "X-Api-Key: x", "Anthropic-Version: 1", "OpenAI-Beta: x", "X-Stainless-Os: x")
    async with proxied() as proxy:
        assert (await proxy.ask("GET", "/api/tags", None, *headers)).status == 200


async def test_body_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    """The record has the size of the body, also when it is no JSON."""
    async with proxied() as proxy:
        assert (await fact(proxy, caplog, "/api/show", b"not json"))["in_bytes"] == 8


async def test_model_that_is_found(caplog: pytest.LogCaptureFixture) -> None:
    """The line names the model as it was asked for."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert (await fact(proxy, caplog, "/api/chat", chat("M:latest")))["model"] == "M:latest"


@pytest.mark.parametrize(("name", "status"), [("nope", 404), ("a b", 400), ("m@sha256", 400)])
async def test_model_that_is_not_found(name: str, status: int) -> None:
    """Contract 2.6: a name outside the grammar is invalid, one within it is not found; neither reaches the backend."""
    async with proxied() as proxy:
        assert (await proxy.chat(name)).status == status
        assert proxy.upstream.posts == []


@pytest.mark.parametrize(
    "name", ["@cf/meta/llama", "a b", "accounts/x/models/y/z", "z.ai/glm+4", "org/model:free", "Ä"]
)
async def test_names_of_the_backend_come_first(name: str) -> None:
    """Contract 2.1: an id that the backend has is found to the letter, whatever Ollama's grammar says of it."""
    async with Upstream() as upstream:
        upstream.models = [{"id": name}]
        upstream.script(name, HI)
        async with running_proxy(upstream.url) as url:
            response = await Proxy(url, upstream).chat(name)
            assert {line["model"] for line in response.lines} == {name}
            assert upstream.posts[0].json["model"] == name


async def test_ids_are_echoed() -> None:
    """Contract 2.4: `model` in an answer is what the client sent, to the letter."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert {line["model"] for line in (await proxy.chat(" M:Latest")).lines} == {" M:Latest"}

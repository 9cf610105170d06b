"""What docs/compatibility.md claims, asked of the proxy in front of a backend that keeps what it was sent."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from ollama_openai_proxy.translate.ollama import management, wire
from ollama_openai_proxy.translate.ollama.decoding import Wire
from ollama_openai_proxy.translate.ollama.support_fields import FIELDS, OPTIONS
from support.proxy import proxied
from support.replies import body, completion
from support.scripts import ROOT, script

VECTOR = {"data": [{"index": 0, "embedding": [0.6, 0.8]}]}


class Asked(NamedTuple):
    """A route that asks the backend: the least that it can be asked, and what the backend answers."""

    path: str
    least: dict[str, Any]
    answer: dict[str, Any]


ROUTES: dict[type[Wire], Asked] = {
    wire.ChatRequest: Asked("/api/chat", {"messages": [{"role": "user", "content": "Hi"}]}, completion()),
    wire.GenerateRequest: Asked("/api/generate", {"prompt": "Hi"}, completion()),
    wire.EmbedRequest: Asked("/api/embed", {"input": "Hi"}, VECTOR),
    wire.EmbeddingsRequest: Asked("/api/embeddings", {"prompt": "Hi"}, VECTOR),
}
# A value of each field that the backend is not to hear of.
UNHEARD = {"keep_alive": "7m", "shift": True, "dimensions": 1, "options": {"seed": 5, "temperature": 0.5}}
# Fields that the proxy answers by asking for something else than it would without them.
REPHRASING = {"template", "context", "_debug_render_only"}
FORWARDED = {"stream": False, "logprobs": True, "top_logprobs": 3}
SENT_OPTIONS = {
    "temperature": 0.25,
    "top_p": 0.5,
    "presence_penalty": 0.75,
    "frequency_penalty": 1.25,
    "seed": 7,
    "stop": ["a", "b"],
}


async def sent(kind: type[Wire], **fields: Any) -> dict[str, Any]:
    """Return what the backend is asked for a request with these fields."""
    route = ROUTES[kind]
    async with proxied() as proxy:
        proxy.upstream.script("m", body(route.answer))
        response = await proxy.ask("POST", route.path, {"model": "m", **route.least, "stream": False, **fields})
        assert response.status == 200, response.body
        (asked,) = proxy.upstream.posts
        found: dict[str, Any] = asked.json
        return found


def fields(*supports: str) -> list[tuple[type[Wire], str]]:
    """The fields of requests that ask the backend, of these classes."""
    return [
        (kind, name)
        for kind in ROUTES
        for name, row in FIELDS[kind].items()
        if row.support in supports and name not in REPHRASING
    ]


@pytest.mark.parametrize(("kind", "name"), fields("ignored", "answered"), ids=str)
async def test_what_is_ignored_or_answered_is_not_sent(kind: type[Wire], name: str) -> None:
    """The backend is asked the same, to the letter, with the field and without it."""
    assert await sent(kind, **{name: UNHEARD[name]}) == await sent(kind)


@pytest.mark.parametrize("name", [name for name, row in OPTIONS.items() if row.support == "ignored"])
async def test_ignored_options_are_not_sent(name: str) -> None:
    """The backend is asked the same with the option and without it; so with one that nobody knows (contract 4)."""
    value = True if name == "use_mmap" else 5
    assert await sent(wire.ChatRequest, options={name: value, "mirostat": "x"}) == await sent(wire.ChatRequest)


async def test_unknown_fields_are_not_sent() -> None:
    """Contract 1.7: what is not listed is ignored, on all routes."""
    for kind in ROUTES:
        assert await sent(kind, made_up={"a": 1}, tool_choice="none") == await sent(kind)


@pytest.mark.parametrize(("kind", "name"), fields("forwarded"), ids=str)
async def test_what_is_forwarded_arrives(kind: type[Wire], name: str) -> None:
    """The value is there as it was given; texts to embed are the `input`."""
    if name in ("input", "prompt"):
        assert (await sent(kind, **{name: "Hi"}))["input"] in ("Hi", ["Hi"])
        return
    asked = await sent(kind, **{"logprobs": True, name: FORWARDED[name]})
    assert asked.get(name, False) == FORWARDED[name]


@pytest.mark.parametrize("name", [name for name, row in OPTIONS.items() if row.support == "forwarded"])
async def test_forwarded_options_arrive(name: str) -> None:
    """An option that OpenAI knows is there under its name."""
    assert (await sent(wire.ChatRequest, options={name: SENT_OPTIONS[name]}))[name] == SENT_OPTIONS[name]


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
PARAMETERS = {"type": "object", "properties": {}, "$comment": "kept"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}
TRANSLATED: list[tuple[type[Wire], dict[str, Any], dict[str, Any]]] = [
    (wire.ChatRequest, {"model": "M:latest"}, {"model": "m"}),
    (wire.ChatRequest, {"format": "json"}, {"response_format": {"type": "json_object"}}),
    (
        wire.ChatRequest,
        {"format": SCHEMA},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "schema", "schema": SCHEMA}}},
    ),
    (wire.ChatRequest, {"options": {"num_predict": 9}}, {"max_tokens": 9}),
    (wire.ChatRequest, {"think": True}, {"reasoning_effort": "medium"}),
    (wire.ChatRequest, {"tools": [TOOL]}, {"tools": [TOOL]}),
    (
        wire.GenerateRequest,
        {"system": "Be brief"},
        {"messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]},
    ),
]


@pytest.mark.parametrize(("kind", "given", "expected"), TRANSLATED, ids=[str(given)[:40] for _, given, _ in TRANSLATED])
async def test_what_is_translated_arrives(kind: type[Wire], given: dict[str, Any], expected: dict[str, Any]) -> None:
    """The value is there in OpenAI's words (contract 11.1)."""
    asked = await sent(kind, **given)
    assert {name: asked[name] for name in expected} == expected


REFUSED = [name for name, row in FIELDS[management.CreateRequest].items() if row.support == "refused"]


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_fields_are_refused(name: str) -> None:
    """What can't be done of a creation fails before anything is done of it, and the backend hears nothing."""
    value: Any = {"a": f"sha256:{'0' * 64}"} if name.endswith("files") or name == "adapters" else "q4_0"
    async with proxied() as proxy:
        given = {"model": "new", "from": "m", "stream": False, name: value}
        response = await proxy.ask("POST", "/api/create", given)
        assert (response.status, list(response.json)) == (400, ["error"])
        assert (await proxy.ask("POST", "/api/show", {"model": "new"})).status == 404
        assert proxy.upstream.posts == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/push"),
        ("POST", f"/api/blobs/sha256:{'0' * 64}"),
        ("HEAD", f"/api/blobs/sha256:{'0' * 64}"),
        ("POST", "/api/me"),
        ("POST", "/api/signout"),
        ("DELETE", "/api/user/keys/a"),
        ("POST", "/api/experimental/web_search"),
        ("POST", "/api/experimental/web_fetch"),
    ],
)
async def test_refused_routes_are_refused(method: str, path: str) -> None:
    """What the table calls refused fails, whatever it is asked, and the backend hears nothing."""
    async with proxied() as proxy:
        response = await proxy.ask(method, path, {"model": "m", "query": "a", "url": "a", "stream": False})
        assert response.status >= 400
        assert proxy.upstream.posts == []


def test_page_is_current() -> None:
    """docs/compatibility.md is what the tables make."""
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    assert script("generate").compatibility() == page, "run scripts/format"


def test_page_has_every_field() -> None:
    """Each row of the tables is in the page, each heading once."""
    page = script("generate").compatibility()
    for kind, rows in FIELDS.items():
        for name, row in rows.items():
            assert f"| `{name}` | {row.support} | {row.note} |" in page, (kind, name)
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## Routes", "## Requests", "## Answers", "## Backends"]

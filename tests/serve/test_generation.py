"""A generation, end to end: who refuses what and in which order, and what the backend is asked (contract 5.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.proxy import Proxy, proxied, running_proxy
from support.rawclient import Response
from support.replies import HI, body, completion, streamed, text
from support.scripted import Upstream

PNG = "iVBORw0KGgo="
NO_INSERT = "registry.ollama.ai/library/{}:latest does not support insert"
RAW = "raw mode does not support template, system, or context"
# What the operator tells of these models.
TOLD = """
[[model]]
match = "vectors"
capabilities = ["embedding"]

[[model]]
match = "painter"
capabilities = ["image"]

[[model]]
match = "words"
capabilities = ["completion"]

[[model]]
match = "code"
capabilities = ["completion", "insert"]
"""


@asynccontextmanager
async def with_models(folder: Path, **settings: Any) -> AsyncIterator[Proxy]:
    (folder / "models.toml").write_text(TOLD, encoding="utf-8")
    async with Upstream() as upstream:
        upstream.models = [{"id": name} for name in ("m", "vectors", "painter", "words", "code")]
        async with running_proxy(upstream.url, models_file=folder / "models.toml", **settings) as url:
            yield Proxy(url, upstream)


async def generate(proxy: Proxy, **fields: object) -> Response:
    return await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "p", **fields})


# What comes first in contract 5.7 is told, though all that follows is wrong, too.
WRONG = {"options": {"seed": "x"}, "think": True, "suffix": "b", "raw": True, "system": "s", "model": "vectors"}
ORDER: list[tuple[str, dict[str, Any], int, str]] = [
    (
        "1 body",
        {**WRONG, "prompt": 5},
        400,
        "json: cannot unmarshal number into Go struct field GenerateRequest.prompt",
    ),
    ("1 image", {**WRONG, "images": ["AAA"]}, 400, "illegal base64 data at input byte 0"),
    ("1 think", {**WRONG, "think": "x"}, 400, "invalid think value"),
    ("1 keep_alive", {**WRONG, "keep_alive": "1d"}, 400, "time: unknown unit"),
    (
        "2 top_logprobs",
        {**WRONG, "model": "a/b/c/d/e", "top_logprobs": 21},
        400,
        "top_logprobs must be between 0 and 20",
    ),
    ("3 name", {**WRONG, "model": "a/b/c/d/e"}, 400, "invalid model name"),
    ("4 model", {**WRONG, "model": "nobody"}, 404, "model 'nobody' not found"),
    ("6 images", {**WRONG, "model": "painter"}, 400, "image generation models are not currently supported"),
    ("7 raw and system", {**WRONG}, 400, RAW),
    ("7 raw and template", {**WRONG, "system": "", "template": "x"}, 400, RAW),
    ("7 raw and context", {**WRONG, "system": "", "context": [1]}, 400, RAW),
    ("7 before a load", {**WRONG, "prompt": ""}, 400, RAW),
    ("8 think", {**WRONG, "raw": False}, 400, '"vectors" does not support thinking'),
    ("9 generate", {**WRONG, "raw": False, "think": None}, 400, '"vectors" does not support generate'),
    ("9 insert", {**WRONG, "raw": False, "think": None, "model": "words"}, 400, NO_INSERT.format("words")),
    ("9 insert, raw", {**WRONG, "system": "", "think": None, "model": "words"}, 400, NO_INSERT.format("words")),
    ("9 before a load", {"model": "words", "prompt": "", "suffix": "b"}, 400, NO_INSERT.format("words")),
    ("10 options", {"options": {"seed": "x"}, "template": "{{"}, 500, 'option "seed" must be of type integer'),
    ("10 before a load", {"options": {"seed": "x"}, "prompt": ""}, 500, 'option "seed" must be of type integer'),
    ("12 template", {"template": "{{ .Prompt"}, 400, "template error: unclosed action"),
    ("12 context", {"context": [0x4F435801, 1]}, 400, "invalid context"),
    ("12 image", {"images": ["AAAA"]}, 400, "Failed to load image or audio file"),
    ("12 raw image", {"images": [PNG], "raw": True}, 400, "images are not supported with raw"),
]


@pytest.mark.parametrize(("asked", "status", "error"), [row[1:] for row in ORDER], ids=[row[0] for row in ORDER])
async def test_first_refusal_wins(asked: dict[str, Any], status: int, error: str, tmp_path: Path) -> None:
    """Contract 5.7: the order of the checks; nothing reaches the backend."""
    async with with_models(tmp_path) as proxy:
        response = await generate(proxy, **asked)
        assert (response.status, list(response.json)) == (status, ["error"])
        assert response.json["error"].startswith(error)
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("asked", [{}, {"prompt": ""}, {"prompt": None}])
async def test_unload_comes_before_all_that(asked: dict[str, Any], tmp_path: Path) -> None:
    """Contract 5.7, step 5: an unload is answered whatever else the request says."""
    async with with_models(tmp_path) as proxy:
        response = await generate(proxy, **{**WRONG, "think": None, "prompt": "", **asked}, keep_alive=0)
        assert (response.status, response.json["done_reason"]) == (200, "unload")
        assert "context" not in response.json
        assert proxy.upstream.posts == []


@pytest.mark.parametrize(
    "ignored", [{"suffix": "b"}, {"images": [PNG]}, {"system": "s"}, {"template": "{{"}, {"raw": True}]
)
async def test_load_ignores_the_rest(ignored: dict[str, Any]) -> None:
    """Contract 5.7, step 11, R15: an empty prompt loads, even with a suffix, images or a system prompt."""
    async with proxied() as proxy:
        response = await generate(proxy, prompt="", **ignored)
        assert (response.status, response.json["done_reason"]) == (200, "load")
        assert "context" not in response.json
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("stream", [True, False])
async def test_context_continues_the_conversation(stream: bool) -> None:
    """Contract 5.7: a client that sends the context back goes on with the conversation, as often as it likes."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI if stream else body(completion()))
        first = last_of(await generate(proxy, system="S", stream=stream), stream=stream)
        assert all(type(number) is int for number in first["context"])
        second = last_of(await generate(proxy, prompt="q", stream=stream, context=first["context"]), stream=stream)
        await generate(proxy, prompt="r", system="T", stream=stream, context=second["context"])
        turns = [[message["content"] for message in post.json["messages"]] for post in proxy.upstream.posts]
        assert turns == [["S", "p"], ["S", "p", "Hi", "q"], ["T", "p", "Hi", "q", "Hi", "r"]]


def last_of(response: Response, *, stream: bool) -> dict[str, Any]:
    last: dict[str, Any] = response.lines[-1] if stream else response.json
    return last


async def test_foreign_context_is_ignored() -> None:
    """Contract 5.7: the tokens of a real server mean nothing here."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert (await generate(proxy, context=[151644, 872, 198])).status == 200
        assert proxy.upstream.posts[0].json["messages"] == [{"role": "user", "content": "p"}]


async def test_chats_have_no_context() -> None:
    """Contract 5.8: `context` is a generation's alone."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert not any("context" in line for line in (await proxy.chat()).lines)


async def test_broken_stream_has_no_context() -> None:
    """Contract 1.10: a stream that was cut ends in an error, and in nothing that looks finished."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("Hi")))
        lines = (await generate(proxy)).lines
        assert [list(line)[-1] for line in lines] == ["done", "error"]


async def test_what_a_generation_ignores() -> None:
    """Contract 5.7: sizes of images are no part of a text; `truncate` and `shift` are a chat's, too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        ignored = {"width": 8, "height": 8, "steps": 3, "truncate": True, "shift": True, "keep_alive": "5m"}
        assert (await generate(proxy, **ignored)).status == 200
        assert set(proxy.upstream.posts[0].json) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize(
    ("path", "asked", "answer", "info"),
    [
        (
            "/api/generate",
            {"prompt": "p", "system": "S"},
            {"response": ""},
            {"rendered_template": "system: S\nuser: p\n"},
        ),
        (
            "/api/generate",
            {"prompt": "p", "template": "<{{ .Prompt }}>"},
            {"response": ""},
            {"rendered_template": "<p>"},
        ),
        ("/api/generate", {"prompt": "p", "raw": True}, {"response": ""}, {"rendered_template": "p"}),
        (
            "/api/chat",
            {"messages": [{"role": "user", "content": "p", "images": [PNG]}]},
            {"message": {"role": "", "content": ""}},
            {"rendered_template": "user: p[img-0]\n", "image_count": 1},
        ),
    ],
)
async def test_debug_render_only(
    path: str, asked: dict[str, Any], answer: dict[str, Any], info: dict[str, Any]
) -> None:
    """Contract 3.11: one object that tells what would be asked; nobody is asked, the model counts as loaded."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, {"model": "m", "_debug_render_only": True, **asked})
        expected = {
            "model": "m",
            "created_at": response.json["created_at"],
            **answer,
            "done": False,
            "_debug_info": info,
        }
        assert list(response.json.items()) == list(expected.items())
        assert proxy.upstream.posts == []
        assert [model["name"] for model in (await proxy.ask("GET", "/api/ps")).json["models"]] == ["m:latest"]


async def test_debug_render_only_is_checked() -> None:
    """Contract 1.7: a flag of another type is refused."""
    async with proxied() as proxy:
        response = await generate(proxy, _debug_render_only="yes")
        field = "GenerateRequest._debug_render_only of type bool"
        assert response.json == {"error": f"json: cannot unmarshal string into Go struct field {field}"}

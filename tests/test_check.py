"""`check`: what is said of each thing that can be wrong, in the order in which a service would meet it."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ollama_openai_proxy import demo
from ollama_openai_proxy.check import check
from ollama_openai_proxy.serve.server import serving
from support.processes import free_port
from support.proxy import KEY, SealedSettings
from support.replies import DONE, HI, SSE, body, event, finish, streamed, text
from support.scripted import Chunk, Close, Step, Upstream
from support.waiting import eventually

REACHED = ["ok    settings valid", "ok    upstream reachable"]
NO_KEY = "ok    no key is set, and none was asked for"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as backend:
        yield backend


async def checked(url: str | None, model: str | None = None, **settings: Any) -> int:
    given = {"openai_api_base_url": url, "openai_api_key": url and KEY, **settings}
    return await check(SealedSettings(**given), model)


async def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """With all well there is a line for each step, and the exit status is 0."""
    async with serving(demo.create_demo(rate=0)) as url:
        status = await checked(f"{url}/v1", openai_api_key=None)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [*REACHED, "ok    16 models (generic profile)", NO_KEY, "ok    streaming works (demo)"]
    assert status == 0


async def test_no_backend(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a backend there is nothing to check."""
    assert await checked(None) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok    settings valid",
        "FAIL  upstream: OPENAI_API_BASE_URL is not set",
    ]


async def test_closed_port(capsys: pytest.CaptureFixture[str]) -> None:
    """A backend that is not there is told, and the key is not blamed."""
    assert await checked(f"http://127.0.0.1:{free_port()}/v1") == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok    settings valid",
        "FAIL  upstream: the upstream refused the connection",
    ]


async def test_rejected_key(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """A 401 means that the backend is there and does not take the key; the key itself is not shown (I2)."""
    refusal = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    upstream.script("/v1/models", body(refusal, 401))
    assert await checked(upstream.url) == 1
    printed = capsys.readouterr().out
    assert printed.splitlines() == [*REACHED, "FAIL  key: the upstream rejected the proxy's credentials"]
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in printed


async def test_wrong_path(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """A 404 for the list of models means that the base URL is wrong (I3)."""
    upstream.script("/v1/models", body({"detail": "Not Found"}, 404))
    assert await checked(upstream.url) == 1
    assert capsys.readouterr().out.splitlines() == [
        *REACHED,
        "FAIL  models: the upstream has no such endpoint; check its base URL",
    ]


async def test_no_list(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """A page where JSON was due is no backend's answer."""
    upstream.script("/v1/models", body(b"<html>login</html>", 200, "Content-Type: text/html"))
    assert await checked(upstream.url) == 1
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("FAIL  upstream: ")
    assert "html" not in last


@pytest.mark.parametrize("models", [[], [{"id": "text-embedding-3-small"}]], ids=["none", "embeddings only"])
async def test_no_chat_model(
    upstream: Upstream, capsys: pytest.CaptureFixture[str], models: list[dict[str, str]]
) -> None:
    """With no model that chats, streaming can't be checked: nothing is generated, and that is a failure."""
    upstream.models = models
    assert await checked(upstream.url) == 1
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "FAIL  streaming: no model to ask; name one with --model"
    assert upstream.posts == []


async def test_named_model(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that is named is asked, in the list or not, for one token, as a stream."""
    upstream.script("other", HI)
    assert await checked(upstream.url, "other") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok    streaming works (other)"
    (post,) = upstream.posts
    assert post.path == "/v1/chat/completions"
    assert {key: post.json[key] for key in ("model", "max_tokens", "stream")} == {
        "model": "other",
        "max_tokens": 1,
        "stream": True,
    }


async def test_token_limit_of_openai(upstream: Upstream) -> None:
    """OpenAI itself takes `max_completion_tokens` only."""
    upstream.script("m", HI)
    assert await checked(upstream.url, upstream_profile="openai") == 0
    (post,) = upstream.posts
    assert post.json["max_completion_tokens"] == 1
    assert "max_tokens" not in post.json


CUT = (SSE, Chunk(text("Hi")), Close())
QUOTA = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (body(QUOTA, 429), "You exceeded your current quota"),
        (body({"error": {"code": "model_not_found", "message": "no"}}, 404), "model not found"),
        (streamed(event({"error": {"message": "out of memory"}})), "out of memory"),
        (CUT, "the upstream closed the stream before finishing"),
    ],
    ids=["quota", "no such model", "error in the stream", "cut"],
)
async def test_failing_stream(
    upstream: Upstream, capsys: pytest.CaptureFixture[str], answer: Sequence[Step], reason: str
) -> None:
    """A backend that lists models but does not generate is told with its own reason."""
    upstream.script("m", answer)
    assert await checked(upstream.url) == 1
    assert capsys.readouterr().out.splitlines() == [
        *REACHED,
        "ok    1 models (generic profile)",
        f"FAIL  streaming from m: {reason}",
    ]


async def test_list_that_is_open_to_all(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """Backends that list their models to everybody accept no key by that: the answer tells."""
    upstream.script("m", body(b"", 401))
    assert await checked(upstream.url) == 1
    assert capsys.readouterr().out.splitlines() == [
        *REACHED,
        "ok    1 models (generic profile)",
        "FAIL  key: the upstream rejected the proxy's credentials",
    ]


async def test_answer_without_usage(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream that ends without telling the usage works: many backends never tell it."""
    upstream.script("m", streamed(text("Hi"), finish("length"), DONE))
    assert await checked(upstream.url) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok    streaming works (m)"


async def test_connection_is_closed(upstream: Upstream) -> None:
    """`check` leaves no connection behind."""
    upstream.script("m", HI)
    await checked(upstream.url)
    await eventually(lambda: not upstream.connections)


async def test_model_of_the_models_file(upstream: Upstream, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A model that the models file names is asked for by the backend's own name."""
    (tmp_path / "models.toml").write_text('[[model]]\nmatch = "coder"\nupstream = "m"\n')
    upstream.script("m", HI)
    assert await checked(upstream.url, "coder", models_file=tmp_path / "models.toml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok    streaming works (coder)"
    assert upstream.posts[0].json["model"] == "m"

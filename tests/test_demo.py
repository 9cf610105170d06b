import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import uvicorn

from ollama_openai_proxy.demo import create_demo
from ollama_openai_proxy.demo_answers import NOTE

HELLO = [{"role": "user", "content": "Hello"}]
Post = Callable[..., Awaitable[httpx.Response]]


@contextlib.asynccontextmanager
async def serving(rate: float) -> AsyncIterator[httpx.AsyncClient]:
    config = uvicorn.Config(create_demo(rate=rate), log_config=None, timeout_graceful_shutdown=1)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Not serve(), which would take over the signals of the test run.
        await server.startup([listener])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as session:
            yield session
        await server.shutdown([listener])


@pytest.fixture
async def session() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(rate=0) as session:
        yield session


@pytest.fixture
def post(session: httpx.AsyncClient) -> Post:
    async def send(path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
        fields = {"model": "demo", "messages": HELLO} if path == "/v1/chat/completions" else {}
        return await session.post(path, json=fields | body)

    return send


async def events(response: httpx.Response) -> list[str]:
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    body = response.text
    return [event.removeprefix("data: ") for event in body.removesuffix("\n\n").split("\n\n")]


def text(chunks: list[str]) -> str:
    return "".join(json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks)


async def test_models(session: httpx.AsyncClient) -> None:
    """The list has names of all kinds, and the fields that tell what a model can do."""
    reply = (await session.get("/v1/models")).json()
    models = {model["id"]: model for model in reply["data"]}

    assert list(models) == [
        *("demo", "demo-think", "Demo-Large", "acme/demo:free"),
        *(f"demo-fail-status-{status}" for status in (400, 401, 404, 429, 500, 503)),
        *(f"demo-fail-{fault}" for fault in ("cut", "stall", "malformed", "error", "html")),
        "demo-embed",
    ]
    assert models["demo"]["architecture"] == {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
    assert (models["demo"]["context_length"], models["demo"]["created"]) == (8192, 1_700_000_000)
    assert models["demo"]["supported_parameters"][:3] == ["tools", "tool_choice", "response_format"]
    assert models["demo-think"]["supported_parameters"][-2:] == ["reasoning", "include_reasoning"]
    assert models["demo-embed"]["architecture"]["output_modalities"] == ["embeddings"]


@pytest.mark.parametrize("model", ["demo", "Demo-Large", "acme/demo:free"])
async def test_whole_chat(post: Post, model: str) -> None:
    """A reply that is not streamed is a chat.completion with message and usage."""
    reply = (await post(model=model)).json()
    message = {"role": "assistant", "content": f"You said: Hello\n\n{NOTE}"}

    assert reply.pop("id").startswith("chatcmpl-")
    assert reply == {
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 36, "total_tokens": 37},
    }


async def test_streamed_chat(post: Post) -> None:
    """A stream is the role, the words, the finish reason and [DONE], without usage if it is not asked for."""
    *chunks, done = await events(await post(stream=True))
    first, last = json.loads(chunks[0]), json.loads(chunks[-1])
    delta = {"role": "assistant", "content": ""}

    assert (first["object"], first["model"], done) == ("chat.completion.chunk", "demo", "[DONE]")
    assert first["choices"] == [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]
    assert text(chunks[1:-1]) == f"You said: Hello\n\n{NOTE}"
    assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]


async def test_streamed_usage(post: Post) -> None:
    """The usage asked for is null in all chunks but the last, which has no choices."""
    *chunks, _ = await events(await post(stream=True, max_tokens=2, stream_options={"include_usage": True}))
    usages = [json.loads(chunk)["usage"] for chunk in chunks]

    assert usages == [None, None, None, None, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}]
    assert json.loads(chunks[-1])["choices"] == []
    assert json.loads(chunks[-2])["choices"][0]["finish_reason"] == "length"


async def test_demo_think_thinks(post: Post) -> None:
    """One model thinks without being asked, the others do not."""
    messages = [(await post(model=model)).json()["choices"][0]["message"] for model in ("demo-think", "demo")]

    assert [message.get("reasoning_content") for message in messages] == ['The user said "Hello". I say it back.', None]


async def test_logprobs_stand_beside_their_text(post: Post) -> None:
    """The entries of a whole reply are those of all its chunks."""
    fields = {"logprobs": True, "top_logprobs": 1, "max_tokens": 2}
    chunks = [json.loads(chunk) for chunk in (await events(await post(stream=True, **fields)))[1:3]]
    streamed = [chunk["choices"][0]["logprobs"]["content"][0] for chunk in chunks]

    assert [(entry["token"], len(entry["top_logprobs"])) for entry in streamed] == [("You", 1), (" said:", 1)]
    assert streamed == (await post(**fields)).json()["choices"][0]["logprobs"]["content"]


async def test_same_request_same_reply(post: Post) -> None:
    """Two equal requests get byte for byte the same reply."""
    assert (await post(stream=True)).content == (await post(stream=True)).content


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 503, 599])
async def test_status_on_request(post: Post, status: int) -> None:
    """The name of the model chooses the error status, and 429 comes with Retry-After."""
    response = await post(model=f"demo-fail-status-{status}", stream=True)

    assert response.status_code == status
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)
    assert response.json()["error"]["code"] == "demo_failure"


async def test_html_on_request(post: Post) -> None:
    """A gateway's error page is HTML with 502."""
    response = await post(model="demo-fail-html")

    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (502, "text/html")


@pytest.mark.parametrize("stream", [True, False])
async def test_cut_on_request(post: Post, stream: bool) -> None:
    """A cut reply begins as usual and the connection closes without a last chunk."""
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await post(model="demo-fail-cut", stream=stream)


@pytest.mark.parametrize("stream", [True, False])
async def test_stall_on_request(session: httpx.AsyncClient, stream: bool) -> None:
    """A stalled reply begins as usual and then nothing comes."""
    body = {"model": "demo-fail-stall", "messages": HELLO, "stream": stream}
    async with session.stream("POST", "/v1/chat/completions", json=body) as response:
        came, parts = b"", response.aiter_raw()
        while b"Hello" not in came:
            came += await anext(parts)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(parts), 0.2)


async def test_malformed_on_request(post: Post) -> None:
    """One event of the stream is not JSON; a whole body is cut and so is not JSON either."""
    _, *words, broken, finish, done = await events(await post(model="demo-fail-malformed", stream=True))
    whole = await post(model="demo-fail-malformed")

    assert text(words) == "You said: Hello"
    assert (broken, done) == ('{"id": "chatcmpl-', "[DONE]")
    assert json.loads(finish)["choices"][0]["finish_reason"] == "stop"
    with pytest.raises(json.JSONDecodeError):
        whole.json()


async def test_error_on_request(post: Post) -> None:
    """The error comes after some words, with status 200 and before [DONE]."""
    _, *words, error, done = await events(await post(model="demo-fail-error", stream=True))
    whole = (await post(model="demo-fail-error")).json()

    assert text(words) == "You said: Hello"
    assert json.loads(error) == whole
    assert (whole["error"]["type"], done) == ("server_error", "[DONE]")


@pytest.mark.parametrize("model", ["x", "Demo", "cut", "demo-fail-", "demo-fail-other", "demo-fail-status-200"])
async def test_unknown_models(post: Post, model: str) -> None:
    """An unknown model is a 404 with OpenAI's code for it, and upper case counts."""
    response = await post(model=model)
    error = response.json()["error"]

    assert (response.status_code, error["type"], error["code"]) == (404, "invalid_request_error", "model_not_found")
    assert error["message"] == f"The model '{model}' does not exist"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"model":"demo\xff"}', "not valid JSON"),
        (b'{"model":"demo","messages":[{"role":""}],"chat_template_kwargs":' + b'{"":' * 200_000, "not valid JSON"),
        (b'{"model":"demo"}', "missing required field `messages`"),
        (b'{"model":"demo","messages":[]}', "at `$.messages`"),
        (b'{"model":"demo","messages":[{"role":"user"}],"max_tokens":-1}', "at `$.max_tokens`"),
        (b'{"model":"demo","messages":[{"role":"user","content":[{"type":"","image_url":{"url":""}}]}]}', "image"),
    ],
)
async def test_bad_bodies(session: httpx.AsyncClient, body: bytes, message: str) -> None:
    """A body that cannot be understood is a 400 that says why."""
    response = await session.post("/v1/chat/completions", content=body)
    error = response.json()["error"]

    assert (response.status_code, error["type"], error["code"]) == (400, "invalid_request_error", None)
    assert message in error["message"]


async def test_whole_completion(post: Post) -> None:
    """A legacy completion has a choice with text for each prompt."""
    reply = (await post("/v1/completions", model="demo", prompt=["a", "b c"], max_tokens=3, suffix="z")).json()

    assert reply["object"] == "text_completion"
    assert reply["choices"] == [
        {"index": 0, "text": 'Between "a" and', "logprobs": None, "finish_reason": "length"},
        {"index": 1, "text": 'Between "b c"', "logprobs": None, "finish_reason": "length"},
    ]
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


async def test_streamed_completion(post: Post) -> None:
    """A streamed completion is made of text choices."""
    fields = {"model": "demo", "prompt": "x", "stop": [" x"], "stream": True, "stream_options": {"include_usage": True}}
    *chunks, done = await events(await post("/v1/completions", **fields))
    choices = [choice for chunk in chunks for choice in json.loads(chunk)["choices"]]

    assert done == "[DONE]"
    assert [choice["text"] for choice in choices] == ["You", " said:", ""]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    assert json.loads(chunks[-1])["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


async def test_embeddings(post: Post) -> None:
    """Each text gets a vector of 64 numbers or as many as asked for."""
    reply = (await post("/v1/embeddings", model="demo-embed", input=["a b", "c"])).json()
    short = (await post("/v1/embeddings", model="demo-embed", input="c", dimensions=3)).json()

    assert [(item["object"], item["index"]) for item in reply["data"]] == [("embedding", 0), ("embedding", 1)]
    assert [len(item["embedding"]) for item in reply["data"] + short["data"]] == [64, 64, 3]
    assert (reply["object"], reply["model"]) == ("list", "demo-embed")
    assert reply["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize(("given", "vectors", "tokens"), [([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), (["a"], 1, 1)])
async def test_embeddings_of_tokens(post: Post, given: list[object], vectors: int, tokens: int) -> None:
    """A list of numbers is one text, a list of lists or strings is many; base64 holds 4 bytes a number."""
    fields = {"model": "demo-embed", "input": given, "dimensions": 3, "encoding_format": "base64"}
    reply = (await post("/v1/embeddings", **fields)).json()

    assert [len(item["embedding"]) for item in reply["data"]] == [16] * vectors
    assert reply["usage"]["prompt_tokens"] == tokens


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "demo", "input": "a"}),
        ("/v1/completions", {"model": "demo-embed", "prompt": "a"}),
        ("/v1/chat/completions", {"model": "demo-embed"}),
        ("/v1/embeddings", {"model": "demo-embed", "input": []}),
        ("/v1/embeddings", {"model": "demo-fail-status-400", "input": "a"}),
    ],
)
async def test_refused_by_endpoint(post: Post, path: str, body: dict[str, Any]) -> None:
    """Models answer at their own endpoints only, and fail on request at all of them."""
    response = await post(path, **body)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_rate() -> None:
    """The rate is the number of streamed tokens per second."""
    async with serving(rate=50) as session:
        began = time.monotonic()
        body = {"model": "demo", "messages": HELLO, "stream": True, "max_tokens": 10}
        await session.post("/v1/chat/completions", json=body)

    assert time.monotonic() - began >= 10 / 50

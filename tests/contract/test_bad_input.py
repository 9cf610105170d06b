"""Requests that can't be served: each is told from the start, in Ollama's words, and goes no further.

The words are Ollama's own (contract 1.7, 2.6, 3 and 4): clients and their users match on them.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from contract.running import Proxy, serving
from support.proxy import HELLO
from support.replies import HI
from support.scripted import Upstream
from support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPT = "canary-prompt-4711"
KEY = "sk-canary-key-4711"
LIMIT = 4096
TOO_LARGE = "request body too large"
OUTCOMES = {400: {"bad_request"}, 404: {"not_found"}, 413: {"too_large"}, 500: {"bad_request"}}


class Row(NamedTuple):
    """A request, and what is answered. Bytes are sent as they are."""

    name: str
    path: str
    body: bytes | dict[str, Any]
    status: int
    error: str


def chat(name: str, status: int, error: str, **fields: Any) -> Row:
    body = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], **fields}
    return Row(name, "/api/chat", body, status, error)


def generate(name: str, status: int, error: str, **fields: Any) -> Row:
    return Row(name, "/api/generate", {"model": "m", "prompt": PROMPT, **fields}, status, error)


def embed(name: str, status: int, error: str, **fields: Any) -> Row:
    return Row(name, "/api/embed", {"model": "m-embed", "input": PROMPT, **fields}, status, error)


def embeddings(name: str, status: int, error: str, **fields: Any) -> Row:
    return Row(name, "/api/embeddings", {"model": "m-embed", "prompt": PROMPT, **fields}, status, error)


def show(label: str, status: int, error: str, **fields: Any) -> Row:
    return Row(label, "/api/show", fields, status, error)


def raw(name: str, body: bytes, error: str, path: str = "/api/chat", status: int = 400) -> Row:
    return Row(name, path, body, status, error)


def image(name: str, data: object, error: str) -> Row:
    message = {"role": "user", "content": PROMPT, "images": data}
    return chat(name, 400, error, messages=[message])


def wrong_type(value: str, field: str, kind: str, request: str = "ChatRequest") -> str:
    return f"json: cannot unmarshal {value} into Go struct field {request}.{field} of type {kind}"


PATHS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show")
UNFINISHED = b'{"model": "m", "messages": [{"role": "user", "content": "' + PROMPT.encode()

BODIES = [
    *(raw(f"{path} empty", b"", "missing request body", path) for path in PATHS),
    raw("blank", b" \r\n\t", "missing request body"),
    raw("cut in a string", UNFINISHED, "unexpected EOF"),
    raw("cut after a value", UNFINISHED + b'"', "unexpected EOF"),
    raw("no quotes", b"{model:1}", "invalid character 'm' looking for beginning of object key string"),
    raw("no JSON", b"not json", "invalid character 'o' in literal null (expecting 'u')"),
    raw("NaN", b'{"model": NaN}', "invalid character 'N' looking for beginning of value"),
    raw("array", b"[]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
    raw("text", b'"x"', "json: cannot unmarshal string into Go value of type api.GenerateRequest", "/api/generate"),
    raw("by length", b" " * LIMIT + b"{}", TOO_LARGE, status=413),
    raw("other route", b" " * LIMIT + b"{}", TOO_LARGE, "/api/embed", status=413),
]
TYPES = [
    chat("model", 400, wrong_type("number", "model", "string"), model=5),
    chat("messages", 400, wrong_type("string", "messages", "[]api.Message"), messages=PROMPT),
    chat(
        "content parts",
        400,
        wrong_type("array", "messages.content", "string"),
        messages=[{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
    ),
    chat(
        "content object",
        400,
        wrong_type("object", "messages.content", "string"),
        messages=[{"role": "user", "content": {"text": PROMPT}}],
    ),
    chat("stream", 400, wrong_type("string", "stream", "bool"), stream="false"),
    chat("options", 400, wrong_type("string", "options", "map[string]interface {}"), options="x"),
    chat("top_logprobs 1.5", 400, wrong_type("number 1.5", "top_logprobs", "int"), top_logprobs=1.5),
    generate("prompt", 400, wrong_type("array", "prompt", "string", "GenerateRequest"), prompt=[PROMPT]),
    generate("context", 400, wrong_type("string", "context", "int", "GenerateRequest"), context=["a"]),
    embed("input number", 400, "invalid input type", input=5),
    embed("input mixed", 400, "invalid input type", input=[PROMPT, 5]),
    embed("input object", 400, "invalid input type", input={"text": PROMPT}),
    embed("input before model", 400, "invalid input type", model="nope", input=5),
]
NAMES = [
    chat("chat ''", 400, "model is required", model=""),
    chat("chat null", 400, "model is required", model=None),
    chat("chat a b", 400, "invalid model name", model="a b"),
    chat("chat nope", 404, "model 'nope' not found", model="nope"),
    generate("generate ''", 404, "model '' not found", model=""),
    generate("generate null", 404, "model '' not found", model=None),
    generate("generate m:", 400, "invalid model name", model="m:"),
    generate("generate nope:1b", 404, "model 'nope:1b' not found", model="nope:1b"),
    embed("embed ''", 404, "model '' not found", model=""),
    embed("embed /m", 400, "invalid model name", model="/m"),
    embed("embed nope", 404, 'model "nope" not found, try pulling it first', model="nope"),
    embeddings("embeddings ''", 400, "model is required", model=""),
    embeddings("embeddings @m", 400, "invalid model name", model="@m"),
    embeddings("embeddings nope", 404, 'model "nope" not found, try pulling it first', model="nope"),
    show("show ''", 400, "model is required", model="", name=""),
    show("show a+b", 400, "invalid model name", model="a+b"),
    show("show nope", 404, "model 'nope:latest' not found", model="nope"),
    show("show nope:1b", 404, "model 'nope:1b' not found", model="nope:1b"),
]
IMAGES = [
    image("data URI", ["data:image/png;base64,AAAA"], "illegal base64 data at input byte 4"),
    image("URL", ["http://169.254.169.254/latest"], "illegal base64 data at input byte 4"),
    image("https URL", ["https://example.com/a.png"], "illegal base64 data at input byte 5"),
    image("text", ["aGVsbG8sIHdvcmxk"], "Failed to load image or audio file"),
    image("padding", ["AAA"], "illegal base64 data at input byte 0"),
    image("URL-safe", ["AAA_"], "illegal base64 data at input byte 3"),
    image("no list", "AAAA", wrong_type("string", "messages.images", "[]api.ImageData")),
    generate("generate", 400, "illegal base64 data at input byte 4", images=["data:image/png;base64,AAAA"]),
]
ONE_OF = '"high", "medium", "low", "max", true, or false'
VALUES = [
    chat("role", 400, "invalid message role", messages=[{"role": "robot", "content": PROMPT}]),
    chat("no role", 400, "invalid message role", messages=[{"content": PROMPT}]),
    chat(
        "arguments",
        400,
        "Value looks like object, but can't find closing '}' symbol",
        messages=[{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]}],
    ),
    chat("think maybe", 400, f'invalid think value: "maybe" (must be {ONE_OF})', think="maybe"),
    generate("think 5", 400, f"think must be a boolean or string ({ONE_OF})", think=5),
    chat("keep_alive 300", 400, 'time: missing unit in duration "300"', keep_alive="300"),
    chat("keep_alive 1d", 400, 'time: unknown unit "d" in duration "1d"', keep_alive="1d"),
    generate("keep_alive abc", 400, 'time: invalid duration "abc"', keep_alive="abc"),
    embed("keep_alive ''", 400, 'time: invalid duration ""', keep_alive=""),
    embeddings("keep_alive true", 400, "Unsupported type: 'bool'", keep_alive=True),
    chat("format xml", 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object', format="xml"),
    generate("format 5", 500, 'invalid format: "5"; expected "json" or a valid JSON Schema object', format=5),
    chat("top_logprobs 21", 400, "top_logprobs must be between 0 and 20", logprobs=True, top_logprobs=21),
    generate("top_logprobs -1", 400, "top_logprobs must be between 0 and 20", model="nope", top_logprobs=-1),
    generate("raw", 400, "raw mode does not support template, system, or context", raw=True, system="Be brief."),
]
OPTIONS = [
    chat("seed", 500, 'option "seed" must be of type integer', options={"seed": "7"}),
    chat("seed true", 500, 'option "seed" must be of type integer', options={"seed": True}),
    generate("temperature", 500, 'option "temperature" must be of type float32', options={"temperature": "hot"}),
    chat("use_mmap", 500, 'option "use_mmap" must be of type boolean', options={"use_mmap": 1}),
    chat("stop", 500, 'option "stop" must be of type array', options={"stop": 5}),
    chat("stop item", 500, 'option "stop" must be of an array of strings', options={"stop": [5]}),
    embed("embed", 500, 'option "num_ctx" must be of type integer', options={"num_ctx": "8k"}),
    embeddings("embeddings", 500, 'option "num_ctx" must be of type integer', options={"num_ctx": "8k"}),
    chat("load", 500, 'option "seed" must be of type integer', messages=[], options={"seed": "7"}),
    generate("unknown model first", 404, "model 'nope' not found", model="nope", options={"seed": "7"}),
]
ROWS = [*BODIES, *TYPES, *NAMES, *IMAGES, *VALUES, *OPTIONS]


class Setting(NamedTuple):
    proxy: Proxy
    upstream: Upstream
    http: httpx.AsyncClient

    async def send(self, row: Row, **headers: str) -> httpx.Response:
        body = row.body if isinstance(row.body, bytes) else json.dumps(row.body).encode()
        return await self.http.post(row.path, content=body, headers=headers)

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
                yield Setting(proxy, upstream, http)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path.removeprefix('/api/')} {row.name}")
async def test_refused(setting: Setting, row: Row) -> None:
    """The status and the words are Ollama's, as JSON; the backend is not asked, the prompt is not repeated."""
    asked = len(setting.upstream.posts)
    response = await setting.send(row)
    assert (response.status_code, response.json()) == (row.status, {"error": row.error})
    assert response.headers["content-type"].startswith("application/json")
    assert PROMPT not in response.text
    assert len(setting.upstream.posts) == asked


async def test_too_large_in_chunks(setting: Setting) -> None:
    """A body whose length nobody told is measured as it comes (A14)."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 1000

    response = await setting.http.post("/api/chat", content=parts())
    assert (response.status_code, response.json()) == (413, {"error": TOO_LARGE})


async def test_as_large_as_allowed(setting: Setting) -> None:
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


async def test_log(setting: Setting) -> None:
    """Each exchange is one line of JSON with an outcome from the list, and no line holds prompt or key (M3, M4)."""
    for number, row in enumerate(ROWS):
        await setting.send(row, **{"X-Request-Id": f"row-{number}"})
    await eventually(lambda: len(setting.logged()) >= len(ROWS))
    lines = setting.logged()
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", row.path, row.status) for row in ROWS
    ]
    assert all(line["outcome"] in OUTCOMES[line["status"]] for line in lines)
    assert [line["request_id"] for line in lines] == [f"row-{number}" for number in range(len(ROWS))]
    assert PROMPT not in setting.proxy.output
    assert KEY not in setting.proxy.output
    assert setting.proxy.errors == ""

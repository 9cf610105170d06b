"""`/api/embed` and `/api/embeddings`, end to end (contract 5.9, 5.10, reliability H27)."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.translate.openai.wire import INVALID
from support.proxy import Proxy, proxied, running_proxy
from support.rawclient import Response
from support.replies import body
from support.scripted import Close, Send, Status, Step, Upstream

GONE = 'model "m" not found, try pulling it first'
TOO_LONG = "This model's maximum context length is 512 tokens."
MISMATCH = "the upstream answered with the wrong number of embeddings"
NO_NUMBERS = "the upstream sent an embedding that is no list of numbers"
NOT_FINITE = "embedding contains NaN or Inf values"


def reply(*items: tuple[int | None, object], tokens: int | None = None) -> Sequence[Step]:
    """The answer with these vectors (https://platform.openai.com/docs/api-reference/embeddings/object)."""
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in items]
    usage = {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if tokens is not None else {}
    return body({"object": "list", "data": data, "model": "m", **usage})


async def embed(steps: Sequence[Step], given: object = "a", **fields: object) -> Response:
    """Return the answer of `/api/embed` when the upstream answers with these steps."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        return await proxy.ask("POST", "/api/embed", {"model": "m", "input": given, **fields})


async def test_answer() -> None:
    """5.9: vectors of length 1, in the order of the inputs, the sum of the prompt tokens, and durations."""
    response = await embed(reply((0, [3.0, 4.0]), (1, [0.0, 1.0]), tokens=9), ["a", "b"])
    assert response.all("content-type") == ["application/json; charset=utf-8"]
    assert list(response.json) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert response.json["embeddings"] == [[0.6, 0.8], [0, 1]]
    assert response.json["prompt_eval_count"] == 9
    assert response.json["total_duration"] >= response.json["load_duration"] > 0


@pytest.mark.parametrize(("given", "sent"), [("a", ["a"]), (["a"], ["a"]), (["a", ""], ["a", ""]), ([""], [""])])
async def test_request(given: object, sent: list[str]) -> None:
    """5.9: what is to be embedded is sent as it is, an empty string within a list too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", reply(*((index, [1.0]) for index in range(len(sent)))))
        response = await proxy.ask("POST", "/api/embed", {"model": "m", "input": given})
        assert len(response.json["embeddings"]) == len(sent)
        asked = proxy.upstream.posts[0]
        assert asked.path == "/v1/embeddings"
        assert asked.json["model"] == "m"
        assert asked.json["input"] == sent


async def test_h27_order() -> None:
    """H27: vectors that come in another order are put in that of the inputs."""
    response = await embed(reply((2, [0.0, 1.0]), (0, [1.0, 0.0]), (1, [-1.0, 0.0])), ["a", "b", "c"])
    assert response.json["embeddings"] == [[1, 0], [-1, 0], [0, 1]]


@pytest.mark.parametrize("indices", [(None, None), (0, 0), (5, 6)])
async def test_h27_order_that_is_not_told(indices: tuple[int | None, int | None]) -> None:
    """Indices that are missing or make no order leave the vectors as they came."""
    response = await embed(reply((indices[0], [1.0, 0.0]), (indices[1], [0.0, 1.0])), ["a", "b"])
    assert response.json["embeddings"] == [[1, 0], [0, 1]]


async def test_h27_base64() -> None:
    """H27: little-endian float32 in base64 are numbers for the client."""
    packed = base64.b64encode(struct.pack("<2f", 0.0, -1.0)).decode()
    response = await embed(reply((0, packed)))
    assert response.json["embeddings"] == [[0, -1]]


async def test_dimensions() -> None:
    """5.9: a vector is cut to the dimensions and has length 1 again."""
    response = await embed(reply((0, [3.0, 4.0, 12.0])), dimensions=2)
    assert response.json["embeddings"] == [[0.6, 0.8]]


FAULTS: dict[str, tuple[Sequence[Step], int, str]] = {
    "H27 too few": (reply((0, [1.0])), 502, MISMATCH),
    "H27 too many": (reply((0, [1.0]), (1, [1.0]), (2, [1.0])), 502, MISMATCH),
    "H27 none": (reply(), 502, MISMATCH),
    "H27 no data": (body({"object": "list"}), 502, MISMATCH),
    "H27 NaN": (
        reply((0, base64.b64encode(struct.pack("<f", float("nan"))).decode()), (1, [1.0])),
        400,
        NOT_FINITE,
    ),
    "H27 null": (reply((0, [None]), (1, [1.0])), 400, NOT_FINITE),
    "H27 NaN, bare": (body(b'{"data":[{"index":0,"embedding":[1,NaN]},{"index":1,"embedding":[1]}]}'), 400, NOT_FINITE),
    "several vectors of one input": (reply((0, [[1.0], [2.0]]), (1, [1.0])), 502, NO_NUMBERS),
    "no base64": (reply((0, "%%%"), (1, [1.0])), 502, INVALID),
    "no JSON": (body(b'{"data":['), 502, INVALID),
    "a page": (body(b"<html></html>", 200, "Content-Type: text/html"), 502, INVALID),
    "F4 cut": (
        (Status(200, "Content-Type: application/json", "Content-Length: 99"), Send(b'{"data":[]}'), Close()),
        502,
        "the upstream closed the stream before finishing",
    ),
    "I7 error under 200": (body({"error": {"code": 429, "message": "slow down"}}), 429, "slow down"),
    "I1 error": (body({"error": {"message": "input too long"}}, 400), 400, "input too long"),
}


@pytest.mark.parametrize(("steps", "status", "message"), FAULTS.values(), ids=FAULTS.keys())
async def test_h27_faults(steps: Sequence[Step], status: int, message: str) -> None:
    """H27: what is wrong with one vector fails the whole call; none is ever given to another input."""
    response = await embed(steps, ["a", "b"])
    assert (response.status, response.json) == (status, {"error": message})
    assert response.all("content-type") == ["application/json; charset=utf-8"]


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": ""}, {"input": []}])
async def test_load(given: dict[str, object]) -> None:
    """5.9, R15: without input the model is loaded, answered with no other keys, and nothing is called."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", "/api/embed", {"model": "m", **given})
        assert response.json == {"model": "m", "embeddings": []}
        assert proxy.upstream.posts == []
        assert [entry["name"] for entry in (await proxy.ask("GET", "/api/ps")).json["models"]] == ["m:latest"]


async def test_legacy_answer() -> None:
    """5.10: the older route has one vector, under one key, with the length that it came with."""
    async with proxied() as proxy:
        proxy.upstream.script("m", reply((0, [3.0, 4.0])))
        response = await proxy.ask("POST", "/api/embeddings", {"model": "m", "prompt": "a"})
        assert response.json == {"embedding": [3.0, 4.0]}
        assert proxy.upstream.posts[0].path == "/v1/embeddings"


async def test_legacy_load() -> None:
    """5.10, R15: without a prompt the older route answers an empty vector, and nothing is called."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", "/api/embeddings", {"model": "m"})
        assert response.json == {"embedding": []}
        assert proxy.upstream.posts == []


async def test_h27_legacy_fault() -> None:
    """H27: two vectors for one prompt are 502 on the older route, too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", reply((0, [1.0]), (1, [2.0])))
        response = await proxy.ask("POST", "/api/embeddings", {"model": "m", "prompt": "a"})
        assert (response.status, response.json) == (502, {"error": MISMATCH})


LEGACY: dict[str, tuple[Sequence[Step], int, str]] = {
    "too long": (body({"error": {"message": TOO_LONG}}, 400), 500, "the input length exceeds the context length"),
    "refused": (body({"error": {"message": " no \n"}}, 400), 500, "no"),
    "NaN": (body(b'{"data":[{"embedding":[NaN]}]}'), 500, NOT_FINITE),
    "failed": (body({"error": {"message": "no"}}, 500), 500, "no"),
    "no model": (body({"error": {"message": "model gone", "code": "model_not_found"}}, 404), 404, GONE),
    "no route": (body({"detail": "Not Found"}, 404), 502, "the upstream has no such endpoint; check its base URL"),
    "no JSON": (body(b"[1"), 502, INVALID),
}


@pytest.mark.parametrize(("steps", "status", "message"), LEGACY.values(), ids=LEGACY.keys())
async def test_legacy_faults(steps: Sequence[Step], status: int, message: str) -> None:
    """5.10: what the runner objects to is always 500 on the older route, its text trimmed."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        response = await proxy.ask("POST", "/api/embeddings", {"model": "m", "prompt": "a"})
        assert (response.status, response.json) == (status, {"error": message})


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
@pytest.mark.parametrize("status", [429, 503])
async def test_when_to_ask_again(path: str, status: int) -> None:
    """11.6: too many requests and an overload keep their status and Retry-After on both routes."""
    async with proxied() as proxy:
        headers = ("Content-Type: application/json", "Retry-After: 7")
        proxy.upstream.script("m", body({"error": {"message": "later"}}, status, *headers))
        response = await proxy.ask("POST", path, {"model": "m", "prompt": "a", "input": "a"})
        assert (response.status, response.json) == (status, {"error": "later"})
        assert response.all("retry-after") == ["7"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"truncate": False}, "the input length exceeds the context length"),
        ({"truncate": True}, "input exceeds maximum context length and cannot be truncated further"),
        ({}, "input exceeds maximum context length and cannot be truncated further"),
        ({"truncate": None}, "input exceeds maximum context length and cannot be truncated further"),
    ],
    ids=str,
)
async def test_too_long(fields: dict[str, object], message: str) -> None:
    """5.9: an input that is too long is 400, in the words for whether it was to be cut."""
    response = await embed(body({"error": {"message": TOO_LONG}}, 400), ["a", "b"], **fields)
    assert (response.status, response.json) == (400, {"error": message})


CUT = {"truncate_prompt_tokens": 512, "truncation_side": "right"}


@pytest.mark.parametrize(
    ("profile", "path", "fields", "sent"),
    [
        ("vllm", "/api/embed", {}, CUT),
        ("vllm", "/api/embed", {"truncate": True}, CUT),
        ("vllm", "/api/embed", {"truncate": False}, {}),
        ("generic", "/api/embed", {"truncate": True}, {}),
        ("vllm", "/api/embeddings", {}, {}),  # 5.10: no truncation
    ],
)
async def test_truncation(profile: str, path: str, fields: dict[str, object], sent: dict[str, object]) -> None:
    """5.9: a backend that can cut inputs is asked to, at the model's context, unless the client does not want that."""
    async with Upstream() as upstream:
        upstream.models = [{"id": "m", "max_model_len": 512}]
        async with running_proxy(upstream.url, upstream_profile=profile) as url:
            proxy = Proxy(url, upstream)
            upstream.script("m", reply((0, [1.0])))
            response = await proxy.ask("POST", path, {"model": "m", "input": ["a"], "prompt": "a", **fields})
            assert response.status == 200
            asked = upstream.posts[0].json
            assert {key: value for key, value in asked.items() if key not in ("model", "input")} == sent


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/embed", {"dimensions": 2, "keep_alive": "5m", "options": {"temperature": 1, "num_ctx": 9}}),
        ("/api/embeddings", {"keep_alive": 0, "options": {"seed": 1}}),
    ],
)
async def test_what_is_not_sent(path: str, fields: dict[str, object]) -> None:
    """5.9, 11.5: what concerns the backend not at all, or is done here, does not get there to be refused."""
    async with proxied() as proxy:
        proxy.upstream.script("m", reply((0, [3.0, 4.0, 12.0])))
        response = await proxy.ask("POST", path, {"model": "m", "input": ["a"], "prompt": "a", **fields})
        assert response.status == 200
        assert sorted(proxy.upstream.posts[0].json) == ["input", "model"]


@pytest.mark.parametrize("dimensions", [-1, 0, 3, 4, 2**40])
async def test_dimensions_that_change_nothing(dimensions: int) -> None:
    """5.9: only numbers from 1 to one less than there are cut."""
    response = await embed(reply((0, [0.0, 0.6, 0.8])), dimensions=dimensions)
    assert response.json["embeddings"] == [[0, 0.6, 0.8]]


async def test_null_vector() -> None:
    """5.9: a vector of zeros has no direction, and stays as it is."""
    assert (await embed(reply((0, [0.0, 0.0])))).json["embeddings"] == [[0, 0]]


async def test_five_keys() -> None:
    """Clients 1.2: the Vercel provider needs all five keys; a total is as good as a count of the prompt."""
    steps = body({"data": [{"index": 0, "embedding": [1.0]}], "usage": {"total_tokens": 4}})
    keys = ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    response = await embed(steps)
    assert list(response.json) == keys
    assert response.json["prompt_eval_count"] == 4


@pytest.mark.parametrize(("path", "empty"), [("/api/embed", "input"), ("/api/embeddings", "prompt")])
async def test_load_while_nobody_knows_the_models(path: str, empty: str) -> None:
    """R15: a model is not said to be loaded while the backend has not yet told that it is there."""
    async with Upstream() as upstream:
        upstream.script("/v1/models", body({"error": {"message": "starting"}}, 500))
        async with running_proxy(upstream.url) as url:
            response = await Proxy(url, upstream).ask("POST", path, {"model": "m", empty: ""})
            assert (response.status, response.json) == (500, {"error": "starting"})


async def test_large_answer() -> None:
    """An answer of several megabytes, in many reads, comes through whole."""
    vectors = [(number, [float(number == column) for column in range(1000)]) for number in range(500)]
    response = await embed(reply(*vectors), ["a"] * 500)
    assert response.json["embeddings"] == [vector for _, vector in vectors]


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
async def test_error_with_half_a_character(path: str) -> None:
    """RFC 8259, 8.2: a backend's error may hold what UTF-8 can't; it is told all the same, with a sign in its place."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(rb'{"error":{"message":"no \ud83d here"}}', 500))
        response = await proxy.ask("POST", path, {"model": "m", "input": "a", "prompt": "a"})
        assert (response.status, response.json) == (500, {"error": "no \ufffd here"})


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
async def test_option_of_a_wrong_type(path: str) -> None:
    """Contract 4: an option of a wrong type is refused, on routes where none changes anything, too; nobody is asked."""
    async with proxied() as proxy:
        asked = {"model": "m", "input": "a", "prompt": "a", "options": {"temperature": "hot"}}
        response = await proxy.ask("POST", path, asked)
        error = {"error": 'option "temperature" must be of type float32'}
        assert (response.status, response.json, proxy.upstream.posts) == (500, error, [])

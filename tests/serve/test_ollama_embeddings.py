"""`/api/embed` and `/api/embeddings`, end to end (contract 5.9, 5.10, reliability H27)."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.translate.openai.wire import INVALID
from support.proxy import proxied
from support.rawclient import Response
from support.replies import body
from support.scripted import Close, Send, Status, Step

MISMATCH = "the upstream answered with the wrong number of embeddings"
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


async def test_order() -> None:
    """H27: vectors that come in another order are put in that of the inputs."""
    response = await embed(reply((2, [0.0, 1.0]), (0, [1.0, 0.0]), (1, [-1.0, 0.0])), ["a", "b", "c"])
    assert response.json["embeddings"] == [[1, 0], [-1, 0], [0, 1]]


@pytest.mark.parametrize("indices", [(None, None), (0, 0), (5, 6)])
async def test_order_that_is_not_told(indices: tuple[int | None, int | None]) -> None:
    """Indices that are missing or make no order leave the vectors as they came."""
    response = await embed(reply((indices[0], [1.0, 0.0]), (indices[1], [0.0, 1.0])), ["a", "b"])
    assert response.json["embeddings"] == [[1, 0], [0, 1]]


async def test_base64() -> None:
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
async def test_faults(steps: Sequence[Step], status: int, message: str) -> None:
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


async def test_legacy_fault() -> None:
    """H27: two vectors for one prompt are 502 on the older route, too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", reply((0, [1.0]), (1, [2.0])))
        response = await proxy.ask("POST", "/api/embeddings", {"model": "m", "prompt": "a"})
        assert (response.status, response.json) == (502, {"error": MISMATCH})


async def test_large_answer() -> None:
    """An answer of several megabytes, in many reads, comes through whole."""
    vectors = [(number, [float(number == column) for column in range(1000)]) for number in range(500)]
    response = await embed(reply(*vectors), ["a"] * 500)
    assert response.json["embeddings"] == [vector for _, vector in vectors]

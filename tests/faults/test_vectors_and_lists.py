"""Replies that are not streams: vectors that belong to nobody, lists of models that are none (reliability H27, H28)."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from support.proxy import proxied
from support.replies import body
from support.scripted import Close, Send, Status, Step

INVALID = "the upstream sent invalid JSON"
MISMATCH = "the upstream answered with the wrong number of embeddings"
MODELS = "/v1/models"


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def vectors(*items: tuple[object, Any]) -> Sequence[Step]:
    """An answer with these vectors, each with its index."""
    return body({"object": "list", "data": [{"index": index, "embedding": vector} for index, vector in items]})


@pytest.mark.parametrize(
    "answer",
    [
        vectors((0, [1.0, 0.0]), (1, [0.0, 1.0])),
        vectors((1, [0.0, 1.0]), (0, [1.0, 0.0])),
        vectors((1, packed(0.0, 1.0)), (0, packed(1.0, 0.0))),
        vectors((None, [1.0, 0.0]), (None, [0.0, 1.0])),
    ],
    ids=["in order", "shuffled", "base64", "no index"],
)
async def test_h27_vectors_are_those_of_their_inputs(answer: Sequence[Step]) -> None:
    """H27: the index says which input a vector belongs to, in whatever order and form they come."""
    async with proxied() as proxy:
        proxy.upstream.script("m", answer)
        response = await proxy.ask("POST", "/api/embed", {"model": "m", "input": ["a", "b"]})
        assert (response.status, response.json["embeddings"]) == (200, [[1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (vectors(), MISMATCH),
        (vectors((0, [1.0])), MISMATCH),
        (vectors((0, [1.0]), (1, [1.0]), (2, [1.0])), MISMATCH),
        (body({"object": "list"}), MISMATCH),
        (vectors((0, [1.0, 0.0]), (1, [1.0])), "the upstream answered with embeddings of different lengths"),
        (vectors((0, "%"), (1, [1.0])), INVALID),
        (body(b'{"data":['), INVALID),
    ],
    ids=["none", "too few", "too many", "no data", "different lengths", "no base64", "half"],
)
async def test_h27_vectors_of_nobody(answer: Sequence[Step], message: str) -> None:
    """H27: vectors that can't be told apart fail the whole call with 502."""
    async with proxied() as proxy:
        proxy.upstream.script("m", answer)
        response = await proxy.ask("POST", "/api/embed", {"model": "m", "input": ["a", "b"]})
        assert (response.status, response.json) == (502, {"error": message})


@pytest.mark.parametrize("vector", [packed(float("nan"), 0.0), [None, 1.0]], ids=["packed", "null"])
async def test_h27_numbers_that_are_none(vector: object) -> None:
    """H27, contract 5.9: NaN is refused in Ollama's words."""
    async with proxied() as proxy:
        proxy.upstream.script("m", vectors((0, vector)))
        response = await proxy.ask("POST", "/api/embed", {"model": "m", "input": "a"})
        assert (response.status, response.json) == (400, {"error": "embedding contains NaN or Inf values"})


# A list that is slow is in tests/serve/test_catalog.py, beside the others in all their forms.
BAD_LISTS: tuple[Sequence[Step], ...] = (
    body({"detail": "Not Found"}, 404),
    body({"error": {"message": "no"}}, 401),
    body({"object": "list"}),
    (Status(200, "Content-Length: 100"), Send(b'{"data":['), Close()),
)


async def test_h28_list_that_is_none() -> None:
    """H28: whatever becomes of the backend's list, clients are told the last good one, at once; then the next."""
    many = json.dumps({"data": [{"id": f"m{number}", "note": "x" * 10_000} for number in range(1000)]}).encode()
    async with proxied(models_refresh=1) as proxy:
        proxy.upstream.script(MODELS, *BAD_LISTS, body(many))
        names: list[str] = []
        async with asyncio.timeout(30):
            while len(names) != 1000:
                response = await proxy.ask("GET", "/api/tags")
                names = [model["name"] for model in response.json["models"]]
                assert response.status == 200
                assert names == ["m:latest"] or len(names) == 1000
                await asyncio.sleep(0.05)
        assert len([request for request in proxy.upstream.requests if request.path == MODELS]) > len(BAD_LISTS)

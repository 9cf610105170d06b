"""`/api/embed` of models whose vectors have proven to have length 1 (adr/0024, contract 5.9, reliability H27)."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.serve.vectors import PROVEN, SINGLES
from support.proxy import Proxy, proxied
from support.replies import body
from support.scripted import Step

UNIT = [0.6, 0.8]
LONG = [3.0, 4.0]


def reply(*vectors: object) -> Sequence[Step]:
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return body({"object": "list", "data": data, "model": "m"})


async def embedded(proxy: Proxy, *vectors: object, **fields: object) -> object:
    """Return what `/api/embed` makes of these vectors."""
    proxy.upstream.script("m", reply(*vectors))
    response = await proxy.ask("POST", "/api/embed", {"model": "m", "input": ["a"] * len(vectors), **fields})
    assert response.status == 200
    return response.json["embeddings"]


async def prove(proxy: Proxy) -> None:
    assert await embedded(proxy, *[UNIT] * PROVEN) == [UNIT] * PROVEN


async def test_the_65th_vector() -> None:
    """ADR 24, contract 5.9: a first vector that is too long is seen after 64 that were not, and all after it."""
    async with proxied() as proxy:
        await prove(proxy)
        assert await embedded(proxy, LONG, UNIT, LONG) == [UNIT] * 3
        assert await embedded(proxy, UNIT, LONG) == [UNIT] * 2
        assert await embedded(proxy, LONG) == [UNIT]


async def test_a_mixed_reply_of_a_new_model() -> None:
    """Contract 5.9: of a model that has not proven itself, each vector that is too long is normalised."""
    async with proxied() as proxy:
        assert await embedded(proxy, *[UNIT] * (PROVEN - 1), LONG) == [UNIT] * PROVEN
        assert await embedded(proxy, UNIT, LONG) == [UNIT] * 2


async def test_only_the_first_of_a_reply_is_read() -> None:
    """ADR 24: that is what it costs, should a model that has proven itself mix them."""
    async with proxied() as proxy:
        await prove(proxy)
        assert await embedded(proxy, UNIT, LONG) == [UNIT, LONG]


async def test_one_in_16_that_come_alone() -> None:
    """ADR 24: a model whose vectors have changed is found out within 16 replies, and put back."""
    async with proxied() as proxy:
        await prove(proxy)
        found = [await embedded(proxy, LONG) for _ in range(SINGLES + 2)]
        assert found == [[LONG]] * (SINGLES - 1) + [[UNIT]] * 3


async def test_dimensions_of_a_proven_model() -> None:
    """Contract 5.9: vectors that are cut are cut all of them, whatever is known of whole ones."""
    async with proxied() as proxy:
        await prove(proxy)
        assert await embedded(proxy, UNIT, dimensions=1) == [[1.0]]
        assert await embedded(proxy, UNIT, UNIT, dimensions=1) == [[1.0], [1.0]]
        assert await embedded(proxy, *[UNIT] * PROVEN, dimensions=1) == [[1.0]] * PROVEN


async def test_the_older_route_proves_nothing() -> None:
    """Contract 5.10: its vectors may have any length, and are as they came after many of them, too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", reply(LONG))
        for _ in range(PROVEN + SINGLES + 1):
            response = await proxy.ask("POST", "/api/embeddings", {"model": "m", "prompt": "a"})
            assert response.json == {"embedding": LONG}
        assert await embedded(proxy, LONG) == [UNIT]


NO_NUMBERS = "the upstream sent an embedding that is no list of numbers"
NOT_FINITE = "embedding contains NaN or Inf values"
UNEVEN = "the upstream answered with embeddings of different lengths"
INVALID = "the upstream sent invalid JSON"


@pytest.mark.parametrize(
    ("vector", "status", "message"),
    [
        ("[null,1]", 400, NOT_FINITE),
        ("[NaN,1]", 400, NOT_FINITE),
        ("[1e999,1]", 400, NOT_FINITE),
        ('["1","2"]', 502, NO_NUMBERS),
        ("[true,false]", 502, NO_NUMBERS),
        ("[[1,0],[0,1]]", 502, NO_NUMBERS),
        ("[0.6,,0.8]", 502, NO_NUMBERS),
        ("[0.6 0.8]", 502, NO_NUMBERS),
        ("[0.6,0.8,0.0]", 502, UNEVEN),
        ("[0.6]", 502, UNEVEN),
        ("null", 502, INVALID),
        ('"%"', 502, INVALID),
        ('"AADAfwAAAAA="', 400, NOT_FINITE),
    ],
)
async def test_h27_faults_of_a_proven_model(vector: str, status: int, message: str) -> None:
    """H27: a vector that is not read for its length has to be a list of numbers, as many as in the others."""
    async with proxied() as proxy:
        await prove(proxy)
        whole = json.dumps({"data": [{"index": at, "embedding": UNIT} for at in range(3)]})
        proxy.upstream.script("m", body(vector.join(whole.rsplit(json.dumps(UNIT), 1)).encode()))
        response = await proxy.ask("POST", "/api/embed", {"model": "m", "input": ["a", "b", "c"]})
        assert (response.status, response.json) == (status, {"error": message})

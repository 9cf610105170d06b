"""A fresh list for whoever needs one now, such as the pull of a model that nobody knew."""

from __future__ import annotations

import asyncio
import time

import pytest

from ollama_openai_proxy.errors import UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from support.listing import MODELS, catalog_of, listed
from support.replies import body
from support.scripted import Hold, Wait
from support.scripted import Upstream as Backend
from support.waiting import eventually


async def settled(backend: Backend, seconds: float = 1.05) -> None:
    """Wait until the last list is no longer fresh."""
    await eventually(lambda: backend.requests and backend.requests[-1].answered.is_set())
    await asyncio.sleep(seconds)


async def test_new_model_is_there_at_once() -> None:
    """5.11: what the backend has got since its last list can be pulled."""
    async with Backend() as backend:
        backend.script(MODELS, listed("old"), listed("old", "new"))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            await settled(backend)
            await catalog.renew()
            assert (await catalog.find("new")).id == "new"
            assert len(backend.requests) == 2


async def test_everybody_shares_one_answer() -> None:
    """However many ask at a time, the backend is asked once; and so it is within a second after."""
    gate = asyncio.Event()
    async with Backend() as backend:
        backend.script(MODELS, listed("old"), (Wait(gate), *listed("new")), listed("unseen"))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            await settled(backend)
            asking = [asyncio.create_task(catalog.renew()) for _ in range(50)]
            await eventually(lambda: len(backend.requests) == 2)
            gate.set()
            await asyncio.gather(*asking)
            await catalog.renew()
            assert [model.id for model in catalog.known] == ["new"]
            assert len(backend.requests) == 2


async def test_one_that_leaves_does_not_take_the_rest_along() -> None:
    """A client that gives up while it waits for the list leaves the others theirs."""
    async with Backend() as backend:
        backend.script(MODELS, listed("old"), (Hold(),), listed("new"))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            await settled(backend)
            first = asyncio.create_task(catalog.renew())
            await eventually(lambda: len(backend.requests) == 2)
            second = asyncio.create_task(catalog.renew())
            await asyncio.sleep(0)
            first.cancel()
            await second
            assert [model.id for model in catalog.known] == ["new"]


async def test_failure_is_told_and_shared() -> None:
    """Who needs the list is told why there is none, the next within the second as well, and the last list stays."""
    async with Backend() as backend:
        backend.script(MODELS, listed("old"), body({"error": {"message": "Loading model"}}, 503))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            await settled(backend)
            for _ in range(2):
                with pytest.raises(UpstreamRefused, match="Loading model"):
                    await catalog.renew()
            assert len(backend.requests) == 2
            assert [model.id for model in catalog.known] == ["old"]


async def test_backend_that_is_away() -> None:
    """A backend that can't be reached is an error, not an empty list."""
    async with Backend() as backend:
        backend.script(MODELS, listed("old"))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            await settled(backend)
            await backend.stop()
            with pytest.raises(UpstreamUnreachable):
                await catalog.renew()
            await backend.start()


async def test_slow_backend_is_waited_for_5_seconds() -> None:
    """Nobody waits longer, whoever asked first."""
    async with Backend() as backend:
        backend.script(MODELS, listed("old"), (Hold(),))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            await settled(backend)
            started = time.monotonic()
            answers = await asyncio.gather(catalog.renew(), catalog.renew(), return_exceptions=True)
            assert all(isinstance(answer, UpstreamTimeout) for answer in answers)
            assert 4.9 < time.monotonic() - started < 7.0


async def test_pacing_goes_on() -> None:
    """Renewals neither hasten nor delay the lists that are fetched anyway."""
    async with Backend() as backend:
        backend.script(MODELS, listed("a"))
        async with catalog_of(backend, refresh=1.5) as catalog:
            await catalog.models()
            await settled(backend)
            await catalog.renew()
            assert len(backend.requests) == 2
            await eventually(lambda: len(backend.requests) == 3, within=2.0)

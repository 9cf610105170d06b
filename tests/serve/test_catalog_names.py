"""Names of models that have more to them than a model and a tag (contract 2.2, 2.5)."""

from __future__ import annotations

import pytest

from support.proxy import Proxy, proxied, running_proxy
from support.replies import HI
from support.scripted import Upstream as Backend


async def test_two_models_of_one_name_are_shown_once() -> None:
    """2.2: `x` and `x:latest` are one name to Ollama; each is still answered by its own id."""
    async with Backend() as backend:
        backend.models = [{"id": "x"}, {"id": "x:latest"}, {"id": "y"}]
        for name in ("x", "x:latest"):
            backend.script(name, HI)
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            entries = (await proxy.ask("GET", "/api/tags")).json["models"]
            assert sorted(entry["name"] for entry in entries) == ["x:latest", "y:latest"]
            for name in ("x", "x:latest"):
                await proxy.chat(name)
            (running,) = (await proxy.ask("GET", "/api/ps")).json["models"]  # 5.5: shown by that name, once
            assert running["name"] == "x:latest"
        assert [request.json["model"] for request in backend.posts] == ["x", "x:latest"]


@pytest.mark.parametrize("name", ["m:cloud", "m:120b-cloud", "my-cloud", "m:cloud:local"])
async def test_names_of_the_cloud_are_ordinary_ids(name: str) -> None:
    """2.5: a backend may call its models so, and nobody asks ollama.com."""
    async with Backend() as backend:
        backend.models = [{"id": name}]
        backend.script(name, HI)
        async with running_proxy(backend.url) as url:
            assert (await Proxy(url, backend).chat(name)).status == 200


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show", "/api/embed"])
async def test_local_and_cloud_at_once(path: str) -> None:
    """2.5: a name that says both is refused, as the client spelled it."""
    async with proxied() as proxy:
        for name in ("m:cloud:local", "m:local:cloud", "M:20B-CLOUD:Local"):
            response = await proxy.ask("POST", path, {"model": name, "input": "x"})
            refusal = f'use either :local or :cloud, not both: "{name}"'
            assert (response.status, response.json) == (400, {"error": refusal})
        assert proxy.upstream.posts == []


async def test_local_marker_is_not_handed_on() -> None:
    """2.5: `:local` says where to look, and is no part of the name that the backend gets."""
    async with proxied(forward_unknown_models=True) as proxy:
        proxy.upstream.script("deployment", HI)
        assert (await proxy.chat(" deployment:LOCAL ")).status == 200

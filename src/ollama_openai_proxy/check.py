"""`check`: one line for each thing that must be right before clients can be served."""

from __future__ import annotations

from collections.abc import AsyncIterator

import uvloop

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.errors import ProxyError, UpstreamRefused, UpstreamUnauthorised
from ollama_openai_proxy.main import create_catalog, create_upstream
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.translate.ollama.catalog import capabilities
from ollama_openai_proxy.translate.ollama.reply import CHAT, Reply, ReplyEncoder
from ollama_openai_proxy.translate.openai.request import encode
from ollama_openai_proxy.translate.translator import ReplyTranslator
from ollama_openai_proxy.upstream.client import Upstream


class _FailedError(Exception):
    """What is wrong; nothing after it can be checked."""


def run(settings: Settings, model: str | None = None) -> int:
    """Check what there is and return the exit status."""
    return uvloop.run(check(settings, model))


async def check(settings: Settings, model: str | None = None) -> int:
    """Print the lines and return an exit status: 0 if all is well. One token is generated."""
    print("ok    settings valid")
    if not settings.base_url:
        print("FAIL  upstream: OPENAI_API_BASE_URL is not set")
        return 1
    try:
        async with create_upstream(settings) as upstream:
            async for line in _steps(upstream, create_catalog(settings, upstream), model):
                print("ok   ", line, flush=True)
    except _FailedError as failure:
        print("FAIL ", failure)
        return 1
    return 0


async def _steps(upstream: Upstream, catalog: Catalog, model: str | None) -> AsyncIterator[str]:
    try:
        await catalog.update()
    except UpstreamUnauthorised as error:
        yield "upstream reachable"
        raise _FailedError(f"key: {error.message}") from None
    except UpstreamRefused as error:
        yield "upstream reachable"
        raise _FailedError(f"models: {error.message}") from None
    except ProxyError as error:
        raise _FailedError(f"upstream: {error.message}") from None
    yield "upstream reachable"
    models = catalog.known
    yield f"{len(models)} models ({catalog.profile.name} profile)"
    chatting = [each.id for each in models if "completion" in capabilities(each)]
    name = model or (chatting[0] if chatting else "")
    if not name:
        raise _FailedError("streaming: no model to ask; name one with --model")
    try:
        called = next((each.upstream_id for each in models if name in (each.id, each.name)), name)
        await _stream_one_token(upstream, catalog, called)
    except UpstreamUnauthorised as error:  # the list of models is often open to all
        raise _FailedError(f"key: {error.message}") from None
    except ProxyError as error:
        raise _FailedError(f"streaming from {name}: {error.message}") from None
    yield "key accepted" if upstream.secrets else "no key is set, and none was asked for"
    yield f"streaming works ({name})"


async def _stream_one_token(upstream: Upstream, catalog: Catalog, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "stream": True}
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, model, arrived=0, streamed=True)), upstream.secrets)
    reply = await upstream.open(Call("/chat/completions", encode(body, catalog.profile), model, streamed=True))
    try:
        translator.open(reply.content_type, 0)
        while not translator.done and not translator.failure:
            read = await reply.read()
            _ = translator.feed(read, 0) if read else translator.close(0)
    finally:
        reply.close()
    if translator.failure:
        raise translator.failure

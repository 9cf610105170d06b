"""What this server does of Ollama's API, route by route (contract 1.1, 5). Data.

docs/compatibility.md and the description of the API are made of it, and tests hold it against the routes, the
requests and the options that there are.
"""

from __future__ import annotations

from typing import NamedTuple

from ollama_openai_proxy.translate.ollama import answers, management, wire
from ollama_openai_proxy.translate.ollama.answers import Support
from ollama_openai_proxy.translate.ollama.decoding import Wire


class Endpoint(NamedTuple):
    """A route: what is done with it, and why or how.

    `section` is the contract's. `body` is what is read of a request, `answer` what is sent: None is an empty body
    or, where `text` is true, a text. `streamed`: as lines of it, unless the request says otherwise. `errors` are
    the statuses that it may fail with, `4XX` where the backend has its own.
    """

    path: str
    methods: tuple[str, ...]
    section: str
    support: Support
    note: str
    body: type[Wire] | None = None
    answer: type[answers.Shape] | None = None
    streamed: bool = False
    text: bool = False
    errors: tuple[str, ...] = ()


_READ = ("HEAD", "GET")
_ASKS = ("4XX", "5XX")
_BODY = ("400", "408", "413")
_LIST = ("500", "502", "503", "504")

ENDPOINTS = (
    Endpoint("/", _READ, "5.1", "answered", "a text that says that the server is there", text=True),
    Endpoint("/api/version", _READ, "5.2", "answered", "a version of Ollama's, for clients", answer=answers.Version),
    Endpoint("/api/status", ("GET",), "5.3", "answered", "the cloud is off", answer=answers.Status),
    Endpoint(
        "/api/tags",
        _READ,
        "5.4",
        "translated",
        "the backend's list, fetched in the background, and the aliases",
        answer=answers.Tags,
        errors=_LIST,
    ),
    Endpoint("/api/ps", ("GET",), "5.5", "answered", "what was used within its keep_alive", answer=answers.Processes),
    Endpoint(
        "/api/show",
        ("POST",),
        "5.6",
        "translated",
        "what the backend, `MODELS_FILE` and the alias tell of a model",
        body=wire.ShowRequest,
        answer=answers.Shown,
        errors=(*_BODY, "404", *_LIST),
    ),
    Endpoint(
        "/api/generate",
        ("POST",),
        "5.7",
        "translated",
        "a chat completion of one turn, or a plain completion",
        body=wire.GenerateRequest,
        answer=answers.GenerateAnswer,
        streamed=True,
        errors=_ASKS,
    ),
    Endpoint(
        "/api/chat",
        ("POST",),
        "5.8",
        "translated",
        "a chat completion",
        body=wire.ChatRequest,
        answer=answers.ChatAnswer,
        streamed=True,
        errors=_ASKS,
    ),
    Endpoint(
        "/api/embed",
        ("POST",),
        "5.9",
        "translated",
        "embeddings, all texts in one call",
        body=wire.EmbedRequest,
        answer=answers.EmbedAnswer,
        errors=_ASKS,
    ),
    Endpoint(
        "/api/embeddings",
        ("POST",),
        "5.10",
        "translated",
        "the older route: one vector, as the backend sends it",
        body=wire.EmbeddingsRequest,
        answer=answers.EmbeddingsAnswer,
        errors=_ASKS,
    ),
    Endpoint(
        "/api/pull",
        ("POST",),
        "5.11",
        "answered",
        "says that a model is there, if the backend has it; nothing is fetched",
        body=management.PullRequest,
        answer=answers.Progress,
        streamed=True,
        errors=(*_BODY, *_LIST),
    ),
    Endpoint(
        "/api/push",
        ("POST",),
        "5.12",
        "refused",
        "there is no registry: it ends in Ollama's error",
        body=management.PushRequest,
        answer=answers.Progress,
        streamed=True,
        errors=(*_BODY, "403", *_LIST),
    ),
    Endpoint(
        "/api/create",
        ("POST",),
        "5.13",
        "answered",
        "makes an alias of a model, with a system prompt, options and messages of its own",
        body=management.CreateRequest,
        answer=answers.Progress,
        streamed=True,
        errors=(*_BODY, "403", *_LIST),
    ),
    Endpoint(
        "/api/copy",
        ("POST",),
        "5.14",
        "answered",
        "makes an alias of a model",
        body=management.CopyRequest,
        errors=(*_BODY, "403", "404", *_LIST),
    ),
    Endpoint(
        "/api/delete",
        ("DELETE",),
        "5.15",
        "answered",
        "removes an alias",
        body=management.DeleteRequest,
        errors=(*_BODY, "403", "404", *_LIST),
    ),
    Endpoint(
        "/api/blobs/{digest}",
        ("HEAD", "POST"),
        "5.16",
        "refused",
        "there are no weights here, and none are taken",
        errors=(*_BODY, "403", "404"),
    ),
    Endpoint("/api/me", ("POST",), "5.17", "refused", "nobody is signed in to ollama.com", errors=("401",)),
    Endpoint("/api/signout", ("POST",), "5.17", "refused", "nobody is signed in to ollama.com", errors=("401",)),
    Endpoint(
        "/api/user/keys/{key}", ("DELETE",), "5.17", "refused", "nobody is signed in to ollama.com", errors=("401",)
    ),
    Endpoint(
        "/api/experimental/web_search",
        ("POST",),
        "5.18",
        "refused",
        "ollama.com is never asked",
        errors=(*_BODY, "403"),
    ),
    Endpoint(
        "/api/experimental/web_fetch",
        ("POST",),
        "5.18",
        "refused",
        "ollama.com is never asked",
        errors=(*_BODY, "403"),
    ),
    Endpoint(
        "/api/experimental/model-recommendations",
        ("GET",),
        "5.18",
        "answered",
        "none: they are ollama.com's",
        answer=answers.Recommendations,
    ),
)

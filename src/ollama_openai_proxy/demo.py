"""The embedded backend: an OpenAI-compatible server without a model, a key or a network.

Newcomers, tests and benchmarks run the whole path against it. The same request always gets the same reply, and some
models fail in a way their name tells; docs/demo.md lists them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.types import Message, Send

from ollama_openai_proxy import demo_answers as answers
from ollama_openai_proxy import demo_values as values
from ollama_openai_proxy.demo_answers import Answer, ChatRequest, JsonObject

CREATED = 1_700_000_000
CHAT_MODELS = ("demo", "demo-think", "Demo-Large", "acme/demo:free")
EMBEDDING_MODEL = "demo-embed"
FAULTS = ("cut", "stall", "malformed", "error", "html")
LISTED_STATUSES = (400, 401, 404, 429, 500, 503)
FAILING_MODELS = tuple(f"demo-fail-{fault}" for fault in (*(f"status-{code}" for code in LISTED_STATUSES), *FAULTS))
PARAMETERS = "tools tool_choice response_format structured_outputs max_tokens stop logprobs top_logprobs"
MID_STREAM = "The demo backend fails in the middle because the name of the model asks for it"
# A fault strikes after the role and a few words, when a client has begun to show them.
TOKENS_BEFORE_FAULT = 3

Body = TypeVar("Body")


class CompletionRequest(msgspec.Struct):
    model: str
    prompt: str | list[str]
    suffix: str | None = None
    stream: bool | None = None
    stream_options: answers.StreamOptions | None = None
    max_tokens: answers.Count | None = None
    stop: str | list[str] | None = None


class EmbeddingsRequest(msgspec.Struct):
    model: str
    input: str | Annotated[list[str | int | list[int]], msgspec.Meta(min_length=1)]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    encoding_format: str = "float"


class RefusedError(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in both its forms."""

    whole: JsonObject
    opening: Sequence[JsonObject] = ()
    tokens: Sequence[JsonObject] = ()
    closing: Sequence[JsonObject] = ()


class CutResponse(StreamingResponse):
    """Sends what there is, but not the end: the server then closes the connection without a last chunk."""

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for part in self.body_iterator:
            await send({"type": "http.response.body", "body": part, "more_body": True})


def create_demo(*, rate: float = 50.0) -> FastAPI:
    """`rate` is the number of streamed tokens per second; 0 means as fast as they can be sent."""
    app = FastAPI(openapi_url=None, redirect_slashes=False, telemetry={"auto_configure": False})

    @app.exception_handler(RefusedError)
    async def refuse(_: Request, refused: RefusedError) -> Response:
        return refused.response

    @app.get("/v1/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": list(model_list())})

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await _parsed(request, ChatRequest)
        fault = _fault(body.model, CHAT_MODELS)
        try:
            answer = answers.answer(body, thinks=body.model == "demo-think")
        except answers.BadImageError as error:
            raise _refusal(400, str(error)) from error
        return _respond(request, chat_reply(body, answer), fault, rate if body.stream else None)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = await _parsed(request, CompletionRequest)
        fault = _fault(body.model, CHAT_MODELS)
        return _respond(request, completion_reply(body), fault, rate if body.stream else None)

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        body = await _parsed(request, EmbeddingsRequest)
        fault = _fault(body.model, (EMBEDDING_MODEL,))
        return _respond(request, Reply(embeddings_reply(body)), fault, None)

    return app


def model_list() -> Iterator[JsonObject]:
    """The fields that OpenRouter adds to OpenAI's tell what a model can do."""
    for name in (*CHAT_MODELS, *FAILING_MODELS):
        thinking = " reasoning include_reasoning" if name == "demo-think" else ""
        yield _model(name, ["text", "image"], "text", PARAMETERS + thinking)
    yield _model(EMBEDDING_MODEL, ["text"], "embeddings", "dimensions encoding_format")


def _model(name: str, inputs: list[str], output: str, parameters: str) -> JsonObject:
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "ollama-openai-proxy",
        "context_length": 8192,
        "architecture": {"input_modalities": inputs, "output_modalities": [output]},
        "supported_parameters": parameters.split(),
    }


async def _parsed(request: Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(400, f"Invalid request body: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refusal(400, f"The request body is not valid JSON: {error}.") from error


def _error(message: str, kind: str = "server_error", code: str | None = "demo_failure") -> JsonObject:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _refusal(status: int, message: str, code: str | None = None, kind: str = "invalid_request_error") -> RefusedError:
    headers = {"Retry-After": "7"} if status == 429 else None
    return RefusedError(JSONResponse(_error(message, kind, code), status, headers))


def _fault(model: str, served: tuple[str, ...]) -> str | None:
    """What shall go wrong in the reply; what goes wrong before it is raised here."""
    if model in served:
        return None
    if model in (*CHAT_MODELS, EMBEDDING_MODEL):
        raise _refusal(400, f"The model '{model}' does not support this endpoint")
    if model == "demo-fail-html":
        page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
        raise RefusedError(HTMLResponse(page, 502))
    if match := re.fullmatch(r"demo-fail-status-([45]\d\d)", model):
        status = int(match[1])
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")
        message = f"The demo backend answers {status} because the name of the model asks for it"
        raise _refusal(status, message, "demo_failure", kind if status < 500 else "server_error")
    fault = model.removeprefix("demo-fail-")
    if fault in FAULTS and fault != model:
        return fault
    raise _refusal(404, f"The model '{model}' does not exist", "model_not_found")


def _respond(request: Request, reply: Reply, fault: str | None, rate: float | None) -> Response:
    """`rate` is None when the reply is not to be streamed."""
    response = CutResponse if fault == "cut" else StreamingResponse
    if rate is not None:
        return response(_stream(request, reply, fault, rate), media_type="text/event-stream")
    if fault:
        return response(_broken_body(request, reply, fault), media_type="application/json")
    return JSONResponse(reply.whole)


async def _broken_body(request: Request, reply: Reply, fault: str) -> AsyncIterator[bytes]:
    body = msgspec.json.encode(_error(MID_STREAM) if fault == "error" else reply.whole)
    yield body if fault == "error" else body[: len(body) // 2]
    if fault == "stall":
        await _client_left(request)


async def _stream(request: Request, reply: Reply, fault: str | None, rate: float) -> AsyncIterator[bytes]:
    for event in reply.opening:
        yield _event(event)
    for event in reply.tokens[:TOKENS_BEFORE_FAULT] if fault else reply.tokens:
        if rate > 0:
            await asyncio.sleep(1 / rate)
        yield _event(event)
    if fault == "stall":
        await _client_left(request)
    for part in _ending(reply, fault):
        yield part


def _ending(reply: Reply, fault: str | None) -> Iterator[bytes]:
    if fault in ("cut", "stall"):
        return
    if fault == "malformed":
        yield b'data: {"id": "chatcmpl-\n\n'
    yield from map(_event, [_error(MID_STREAM)] if fault == "error" else reply.closing)
    yield b"data: [DONE]\n\n"


def _event(data: JsonObject) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


async def _client_left(request: Request) -> None:
    message: Message = {"type": "http.request"}
    while message["type"] != "http.disconnect":
        message = await request.receive()


def chat_reply(request: ChatRequest, answer: Answer) -> Reply:
    chunk, trailing = _chunks("chat.completion.chunk", request, answer.usage)
    top = request.top_logprobs or 0

    def logprobs(deltas: Iterable[JsonObject]) -> JsonObject | None:
        entries = [values.logprob(delta["content"], top) for delta in deltas if delta.get("content")]
        return {"content": entries, "refusal": None} if request.logprobs and entries else None

    def choice(delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        return {"index": 0, "delta": delta, "logprobs": logprobs([delta]), "finish_reason": finish_reason}

    whole = {
        "index": 0,
        "message": answers.join(answer.deltas),
        "logprobs": logprobs(answer.deltas),
        "finish_reason": answer.finish_reason,
    }
    return Reply(
        whole={**_head("chat.completion", request), "choices": [whole], "usage": answer.usage},
        opening=[chunk([choice({"role": "assistant", "content": ""})])],
        tokens=[chunk([choice(delta)]) for delta in answer.deltas],
        closing=[chunk([choice({}, answer.finish_reason)]), *trailing],
    )


def completion_reply(request: CompletionRequest) -> Reply:
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    texts = [answers.cut_at_stop(answers.completion(prompt, request.suffix), request.stop) for prompt in prompts]
    ends = [answers.cut_at_limit(answers.pieces(text), request.max_tokens) for text in texts]
    usage = answers.count_usage(prompts, sum(len(kept) for kept, _ in ends))
    chunk, trailing = _chunks("text_completion", request, usage)

    def choice(index: int, text: str, finish_reason: str | None = None) -> JsonObject:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}

    whole = [choice(index, "".join(kept), finish_reason) for index, (kept, finish_reason) in enumerate(ends)]
    return Reply(
        whole={**_head("text_completion", request), "choices": whole, "usage": usage},
        tokens=[chunk([choice(index, piece)]) for index, (kept, _) in enumerate(ends) for piece in kept],
        closing=[*(chunk([choice(index, "", reason)]) for index, (_, reason) in enumerate(ends)), *trailing],
    )


def _head(kind: str, request: ChatRequest | CompletionRequest) -> JsonObject:
    name = "chatcmpl" if isinstance(request, ChatRequest) else "cmpl"
    identity = values.digest(msgspec.json.encode(request))
    return {"id": f"{name}-{identity}", "object": kind, "created": CREATED, "model": request.model}


def _chunks(
    kind: str, request: ChatRequest | CompletionRequest, usage: JsonObject
) -> tuple[Callable[[list[JsonObject]], JsonObject], list[JsonObject]]:
    """What makes a chunk of choices, and the chunk that comes last if the client wants to know the usage."""
    head = _head(kind, request)
    if request.stream_options is None or not request.stream_options.include_usage:
        return lambda choices: {**head, "choices": choices}, []
    return lambda choices: {**head, "choices": choices, "usage": None}, [{**head, "choices": [], "usage": usage}]


def embeddings_reply(request: EmbeddingsRequest) -> JsonObject:
    given = request.input if isinstance(request.input, list) else [request.input]
    # A list of numbers is one text, in tokens.
    tokens = [item for item in given if isinstance(item, int)]
    inputs = [item for item in given if not isinstance(item, int)] + ([tokens] if tokens else [])
    vectors = [values.embedding(str(text), request.dimensions) for text in inputs]
    packed = request.encoding_format == "base64"
    count = sum(len(text.split() if isinstance(text, str) else text) for text in inputs)
    data = [
        {"object": "embedding", "index": index, "embedding": values.packed(vector) if packed else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}

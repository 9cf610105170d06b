"""Parsers of what clients send. Each target is given bytes, and fails where a client could do harm."""

from __future__ import annotations

import base64
import ipaddress
import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from fuzz.held import only_our_errors
from ollama_openai_proxy.serve import heads, hosts, routing
from ollama_openai_proxy.serve.callers import Callers
from ollama_openai_proxy.serve.origins import Origins, is_same
from ollama_openai_proxy.serve.unpacking import unpacker
from ollama_openai_proxy.translate import models
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import context, create, generate, management, media, names, request, wire
from ollama_openai_proxy.translate.ollama.template import fill, render
from ollama_openai_proxy.translate.openai import plain
from ollama_openai_proxy.translate.openai.profiles import PROFILES
from ollama_openai_proxy.translate.openai.request import encode

UNPACKED = 1024 * 1024  # bytes
MODEL = Model("m", upstream="upstream-name")
TURNS = [context.Turn("system", "Be short."), context.Turn("user", "Hi"), context.Turn("assistant", "Yes?")]


def fuzz_request(data: bytes) -> None:
    """A body of any bytes is refused on every route with an error of ours, or asks the backend for this model."""
    ask(wire.decode, data, wire.ChatRequest, lambda asked: sent(request.chat(checked(asked), MODEL)))
    ask(
        wire.decode, data, wire.GenerateRequest, lambda asked: sent(generate.generate(checked(asked), MODEL).completion)
    )
    ask(wire.decode, data, wire.EmbedRequest, lambda asked: encoded({"input": request.inputs_of(asked)}))
    ask(wire.decode, data, wire.EmbeddingsRequest, lambda asked: encoded({"input": asked.prompt}))
    ask(wire.decode, data, wire.ShowRequest, lambda asked: request.check_options(asked.options))
    for kind in (management.PullRequest, management.PushRequest, management.DeleteRequest):
        ask(management.decode, data, kind, management.named)
    ask(management.decode, data, management.CopyRequest, lambda asked: names.parse(asked.source or ""))


def ask(decode: Callable[[bytes, type[Any]], Any], data: bytes, kind: type[Any], use: Callable[[Any], object]) -> None:
    with only_our_errors():
        use(decode(data, kind))


def checked(asked: Any) -> Any:
    request.check(asked)
    request.keep_alive(asked.keep_alive)
    return asked


def sent(completion: request.Completion) -> None:
    """Check what each kind of backend would be sent: one JSON object with the model, and nothing made up."""
    assert completion.body["model"] == "upstream-name"
    for profile in PROFILES.values():
        body = completion.body
        if completion.raw:
            _, _, body = plain.ask(body, profile)
        data = encode(body, profile, extensions=completion.extensions, think=completion.think)
        assert b"\n" not in data
        found = json.loads(data)
        assert found.get("model", "upstream-name") == "upstream-name"
        assert not {"api_base", "base_url", "api_key", "extra_headers", "user_config"} & {*found}
        for part in parts_of(found):
            assert part.get("image_url", {"url": "data:"})["url"].startswith("data:")


def parts_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    contents = [message.get("content") for message in body.get("messages", [])]
    return [part for content in contents if isinstance(content, list) for part in content]


def encoded(body: dict[str, Any]) -> None:
    json.loads(encode({"model": "m", **body}, PROFILES["generic"]))


def fuzz_media(data: bytes) -> None:
    """An image of any text is refused, or sent on as `data:` with just these bytes: never a URL, never half."""
    text = data.decode(errors="replace")
    for image in (text, base64.b64encode(data).decode()):
        body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "", "images": [image]}]})
        with only_our_errors():
            asked = wire.decode(body, wire.ChatRequest)
            (message,) = asked.messages or []
            parts = json.loads(msgspec.json.encode(media.content("", message.images)))
            for part in parts:
                given = part["input_audio"]["data"] if "input_audio" in part else part["image_url"]["url"]
                kind, _, payload = given.rpartition(",")
                assert kind.startswith("data:image/") or "input_audio" in part
                assert base64.b64decode(payload, validate=True) == base64.b64decode(image)


def fuzz_template(data: bytes) -> None:
    """A template of any text renders to text within its budget, or is refused with an error of ours."""
    text = data.decode(errors="replace")
    with only_our_errors():
        assert isinstance(render(text, TURNS), str)
    with only_our_errors():
        assert isinstance(render(text, TURNS[1:2], "high"), str)
    with only_our_errors():
        assert isinstance(fill(text, "a", "b"), str)


def fuzz_create(data: bytes) -> None:
    """What makes an alias is refused, or makes one that can be stored and read again."""
    with only_our_errors():
        asked = management.decode(data, management.CreateRequest)
        create.check(asked)
        create.base_of(asked)
        alias = create.made(asked, "a:latest", MODEL, None, 0)
        assert (alias.name, alias.upstream) == ("a:latest", "upstream-name")
        create.layers(MODEL, alias.preset)


def fuzz_context(data: bytes) -> None:
    """Any numbers carry turns, or none, or are refused; what was carried once is carried again."""
    numbers = list(struct.unpack(f"<{len(data) // 4}i", data[: len(data) // 4 * 4]))
    packed = [context.MAGIC, len(data), 0, *numbers]
    for carried in (numbers, packed):
        with only_our_errors():
            turns = context.decode(carried)
            assert all(turn.role in ("system", "user", "assistant") for turn in turns)
    turn = context.Turn("user", data.decode(errors="replace"))
    assert context.decode(context.encode([turn])) == [turn]


def fuzz_names(data: bytes) -> None:
    """Hosts, origins, paths and names of models: each is told something, and raises nothing."""
    text = data.decode("latin-1")
    for rule in (hosts.Hosts("0.0.0.0", loopback=False), hosts.Hosts("127.0.0.1", loopback=True, allowed=("*.a.b",))):  # noqa: S104  # a name for a rule, nothing is bound
        rule.allows(text)
    assert not hosts.Hosts("127.0.0.1", loopback=True).allows(f"{text}.evil.example")
    Origins(("https://*.good.example",)).allows(text)
    is_same(text, text)
    cleaned = routing.clean(b"/" + data)
    assert cleaned.startswith(b"/")
    assert not cleaned.startswith(b"//")
    heads.target_of(data)
    if heads.is_host(data):
        assert not {*data} & {*b"\r\n\0/@ "}
    for header in heads.DECISIVE:
        heads.refusal_of_header(header, data)
    trusting = Callers([ipaddress.ip_network("10.0.0.0/8")])
    assert trusting.of({"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", data)]})
    with only_our_errors():
        models.check_source(text)
    models.is_valid_name(text)
    models.Directory([MODEL]).find(text)
    if name := names.parse(text):
        assert names.parse(name.display)
    assert management.is_digest(text) <= (len(text) == 71 and text.isascii())


def fuzz_packed(data: bytes) -> None:
    """A packed body comes out in pieces and within its limit, or is refused with an error of ours."""
    for encoding in ("gzip", "deflate"):
        size = 0
        with only_our_errors():
            unpacking = unpacker([encoding], UNPACKED)
            assert unpacking
            for start in range(0, len(data), 100):
                for piece in unpacking.feed(data[start : start + 100]):
                    size += len(piece)
                    assert size <= UNPACKED
            unpacking.finish()
    with only_our_errors():
        unpacker([data.decode("latin-1")], UNPACKED)

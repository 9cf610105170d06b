"""What clients send to manage models, and the lines they are told (contract 5.11 to 5.16)."""

from __future__ import annotations

import json

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import management
from ollama_openai_proxy.translate.ollama.catalog import digest, tags
from ollama_openai_proxy.translate.ollama.decoding import Wire
from ollama_openai_proxy.translate.ollama.management import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    PullRequest,
    PushRequest,
    decode,
    named,
)
from ollama_openai_proxy.translate.ollama.names import parse

KINDS = (PullRequest, PushRequest, CreateRequest, CopyRequest, DeleteRequest)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_body(kind: type[Wire]) -> None:
    """Contract 1.7: an empty body is missing, on every route that reads one."""
    with pytest.raises(InvalidRequest, match=r"^missing request body$"):
        decode(b" \n", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_route_is_named(kind: type[Wire]) -> None:
    """Contract 1.7: a wrong type is told with the name of the route's struct."""
    with pytest.raises(InvalidRequest) as raised:
        decode(b'{"model": 5, "source": 5}', kind)
    field = "source" if kind is CopyRequest else "model"
    struct = f"{kind.__name__}.{field}"
    assert raised.value.message == f"json: cannot unmarshal number into Go struct field {struct} of type string"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("stream", "false", "string into Go struct field CreateRequest.stream of type bool"),
        ("from", 1, "number into Go struct field CreateRequest.from of type string"),
        ("files", [], "array into Go struct field CreateRequest.files of type map[string]string"),
        ("parameters", "x", "string into Go struct field CreateRequest.parameters of type map[string]interface {}"),
        ("messages", "x", "string into Go struct field CreateRequest.messages of type []api.Message"),
        ("messages", [{"content": 1}], "number into Go struct field CreateRequest.messages.content of type string"),
    ],
)
def test_wrong_types_of_a_creation(field: str, value: object, text: str) -> None:
    """Contract 1.7: a field of the wrong type is told as Go tells it."""
    with pytest.raises(InvalidRequest) as raised:
        decode(json.dumps({"model": "m", field: value}).encode(), CreateRequest)
    assert raised.value.message == f"json: cannot unmarshal {text}"


def test_keys_in_another_case_and_unknown_ones() -> None:
    """Contract 1.7: keys fold case, others are ignored, null is unset."""
    request = decode(b'{"Model": null, "NAME": "n", "FROM": "b", "modelfile": "x"}', CreateRequest)
    assert (named(request), request.base) == ("n", "b")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"model": "a", "name": "b"}', "a"),
        (b'{"model": "", "name": "b"}', "b"),
        (b'{"name": "b"}', "b"),
        (b"{}", ""),
        (b"null", ""),
    ],
)
def test_old_and_new_key(body: bytes, name: str) -> None:
    """Contract 2.6: `model` counts unless it is empty, then `name`."""
    assert named(decode(body, DeleteRequest)) == name
    assert named(decode(body, PullRequest)) == name


@pytest.mark.parametrize(
    ("text", "is_digest"),
    [
        ("sha256:" + 64 * "a", True),
        ("sha256-" + 64 * "A", True),
        ("sha256:" + 63 * "a", False),
        ("sha256:" + 64 * "g", False),
        ("md5:" + 64 * "a", False),
        ("", False),
    ],
)
def test_digests(text: str, is_digest: bool) -> None:
    """Contract 5.16: `sha256`, `:` or `-`, and 64 hex digits."""
    assert management.is_digest(text) is is_digest


def told(lines: list[bytes]) -> list[object]:
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_pull_of_what_is_there() -> None:
    """Contract 5.11: one layer, complete from the start."""
    model = Model(id="m", size=5)
    found = digest(model)
    assert told(management.pulled(model)) == [
        {"status": "pulling manifest"},
        {"status": f"pulling {found[:12]}", "digest": f"sha256:{found}", "total": 5, "completed": 5},
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]


def test_pull_of_unknown_size() -> None:
    """Contract 5.4, 5.11: where the backend tells no size, the layer is what `/api/tags` counts: the description."""
    model = Model(id="m")
    (layer,) = [line for line in told(management.pulled(model)) if isinstance(line, dict) and len(line) > 1]
    (listed,) = json.loads(tags([model], 0, 4096))["models"]
    assert layer["total"] == layer["completed"] == listed["size"] > 0


def test_creation() -> None:
    """Contract 5.13: each layer is named with its digest, and whether it was there before."""
    assert told(management.created([("aa", False), ("bb", True)])) == [
        {"status": "using existing layer sha256:aa"},
        {"status": "creating new layer sha256:bb"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]


def test_what_nobody_has() -> None:
    """Contract 5.11, 5.12, rule R10: the words by which clients know that a model is nowhere, and their status."""
    pulled = management.no_model()
    assert (pulled.status, pulled.message) == (500, "pull model manifest: file does not exist")
    name = parse("me/m")
    assert name
    pushed = management.no_manifest(name)
    where = "manifests/registry.ollama.ai/me/m/latest"
    assert (pushed.status, pushed.message) == (500, f"open {where}: no such file or directory")

"""What Ollama's own unit tests assert of models that are made, copied and deleted (contract 12.2), one test a row.

The models are made from those of the embedded backend; each test takes away what it made.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

Make = Callable[..., str]


def show(http: httpx.Client, name: str) -> dict[str, Any]:
    response = http.post("/api/show", json={"model": name})
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


def listed(http: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in http.get("/api/tags").json()["models"]}


def refusal(http: httpx.Client, path: str, method: str = "POST", **fields: Any) -> tuple[int, str]:
    response = http.request(method, path, json=fields)
    assert [*response.json()] == ["error"]
    return response.status_code, response.json()["error"]


@pytest.fixture
def make(http: httpx.Client) -> Iterator[Make]:
    """Make a model under a name of its own, from `demo` unless something else is said."""
    names: list[str] = []

    def made(**fields: Any) -> str:
        name = fields.pop("model", f"made-{uuid.uuid4().hex[:8]}")
        body = {"model": name, "from": "demo", "stream": False, **fields}
        response = http.post("/api/create", json=body)
        assert (response.status_code, response.json()) == (200, {"status": "success"}), response.text
        names.append(name)
        return str(name)

    yield made
    for name in names:
        http.request("DELETE", "/api/delete", json={"model": name})


def test_routes_test_go_delete(http: httpx.Client, make: Make) -> None:
    """A model that is there is deleted with 200 and an empty body; then it is 404."""
    name = make()
    response = http.request("DELETE", "/api/delete", json={"model": name})
    assert (response.status_code, response.content, response.headers["content-length"]) == (200, b"", "0")
    assert f"{name}:latest" not in listed(http)
    assert refusal(http, "/api/delete", "DELETE", model=name) == (404, f"model '{name}' not found")


def test_routes_test_go_create(http: httpx.Client, make: Make) -> None:
    """A creation that is not streamed answers with one object as application/json, and the model is listed."""
    name = f"made-{uuid.uuid4().hex[:8]}"
    response = http.post("/api/create", json={"model": name, "from": "demo", "stream": False})
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"status": "success"}
    make(model=name)  # again is no error; and taken away afterwards
    assert f"{name}:latest" in listed(http)


def test_routes_test_go_copy(http: httpx.Client, make: Make) -> None:
    """A copy answers 200 with an empty body, and says what its source says."""
    name = make(system="Be brief.", parameters={"temperature": 0.25})
    response = http.post("/api/copy", json={"source": name, "destination": f"{name}-copy"})
    assert (response.status_code, response.content) == (200, b"")
    source, copy = show(http, name), show(http, f"{name}-copy")
    assert copy["system"] == source["system"] == "Be brief."
    assert copy["parameters"] == source["parameters"]
    assert http.request("DELETE", "/api/delete", json={"model": f"{name}-copy"}).status_code == 200
    assert f"{name}:latest" in listed(http)


def test_routes_test_go_show(http: httpx.Client, make: Make) -> None:
    """Parameters are shown as lines: the key, spaces up to column 30, a space, and the value as Go writes it."""
    name = make(parameters={"num_ctx": 4096, "stop": ["<|a|>", "<|b|>"], "temperature": 0.5})
    lines = sorted(show(http, name)["parameters"].split("\n"))
    assert lines == [
        f"{'num_ctx':30} 4096",
        f'{"stop":30} "<|a|>"',
        f'{"stop":30} "<|b|>"',
        f"{'temperature':30} 0.5",
    ]


def test_routes_test_go_case(http: httpx.Client, make: Make) -> None:
    """A name that differs in case is the same model for create, copy, show and delete, which makes no second one."""
    name = make()
    upper = name.upper()
    make(model=upper, system="Second.")
    assert show(http, name)["system"] == "Second."
    assert len([entry for entry in listed(http) if entry.casefold() == f"{name}:latest"]) == 1
    assert http.post("/api/copy", json={"source": upper, "destination": f"{name}-b"}).status_code == 200
    assert http.request("DELETE", "/api/delete", json={"name": f"{upper}-B"}).status_code == 200
    assert http.request("DELETE", "/api/delete", json={"name": upper}).status_code == 200
    assert f"{name}:latest" not in listed(http)


@pytest.mark.parametrize("route", ["/api/pull", "/api/create"])
def test_routes_test_go_wait(http: httpx.Client, make: Make, route: str) -> None:
    """What is waited for answers with the last object of its progress alone, or with a status and an error."""
    name = make()
    assert http.post(route, json={"model": name, "from": "demo", "stream": False}).json() == {"status": "success"}
    response = http.post(route, json={"model": "nope-of-them", "from": "nope-of-them", "stream": False})
    assert response.status_code >= 400
    assert response.headers["content-type"] == "application/json"
    assert [*response.json()] == ["error"]


def test_routes_delete_test_go(http: httpx.Client, make: Make) -> None:
    """What two models share survives the deletion of one of them."""
    first = make(system="Shared.")
    second = make(**{"from": first})
    http.request("DELETE", "/api/delete", json={"model": first})
    assert show(http, second)["system"] == "Shared."
    answer = http.post("/api/generate", json={"model": second, "prompt": "Hello", "stream": False})
    assert answer.json()["response"].startswith("You said: Hello")
    assert "demo:latest" in listed(http)


def test_routes_list_test_go(http: httpx.Client, make: Make) -> None:
    """Names are short, with their tag, and the newest is first."""
    name = make()
    entries = http.get("/api/tags").json()["models"]
    assert entries[0]["name"] == f"{name}:latest"
    times = [entry["modified_at"][:19] for entry in entries]
    assert times == sorted(times, reverse=True)
    assert not any("registry.ollama.ai" in entry["name"] for entry in entries)


def test_routes_create_test_go_digest(http: httpx.Client) -> None:
    """A file without a digest is 400, one outside its folder too."""
    assert refusal(http, "/api/create", model="a", files={"a.gguf": ""}) == (400, "invalid digest format")
    for path in ("/etc/passwd", "../a.gguf"):
        files = {path: "sha256:" + "0" * 64}
        assert refusal(http, "/api/create", model="a", files=files) == (400, "file path must be relative")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "a"}, "neither 'from' or 'files' was specified"),
        ({"model": "a", "from": "a b"}, "invalid model name"),
        ({"model": "a b", "from": "demo"}, "invalid model name"),
        ({"model": "", "from": "demo"}, "invalid model name"),
        ({"model": "a", "from": "demo", "template": "{{ .Prompt"}, "template error: unclosed action"),
        (
            {"model": "a", "from": "demo", "info": {"context_length": "x"}},
            'info field "context_length" must be a number',
        ),
    ],
    ids=["neither", "from", "name", "empty", "template", "info"],
)
@pytest.mark.parametrize("stream", [True, False])
def test_routes_create_test_go_refused(http: httpx.Client, fields: dict[str, Any], error: str, stream: bool) -> None:
    """What is wrong from the start has its own status, streamed or not, and makes nothing."""
    before = {*listed(http)}
    assert refusal(http, "/api/create", **fields, stream=stream) == (400, error)
    assert {*listed(http)} == before


def test_routes_create_test_go_licence(http: httpx.Client, make: Make) -> None:
    """A licence is a text or several, shown as one text with a line break between them."""
    assert show(http, make(license="MIT"))["license"] == "MIT"
    assert show(http, make(license=["MIT", "Apache-2.0"]))["license"] == "MIT\nApache-2.0"


def test_routes_create_test_go_inherits(http: httpx.Client, make: Make) -> None:
    """Parameters merge key by key and the new ones win; messages are replaced; an empty system leaves the base's."""
    first = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    base = make(system="Base.", parameters={"temperature": 0.5, "top_k": 7}, messages=first, license="MIT")
    heir = make(**{"from": base, "system": "", "parameters": {"top_k": 9}})
    shown = show(http, heir)
    assert shown["system"] == "Base."
    assert shown["license"] == "MIT"
    assert shown["messages"] == first
    assert sorted(shown["parameters"].split("\n")) == [f"{'temperature':30} 0.5", f"{'top_k':30} 9"]
    other = [{"role": "user", "content": "c"}]
    assert show(http, make(**{"from": base, "messages": other}))["messages"] == other


def test_model_caches_go(http: httpx.Client, make: Make) -> None:
    """The list, what is shown and the digest are new at once after a creation, a change and a deletion."""
    name = make(system="One.")
    digest = listed(http)[f"{name}:latest"]["digest"]
    make(model=name, system="Two.")
    assert show(http, name)["system"] == "Two."
    assert listed(http)[f"{name}:latest"]["digest"] != digest
    http.request("DELETE", "/api/delete", json={"model": name})
    assert f"{name}:latest" not in listed(http)
    assert http.post("/api/show", json={"model": name}).status_code == 404
    assert http.post("/api/chat", json={"model": name, "messages": []}).status_code == 404


def test_create_test_go_statuses(http: httpx.Client, make: Make) -> None:
    """A streamed creation is lines of statuses, each a text, and ends in `success`."""
    name = make()
    response = http.post("/api/create", json={"name": name, "from": "demo", "system": "Hi."})
    assert response.headers["content-type"] == "application/x-ndjson"
    *lines, rest = response.text.split("\n")
    statuses = [json.loads(line)["status"] for line in lines]
    assert (rest, statuses[-2:]) == ("", ["writing manifest", "success"])


@pytest.mark.parametrize("more", [{"files": {"a.gguf": "sha256:" + "0" * 64}}, {"quantize": "q4_K_M", "from": "demo"}])
def test_create_from_files(http: httpx.Client, more: dict[str, Any]) -> None:
    """Contract 5.13: what needs weights is 400, never a success that did nothing."""
    before = {*listed(http)}
    status, error = refusal(http, "/api/create", model="made-of-files", stream=False, **more)
    assert (status, bool(error)) == (400, True)
    assert {*listed(http)} == before


def test_delete_backend_model(http: httpx.Client) -> None:
    """A model of the backend can't be deleted: that is an error, and it is still there."""
    status, error = refusal(http, "/api/delete", "DELETE", model="demo")
    assert 400 <= status < 500
    assert error
    assert "demo:latest" in listed(http)
    assert http.post("/api/show", json={"model": "demo"}).status_code == 200

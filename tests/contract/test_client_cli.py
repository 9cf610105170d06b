"""The `ollama` CLI, replayed byte by byte (clients.md 2.1, contract 10.2): what its commands ask and need."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import httpx
import pytest

from contract.cli import Cli, CommandError, StatusError
from contract.running import Proxy


@pytest.fixture
def cli(proxy: Proxy) -> Cli:
    return Cli(proxy.url)


@pytest.fixture
def name(http: httpx.Client) -> Iterator[str]:
    """A name that no model has, before and after."""
    fresh = f"cli-{uuid.uuid4().hex[:8]}"
    yield fresh
    for made in (fresh, f"{fresh}-copy"):
        http.request("DELETE", "/api/delete", json={"model": made})


def test_list(cli: Cli) -> None:
    """`ollama list`: HEAD /, then the tags; twelve digits of each digest, no two alike."""
    rows = cli.listed()
    assert cli.asked == [("HEAD", "/"), ("GET", "/api/tags")]
    assert "demo:latest" in [row[0] for row in rows]
    assert len({row[1] for row in rows}) == len(rows)
    assert all(re.fullmatch("[0-9a-f]{12}", row[1]) for row in rows)


def test_ps(cli: Cli) -> None:
    """`ollama ps`: what runs, with its processor, its context and until when."""
    cli.run_once("demo", "Hi")
    row = next(row for row in cli.ps() if row[0] == "demo:latest")
    assert cli.asked[-2:] == [("HEAD", "/"), ("GET", "/api/ps")]
    assert row[1] == next(listed[1] for listed in cli.listed() if listed[0] == "demo:latest")
    assert row[3] in ("100% GPU", "100% CPU")
    assert row[4] == 8192


def test_show(cli: Cli) -> None:
    """`ollama show`: `name` is set and `model` empty; architecture, context and abilities are printed."""
    shown = cli.show("demo")
    assert cli.asked == [("HEAD", "/"), ("POST", "/api/show")]
    info = shown["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == 8192
    assert {"completion", "tools", "vision"} <= {*shown["capabilities"]}
    for key in ("parameters", "system", "license", "template"):
        assert isinstance(shown.get(key, ""), str)


def test_show_of_nothing(cli: Cli) -> None:
    """What is not there is 404, with its tag in the words."""
    with pytest.raises(StatusError, match=r"^model 'nope:latest' not found$") as raised:
        cli.show("nope")
    assert raised.value.status == 404


def test_run(cli: Cli) -> None:
    """`ollama run`: show, a load, then a chat for each turn, with the history."""
    first, second = cli.run("demo", "Hello", "Again")
    assert cli.asked == [
        ("HEAD", "/"),
        ("POST", "/api/show"),
        ("POST", "/api/generate"),
        ("POST", "/api/chat"),
        ("POST", "/api/chat"),
    ]
    assert first.startswith("You said: Hello\n")
    assert second.startswith("You said: Again\n")


def test_run_of_a_model_that_thinks(cli: Cli) -> None:
    """With the ability `thinking` the CLI sends `think: true` unasked, with the load too."""
    (answer,) = cli.run("demo-think", "Hello")
    assert answer.startswith("You said: Hello")
    assert "<think>" not in answer


def test_run_of_an_embedder(cli: Cli) -> None:
    """A model with the ability `embedding` gets its prompt by `/api/embed`."""
    assert cli.run("demo-embed", "Hello") == ["64"]
    assert cli.asked[-1] == ("POST", "/api/embed")


def test_run_pulls(cli: Cli) -> None:
    """A 404 of show makes `ollama run` pull; a model that is nowhere ends it in the words that the CLI looks for."""
    with pytest.raises(StatusError, match=r"^pull model manifest: file does not exist$"):
        cli.run("nope", "Hello")
    assert cli.asked == [("HEAD", "/"), ("POST", "/api/show"), ("POST", "/api/pull")]


def test_run_once(cli: Cli) -> None:
    """`ollama run NAME PROMPT` is a generation."""
    assert cli.run_once("demo", "Hello").startswith("You said: Hello\n")


@pytest.mark.parametrize("model", ["demo", "demo:latest", "DEMO", "acme/demo:free"])
def test_pull(cli: Cli, model: str) -> None:
    """`ollama pull` of what the backend has: the statuses of Ollama in their order, and `success` last."""
    statuses = cli.pull(model)
    assert cli.asked == [("HEAD", "/"), ("POST", "/api/pull")]
    assert statuses[0] == "pulling manifest"
    assert statuses[-1] == "success"
    assert [status for status in statuses if not re.fullmatch("pulling [0-9a-f]{12}", status)] == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]


def test_create_show_and_run(cli: Cli, name: str) -> None:
    """`ollama create` makes a model that list, show and run know, with its system text and its parameters."""
    statuses = cli.create(name, **{"from": "demo", "system": "Be brief.", "parameters": {"num_predict": 3}})
    assert cli.asked == [("HEAD", "/"), ("POST", "/api/create")]
    assert statuses[-2:] == ["writing manifest", "success"]
    assert f"{name}:latest" in [row[0] for row in cli.listed()]
    shown = cli.show(name)
    assert shown["system"] == "Be brief."
    assert shown["parameters"] == f"{'num_predict':30} 3"
    assert cli.run(name, "one two three") == ["You said: one"]


def test_cp(cli: Cli, name: str) -> None:
    """`ollama cp`: the copy is listed beside its source; of what is not there it fails in Ollama's words."""
    cli.cp("demo", name)
    cli.cp(name, f"{name}-copy")
    assert {f"{name}:latest", f"{name}-copy:latest"} <= {row[0] for row in cli.listed()}
    with pytest.raises(StatusError, match=r'^model "nope" not found$') as raised:
        cli.cp("nope", name)
    assert raised.value.status == 404


def test_rm(cli: Cli, name: str) -> None:
    """`ollama rm`: show, unload, then a deletion by `name` with an empty `model`; then it is gone."""
    cli.cp("demo", name)
    cli.asked.clear()
    cli.rm(name)
    assert cli.asked == [
        ("HEAD", "/"),
        ("POST", "/api/show"),
        ("POST", "/api/generate"),
        ("DELETE", "/api/delete"),
    ]
    assert cli.printed == [f"deleted '{name}'"]
    assert f"{name}:latest" not in [row[0] for row in cli.listed()]
    with pytest.raises(StatusError, match=rf"^model '{name}' not found$") as raised:
        cli.rm(name)
    assert raised.value.status == 404


def test_rm_of_a_backend_model(cli: Cli) -> None:
    """What is the backend's is not deleted: the CLI prints why, and does not print that it was."""
    with pytest.raises(StatusError) as raised:
        cli.rm("Demo-Large")
    assert 400 <= raised.value.status < 500
    assert str(raised.value)
    assert not any(line.startswith("deleted") for line in cli.printed)
    assert "Demo-Large:latest" in [row[0] for row in cli.listed()]


def test_stop(cli: Cli) -> None:
    """`ollama stop`: show, then a generation of nothing with "0s"; then ps does not list it."""
    cli.run_once("acme/demo:free", "Hi")
    assert "acme/demo:free" in [row[0] for row in cli.ps()]
    cli.asked.clear()
    cli.stop("acme/demo:free")
    assert cli.asked == [("HEAD", "/"), ("POST", "/api/show"), ("POST", "/api/generate")]
    assert "acme/demo:free" not in [row[0] for row in cli.ps()]
    with pytest.raises(CommandError, match="couldn't find model"):
        cli.stop("nope")


def test_push(cli: Cli) -> None:
    """`ollama push`: there is nothing to push to: it ends in an error, never in `success`."""
    for model in ("demo", "nope"):
        with pytest.raises(StatusError) as raised:
            cli.push(model)
        assert str(raised.value)
        assert "404 page not found" not in str(raised.value)


def test_signed_request(http: httpx.Client) -> None:
    """With OLLAMA_AUTH the CLI signs: a raw token and `?ts=` are no reason to refuse."""
    headers = {"Authorization": "AAAAC3NzaC1lZDI1NTE5AAAAIK:c2lnbmF0dXJl"}
    assert http.get("/api/tags", params={"ts": "1764000000"}, headers=headers).status_code == 200


def test_account(http: httpx.Client) -> None:
    """What only a real Ollama has is 401 with an address for the CLI to print, or not there: never a success."""
    me = http.post("/api/me")
    assert me.status_code in (401, 404)
    assert me.status_code == 404 or me.json()["signin_url"]
    assert http.get("/api/status").status_code in (200, 404)
    assert http.get("/api/experimental/model-recommendations").status_code in (200, 404)

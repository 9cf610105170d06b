"""The official Python SDK against the proxy: `generate` with everything that it can send (contract 5.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import ollama
import pytest

from contract.wire import DOT

NOTHING: dict[str, object] = {"width": 8, "height": 8, "steps": 2, "keep_alive": "5m", "options": {"num_ctx": 4096}}


def test_every_option(client: ollama.Client) -> None:
    """All that a chat backend can be told at once, and what means nothing to a text (width, height, steps)."""
    reply = client.generate(
        "demo",
        "one two",
        system="Be brief.",
        context=[1, 2],
        think=False,
        logprobs=True,
        top_logprobs=2,
        raw=False,
        format="json",
        images=[DOT],
        options={"temperature": 0, "seed": 1, "num_predict": 50, "stop": ["never"]},
        keep_alive=60,
        width=8,
        height=8,
        steps=2,
    )
    assert json.loads(reply.response or "") == {"you_said": "one two"}
    assert (reply.done, reply.done_reason) == (True, "stop")
    assert reply.logprobs is not None
    assert all(len(entry.top_logprobs or ()) == 2 for entry in reply.logprobs)
    assert reply.context


@pytest.mark.parametrize("stream", [True, False])
def test_context(client: ollama.Client, stream: bool) -> None:
    """The context of one answer goes into the next request; the prompt's tokens show that the model sees more."""

    def say(prompt: str, context: list[int] | None = None) -> ollama.GenerateResponse:
        if not stream:
            return client.generate("demo", prompt, context=context)
        *_, last = client.generate("demo", prompt, context=context, stream=True)
        return last

    first = say("one two three")
    second = say("four", list(first.context or ()))
    assert first.prompt_eval_count == 3
    assert (second.prompt_eval_count or 0) > 3 + 1
    assert len(second.context or ()) >= len(first.context or ())


def test_raw(client: ollama.Client) -> None:
    """A raw prompt comes back without a context."""
    reply = client.generate("demo", "Once upon", raw=True, **NOTHING)  # type: ignore[call-overload]  # a dictionary
    assert (reply.response or "").startswith("You said: Once upon")
    assert reply.context is None


def test_template(client: ollama.Client) -> None:
    """A template makes the prompt, which is continued as it stands."""
    template = "<{{ .System }}|{{ .Prompt }}>{{ .Response }}!"
    reply = client.generate("demo", "p", system="s", template=template)
    assert (reply.response or "").startswith("You said: <s|p>")
    assert reply.context


@pytest.fixture
def coder(client: ollama.Client, http: httpx.Client) -> Iterator[str]:
    """A model that is said to fill in, which the embedded backend does not say of its own."""
    info = {"capabilities": ["completion", "insert"]}
    made = http.post("/api/create", json={"model": "coder", "from": "demo", "info": info, "stream": False})
    assert made.json() == {"status": "success"}
    yield "coder"
    client.delete("coder")


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("stream", [True, False])
def test_suffix(client: ollama.Client, coder: str, raw: bool, stream: bool) -> None:
    """A text is filled in between the prompt and the suffix; editors say `raw` besides."""
    expected = 'Between "def f(" and "return 1".'
    if stream:
        parts = client.generate(coder, "def f(", suffix="return 1", raw=raw, stream=True)
        assert "".join(part.response or "" for part in parts) == expected
    else:
        assert client.generate(coder, "def f(", suffix="return 1", raw=raw).response == expected


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"raw": True, "system": "s"}, 400, "raw mode does not support template, system, or context"),
        ({"template": "{{ foo }}"}, 400, 'template error: function "foo" not defined'),
        ({"context": [0x4F435801, 5]}, 400, "invalid context"),
        ({"options": {"stop": 5}}, 500, 'option "stop" must be of type array'),
    ],
)
def test_errors(client: ollama.Client, asked: dict[str, object], status: int, message: str) -> None:
    """What is refused, in words that the SDK shows."""
    with pytest.raises(ollama.ResponseError) as caught:
        client.generate("demo", "p", **asked)  # type: ignore[call-overload]  # a dictionary
    assert (caught.value.status_code, caught.value.error) == (status, message)

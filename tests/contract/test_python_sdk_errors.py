"""The official Python SDK against the proxy: what it raises, before an answer and in the middle of one."""

from collections.abc import Callable, Generator

import ollama
import pytest

from contract.running import Proxy
from contract.wire import tool, user
from support.processes import eventually

HELLO = [user("Hello")]
UNAVAILABLE = "The demo backend answers {} because the name of the model asks for it"
MID_STREAM = "The demo backend fails in the middle because the name of the model asks for it"
CUT = "the upstream closed the stream before finishing"
Call = Callable[[ollama.Client], object]


@pytest.mark.parametrize(
    ("call", "status", "error"),
    [
        (lambda client: client.chat("nope", HELLO), 404, "model 'nope' not found"),
        (lambda client: list(client.chat("nope", HELLO, stream=True)), 404, "model 'nope' not found"),
        (lambda client: client.generate("nope", "Hello"), 404, "model 'nope' not found"),
        (lambda client: client.show("nope"), 404, "model 'nope:latest' not found"),
        (lambda client: client.embed("nope", "Hello"), 404, 'model "nope" not found, try pulling it first'),
        (lambda client: client.embeddings("nope", "Hello"), 404, 'model "nope" not found, try pulling it first'),
        (lambda client: client.chat("a b", HELLO), 400, "invalid model name"),
        (lambda client: client.chat("demo-embed", HELLO), 400, '"demo-embed" does not support chat'),
        (lambda client: client.generate("demo-embed", "Hello"), 400, '"demo-embed" does not support generate'),
        (
            lambda client: client.chat("demo", HELLO, options={"temperature": "hot"}),
            500,
            'option "temperature" must be of type float32',
        ),
        (lambda client: client.pull("nope"), 500, "pull model manifest: file does not exist"),
    ],
    ids=[
        *("chat", "streamed chat", "generate", "show", "embed", "embeddings", "no name", "chat of embedder"),
        *("generate of embedder", "option", "pull"),
    ],
)
def test_refused(client: ollama.Client, call: Call, status: int, error: str) -> None:
    """What can't be served is a status with Ollama's words (contract 2.6, 3, 4, 5.11)."""
    with pytest.raises(ollama.ResponseError) as raised:
        call(client)
    assert (raised.value.status_code, raised.value.error) == (status, error)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("model", "status", "error"),
    [
        ("demo-fail-status-400", 400, UNAVAILABLE.format(400)),
        ("demo-fail-status-401", 502, "the upstream rejected the proxy's credentials"),
        ("demo-fail-status-429", 429, UNAVAILABLE.format(429)),
        ("demo-fail-status-500", 500, UNAVAILABLE.format(500)),
        ("demo-fail-status-503", 503, UNAVAILABLE.format(503)),
        ("demo-fail-html", 502, "the upstream answered with status 502"),
    ],
)
def test_failing_backend(client: ollama.Client, model: str, status: int, error: str, stream: bool) -> None:
    """A backend that fails before it answers is a status and the backend's reason on one line (reliability 2.I)."""
    with pytest.raises(ollama.ResponseError) as raised:
        _ = list(client.chat(model, HELLO, stream=True)) if stream else client.chat(model, HELLO)
    assert (raised.value.status_code, raised.value.error) == (status, error)


@pytest.mark.parametrize(
    ("model", "status", "error"),
    [
        ("demo-fail-cut", 502, CUT),
        ("demo-fail-malformed", 502, "the upstream sent invalid JSON"),
        ("demo-fail-error", 502, MID_STREAM),
    ],
)
def test_broken_answer(client: ollama.Client, model: str, status: int, error: str) -> None:
    """A whole answer that broke is an error, never a part of an answer (reliability 2.0)."""
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat(model, HELLO)
    assert (raised.value.status_code, raised.value.error) == (status, error)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("demo-fail-cut", CUT),
        ("demo-fail-malformed", "the upstream sent invalid JSON"),
        ("demo-fail-error", MID_STREAM),
    ],
)
def test_broken_stream(client: ollama.Client, model: str, error: str) -> None:
    """A stream that breaks gives the text that came, then raises, and is never reported as finished (contract 1.10)."""
    chatted: list[ollama.ChatResponse] = []
    with pytest.raises(ollama.ResponseError) as raised:
        chatted.extend(client.chat(model, HELLO, stream=True))
    assert raised.value.error == error
    assert [part.message.content for part in chatted] == ["You", " said:", " Hello"]
    generated: list[ollama.GenerateResponse] = []
    with pytest.raises(ollama.ResponseError) as raised:
        generated.extend(client.generate(model, "Hello", stream=True))
    assert raised.value.error == error
    assert [part.response for part in generated] == ["You", " said:", " Hello"]
    assert not any(part.done for part in (*chatted, *generated))


def test_broken_tool_call(client: ollama.Client) -> None:
    """A call that was cut off is no call: nobody acts on half its arguments."""
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat("demo-fail-cut", [user("Call get_weather for Paris.")], tools=[tool("get_weather", "city")])
    assert raised.value.status_code == 502


def test_abandoned_stream(client: ollama.Client, proxy: Proxy) -> None:
    """When the client leaves a stream, the exchange ends at once, though the backend would never end it."""
    before = len(proxy.exchanges("demo-fail-stall"))
    stream = client.chat("demo-fail-stall", HELLO, stream=True)
    assert isinstance(stream, Generator)
    assert next(stream).message.content == "You"
    assert len(proxy.exchanges("demo-fail-stall")) == before
    stream.close()
    eventually(lambda: len(proxy.exchanges("demo-fail-stall")) > before, within=5)
    assert proxy.exchanges("demo-fail-stall")[-1]["outcome"] == "client_abort"
    assert client.chat("demo", HELLO).done

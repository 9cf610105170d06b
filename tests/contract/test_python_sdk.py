"""The official Python SDK against the proxy: models, text, options, embeddings."""

import math
from datetime import UTC, datetime, timedelta

import ollama
import pytest

from contract.wire import user

HELLO = [user("Hello")]
SEPARATORS = "a\u2028b\u2029c\u0085d"


def names(models: ollama.ListResponse | ollama.ProcessResponse) -> list[str | None]:
    return [model.model for model in models.models]


def loaded(client: ollama.Client, name: str) -> ollama.ProcessResponse.Model | None:
    return next((model for model in client.ps().models if model.model == name), None)


def test_list(client: ollama.Client) -> None:
    """Every model is listed under a name with a tag, with all that the SDK's types demand, and a digest of its own."""
    models = client.list().models
    assert {"demo:latest", "demo-think:latest", "Demo-Large:latest", "acme/demo:free", "demo-embed:latest"} <= {
        model.model for model in models
    }
    assert all(model.digest and len(model.digest) == 64 for model in models)
    assert len({model.digest for model in models}) == len(models)
    assert all(model.modified_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) for model in models)
    assert all(model.size is not None and model.size >= 0 for model in models)


@pytest.mark.parametrize(
    ("name", "capabilities"),
    [
        ("demo", {"completion", "tools", "vision"}),
        ("demo-think", {"completion", "tools", "vision", "thinking"}),
        ("acme/demo:free", {"completion", "tools", "vision"}),
        ("demo-embed", {"embedding"}),
    ],
)
def test_show(client: ollama.Client, name: str, capabilities: set[str]) -> None:
    """A model is shown with what it can do and the length of its context, under its architecture."""
    shown = client.show(name)
    assert {*(shown.capabilities or ())} == capabilities
    assert shown.modelinfo is not None
    assert shown.modelinfo[f"{shown.modelinfo['general.architecture']}.context_length"] == 8192


@pytest.mark.parametrize("name", ["demo", "demo:latest", "DEMO", "Demo:Latest", "demo-large", "ACME/demo:FREE"])
def test_names(client: ollama.Client, name: str) -> None:
    """A name may come with its tag or without, in any case, and is echoed as it came (contract 2.3, 2.4)."""
    reply = client.chat(name, HELLO)
    assert reply.model == name
    assert (reply.message.content or "").startswith("You said: Hello\n")


def test_chat(client: ollama.Client) -> None:
    """A chat is answered with the text, a reason and six measures."""
    reply = client.chat("demo", [{"role": "system", "content": "Be brief."}, user("one two")])
    assert (reply.message.content or "").startswith("You said: one two\n")
    assert (reply.message.role, reply.done, reply.done_reason) == ("assistant", True, "stop")
    assert reply.prompt_eval_count == 4  # the words of all messages
    assert reply.eval_count
    assert reply.total_duration
    assert reply.load_duration
    assert reply.prompt_eval_duration
    assert reply.eval_duration
    assert reply.message.tool_calls is None
    assert reply.message.thinking is None


def test_streamed_chat(client: ollama.Client) -> None:
    """A stream says the same as the whole reply, in several parts, of which only the last is done."""
    whole = client.chat("demo", HELLO)
    parts = list(client.chat("demo", HELLO, stream=True))
    assert len(parts) > 10
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", whole.eval_count)
    assert all(part.eval_count is None for part in parts[:-1])


def test_generate(client: ollama.Client) -> None:
    """A generation is a chat of one turn, with a system prompt if there is one."""
    reply = client.generate("demo", "one two", system="Be brief.")
    assert (reply.response or "").startswith("You said: one two\n")
    assert (reply.done, reply.done_reason, reply.prompt_eval_count) == (True, "stop", 4)


def test_streamed_generate(client: ollama.Client) -> None:
    """A streamed generation says the same as the whole one."""
    whole = client.generate("demo", "Hello")
    parts = list(client.generate("demo", "Hello", stream=True))
    assert len(parts) > 10
    assert "".join(part.response or "" for part in parts) == whole.response
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", whole.eval_count)


def test_generate_with_context(client: ollama.Client) -> None:
    """The `context` of an earlier answer, from any server, is accepted; the prompt is what counts."""
    reply = client.generate("demo", "Hello", context=[1, 2, 3])
    assert (reply.response or "").startswith("You said: Hello\n")


def test_raw_generate(client: ollama.Client) -> None:
    """A raw prompt goes to the backend untouched: as a completion, not as a chat."""
    reply = client.generate("demo", "Once upon", raw=True)
    assert (reply.response or "").startswith("You said: Once upon")


def test_t14_separators(client: ollama.Client) -> None:
    """Text with U+2028, U+2029 and U+0085 survives the SDK, which takes them for the ends of lines (R4)."""
    whole = client.chat("demo", [user(SEPARATORS)])
    parts = list(client.chat("demo", [user(SEPARATORS)], stream=True))
    assert (whole.message.content or "").startswith(f"You said: {SEPARATORS}\n")
    assert "".join(part.message.content or "" for part in parts) == whole.message.content


def test_b16_hostile_text(client: ollama.Client) -> None:
    """Text that looks like the end of a stream is text (B16)."""
    hostile = '"}\n{"done":true}\n\ndata: [DONE]\n\n\x00\x1b \\ 😀 é'
    parts = list(client.chat("demo", [user(hostile)], stream=True))
    assert "".join(part.message.content or "" for part in parts).startswith(f"You said: {hostile}")


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({"num_predict": 3}, "You said: one", "length"),
        ({"num_predict": -1, "stop": ["\n"]}, "You said: one two three", "stop"),
        ({"stop": ["two"]}, "You said: one ", "stop"),
        ({"stop": ["\n"], "temperature": None, "num_ctx": 8192, "mirostat": 1}, "You said: one two three", "stop"),
    ],
    ids=["num_predict", "no limit", "stop", "ignored"],
)
def test_options(client: ollama.Client, options: dict[str, object], text: str, reason: str) -> None:
    """Options reach the backend in its words; what it has no use for, and null, is left out (contract 4)."""
    reply = client.chat("demo", [user("one two three")], options=options)
    assert (reply.message.content, reply.done_reason) == (text, reason)


def test_num_predict_counts_tokens(client: ollama.Client) -> None:
    """`eval_count` is what was generated, when it was cut too."""
    assert client.generate("demo", "one two", options={"num_predict": 3}).eval_count == 3


def test_seed(client: ollama.Client) -> None:
    """The same seed gives the same answer."""
    first, second = (client.generate("demo", "Hello", options={"seed": 7, "temperature": 0}) for _ in range(2))
    assert first.response == second.response


def test_load_and_unload(client: ollama.Client) -> None:
    """A request without a prompt only loads the model, or unloads it, and generates nothing (R15)."""
    load = client.generate("Demo-Large")
    assert (load.response, load.done, load.done_reason, load.eval_count) == ("", True, "load", None)
    assert loaded(client, "Demo-Large:latest")
    unload = client.generate("Demo-Large", keep_alive=0)
    assert (unload.response, unload.done, unload.done_reason) == ("", True, "unload")
    assert loaded(client, "Demo-Large:latest") is None
    assert client.chat("Demo-Large", []).done_reason == "load"
    assert client.chat("Demo-Large", [], keep_alive=0).done_reason == "unload"
    assert loaded(client, "Demo-Large:latest") is None


def test_streamed_load(client: ollama.Client) -> None:
    """A load that is asked for as a stream is a stream of one object (contract 5.7)."""
    (part,) = client.chat("demo", [], stream=True)
    assert (part.done, part.done_reason, part.message.content) == (True, "load", "")


@pytest.mark.parametrize(
    ("keep_alive", "minutes"), [(None, 5), ("10m", 10), (90, 1.5), ("1h30m", 90)], ids=["default", "10m", "90", "1h30m"]
)
def test_keep_alive(client: ollama.Client, keep_alive: float | str | None, minutes: float) -> None:
    """A model that was used is listed as loaded until its time is over (contract 3.1, 5.5)."""
    client.chat("acme/demo:free", HELLO, keep_alive=keep_alive)
    entry = loaded(client, "acme/demo:free")
    assert entry
    assert entry.expires_at
    assert abs(entry.expires_at - datetime.now(UTC) - timedelta(minutes=minutes)) < timedelta(seconds=20)
    assert (entry.name, entry.context_length) == ("acme/demo:free", 8192)
    assert entry.size == entry.size_vram
    assert entry.digest == next(model.digest for model in client.list().models if model.model == "acme/demo:free")


def test_keep_alive_for_ever(client: ollama.Client) -> None:
    """A negative time is for ever, centuries ahead (contract 3.1)."""
    client.chat("acme/demo:free", HELLO, keep_alive=-1)
    entry = loaded(client, "acme/demo:free")
    assert entry
    assert entry.expires_at
    assert entry.expires_at.year > 2300


def test_answer_with_keep_alive_0(client: ollama.Client) -> None:
    """With a prompt, a time of 0 is answered and the model unloaded afterwards (contract 3.1)."""
    reply = client.chat("acme/demo:free", HELLO, keep_alive=0)
    assert (reply.message.content or "").startswith("You said: Hello")
    assert loaded(client, "acme/demo:free") is None


def test_embed(client: ollama.Client) -> None:
    """Each text of a batch gets its vector, of length 1 and in the order of the texts."""
    texts = ["a small boat", "the price of tea"]
    reply = client.embed("demo-embed", texts)
    assert [len(vector) for vector in reply.embeddings] == [64, 64]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-6) for vector in reply.embeddings)
    assert reply.prompt_eval_count == 7  # words
    assert reply.total_duration
    assert reply.load_duration
    assert [client.embed("demo-embed", text).embeddings[0] for text in texts] == reply.embeddings


@pytest.mark.parametrize(("dimensions", "length"), [(16, 16), (64, 64), (1000, 64)])
def test_dimensions(client: ollama.Client, dimensions: int, length: int) -> None:
    """`dimensions` cuts vectors, which then have length 1 again; more than there are changes nothing (contract 5.9)."""
    full = client.embed("demo-embed", "a boat").embeddings[0]
    cut = client.embed("demo-embed", "a boat", dimensions=dimensions).embeddings[0]
    head = full[:length]
    expected = [value / math.hypot(*head) for value in head]
    assert cut == pytest.approx(expected, abs=1e-6)


def test_embed_nothing(client: ollama.Client) -> None:
    """No text only loads the model; an empty text is a text (contract 5.9)."""
    assert client.embed("demo-embed", []).embeddings == []
    assert loaded(client, "demo-embed:latest")
    assert len(client.embed("demo-embed", [""]).embeddings) == 1


def test_legacy_embeddings(client: ollama.Client) -> None:
    """The older call gives one vector, and none for no text (contract 5.10)."""
    vector = client.embeddings("demo-embed", "a small boat").embedding
    assert vector == pytest.approx(client.embed("demo-embed", "a small boat").embeddings[0], abs=1e-6)
    assert client.embeddings("demo-embed", "").embedding == []

import re
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama.catalog import capabilities, digest, running, show, tags

FIRST_SEEN = 1_704_067_200  # 2024-01-01T00:00:00Z
LLAMA = Model(
    id="llama3.2",
    created=1_709_251_199,  # 2024-02-29T23:59:59Z
    owned_by="llamacpp",
    context_length=131072,
    embedding_length=3072,
    parameter_count=3_212_749_888,
    size=2019393189,
    quantization="Q4_K_M",
    family="llama",
)
BARE = Model(id="openai/gpt-4o", owned_by="system")
SIX = ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"]


def listed(*models: Model) -> Any:
    return msgspec.json.decode(tags(models, FIRST_SEEN))


def shown(model: Model, name: str = "asked", **settings: str) -> Any:
    return msgspec.json.decode(show(model, name, FIRST_SEEN, **settings))


def test_entry() -> None:
    """Contract 5.4: every field of an entry, in order, with what the backend told."""
    assert tags([LLAMA], FIRST_SEEN) == (
        b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","modified_at":"2024-02-29T23:59:59Z",'
        b'"size":2019393189,"digest":"' + digest(LLAMA).encode() + b'","details":{"parent_model":"","format":"gguf",'
        b'"family":"llama","families":["llama"],"parameter_size":"3.2B","quantization_level":"Q4_K_M",'
        b'"context_length":131072,"embedding_length":3072},"capabilities":["completion","tools"]}]}'
    )


def test_bare_entry() -> None:
    """Rule R12: a backend that tells only an id leaves empty strings and zeros, no nulls, and an honest date."""
    (entry,) = listed(BARE)["models"]
    assert entry == {
        "name": "openai/gpt-4o:latest",
        "model": "openai/gpt-4o:latest",
        "modified_at": "2024-01-01T00:00:00Z",
        "size": 0,
        "digest": digest(BARE),
        "details": dict.fromkeys(SIX, "") | {"families": []},
        "capabilities": ["completion", "tools"],
    }
    assert list(entry["details"]) == SIX


def test_no_models() -> None:
    """Contract 5.4, 5.5: an empty list is a list."""
    assert tags([], FIRST_SEEN) == running([], FIRST_SEEN * 10**9) == b'{"models":[]}'


def test_newest_first() -> None:
    """Contract 5.4: newest first; models of one second in the backend's order."""
    models = [Model(id="old", created=1), BARE, Model(id="new", created=FIRST_SEEN + 1), Model(id="also")]
    assert [entry["name"] for entry in listed(*models)["models"]] == [
        "new:latest",
        "openai/gpt-4o:latest",
        "also:latest",
        "old:latest",
    ]


@pytest.mark.parametrize("created", [None, 0, -1, 253_402_300_800, 1_704_067_200_000, 2**62])
def test_dates_that_are_none(created: int | None) -> None:
    """Rule R12: modified_at is always a date that clients can read, whatever number the backend sends."""
    model = Model(id="m", created=created)
    assert listed(model)["models"][0]["modified_at"] == "2024-01-01T00:00:00Z"
    assert shown(model)["modified_at"] == "2024-01-01T00:00:00Z"


def test_digests() -> None:
    """Section 5 of clients.md: 64 hex digits, unique, the same until what is known of the model changes."""
    assert re.fullmatch("[0-9a-f]{64}", digest(LLAMA))
    assert digest(msgspec.structs.replace(LLAMA, created=5)) == digest(LLAMA)
    changed: list[dict[str, Any]] = [
        {"id": "other"},
        {"context_length": 8192},
        {"vision": True},
        {"capabilities": ("completion",)},
        {"size": 1},
    ]
    others = [digest(msgspec.structs.replace(LLAMA, **change)) for change in changed]
    assert len({digest(LLAMA), *others}) == 6


@pytest.mark.parametrize(
    ("count", "size"),
    [
        (None, ""),
        (999, "999"),
        (1_000, "1K"),
        (4_600, "5K"),
        (22_700_000, "22.70M"),
        (1_000_000, "1M"),
        (125_000_000, "125M"),
        (500_550_000, "500.55M"),
        (1_000_000_000, "1B"),
        (2_850_000_000, "2.9B"),
        (7_040_000_000, "7.0B"),
        (8_030_261_248, "8.0B"),
        (28_550_000_000, "28.6B"),
        (1_000_000_000_000, "1000B"),
    ],
)
def test_parameter_size(count: int | None, size: str) -> None:
    """Contract 5.4: one decimal and B, two and M, none when whole; the values of Ollama's own tests."""
    details = listed(Model(id="m", parameter_count=count))["models"][0]["details"]
    assert details["parameter_size"] == size


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Model(id="gpt-4o"), ("completion", "tools")),
        (Model(id="gpt-4o", vision=True), ("completion", "tools", "vision")),
        (Model(id="text-embedding-3-small"), ("embedding",)),
        (Model(id="Nomic-EMBED-text"), ("embedding",)),
        (Model(id="m", capabilities=("completion", "thinking")), ("completion", "thinking")),
        (Model(id="embed", capabilities=("completion",)), ("completion",)),
        (Model(id="m", vision=True, capabilities=()), ()),
    ],
)
def test_capabilities(model: Model, expected: tuple[str, ...]) -> None:
    """Rule R13: what the backend lists; else a chat model with tools, or an embedder by its name."""
    assert capabilities(model) == expected
    assert shown(model)["capabilities"] == list(expected)
    assert listed(model)["models"][0]["capabilities"] == list(expected)


def test_show() -> None:
    """Contract 5.6: every field that is known, in order."""
    assert show(LLAMA, "Llama3.2", FIRST_SEEN) == (
        b'{"modelfile":"# Modelfile generated by \\"ollama show\\"\\n\\nFROM llama3.2:latest\\n",'
        b'"template":"{{ if .System }}{{ .System }}{{ end }}{{ if .Tools }}<tools>{{ .Tools }}</tools>{{ end }}'
        b'{{ .Prompt }}","details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
        b'"parameter_size":"3.2B","quantization_level":"Q4_K_M"},"model_info":{"general.architecture":"llama",'
        b'"general.parameter_count":3212749888,"llama.context_length":131072,"llama.embedding_length":3072},'
        b'"capabilities":["completion","tools"],"modified_at":"2024-02-29T23:59:59Z"}'
    )


def test_show_of_a_bare_model() -> None:
    """Rule R13: showing succeeds for every listed model, with an object, a list and a text in their places."""
    found = shown(BARE)
    assert found["model_info"] == {"general.architecture": "unknown"}
    assert found["details"] == dict.fromkeys(SIX, "") | {"families": []}
    assert isinstance(found["template"], str)
    assert not {"license", "parameters", "system", "messages", "projector_info"} & found.keys()


def test_one_context_length() -> None:
    """Rule R13: exactly one key ends in context_length, under the architecture, in show and tags alike."""
    model = Model(id="m", context_length=32768)
    info = shown(model)["model_info"]
    assert [key for key in info if "context_length" in key] == ["unknown.context_length"]
    assert info[info["general.architecture"] + ".context_length"] == 32768
    assert listed(model)["models"][0]["details"]["context_length"] == 32768


def test_template_tells_of_tools() -> None:
    """Section 5 of clients.md: LiteLLM looks for the word tools, Continue for .Suffix, in the template's text."""
    assert "tools" in shown(LLAMA)["template"]
    assert "tools" not in shown(Model(id="m", capabilities=("completion",)))["template"].lower()
    assert ".Suffix" not in shown(LLAMA)["template"]


def test_system() -> None:
    """Contract 5.6: a system prompt in the request is the one that is shown, between template and details."""
    found = shown(LLAMA, system="Be \u2028brief.")
    assert found["system"] == "Be \u2028brief."
    assert list(found)[1:4] == ["template", "system", "details"]
    assert b"\\u2028" in show(LLAMA, "m", FIRST_SEEN, system="\u2028")


@pytest.mark.parametrize(
    ("agent", "basename"),
    [
        ("GitHubCopilotChat/0.41.0", "Llama3.2"),
        ("GitHubCopilotChat", None),
        ("x GitHubCopilotChat/1", None),
        ("", None),
    ],
)
def test_basename(agent: str, basename: str | None) -> None:
    """Contract 5.6: only Copilot gets a basename: the name as it asked for it."""
    assert shown(LLAMA, "Llama3.2", user_agent=agent)["model_info"].get("general.basename") == basename


def test_running() -> None:
    """Contract 5.5: every field, in order; size_vram equals size, so that it shows as 100% GPU."""
    assert running([(LLAMA, 300.5)], FIRST_SEEN * 10**9) == (
        b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","size":2019393189,"digest":"'
        + digest(LLAMA).encode()
        + b'","details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
        b'"parameter_size":"3.2B","quantization_level":"Q4_K_M"},"expires_at":"2024-01-01T00:05:00.5Z",'
        b'"size_vram":2019393189,"context_length":131072}]}'
    )


def test_running_bare_model() -> None:
    """Contract 5.5: all fields are there, zero where nothing is known, and the digest is the one of tags."""
    (entry,) = msgspec.json.decode(running([(BARE, 60)], FIRST_SEEN * 10**9))["models"]
    assert (entry["size"], entry["size_vram"], entry["context_length"]) == (0, 0, 0)
    assert entry["digest"] == listed(BARE)["models"][0]["digest"]


def test_longest_first() -> None:
    """Contract 5.5: the longest remaining time comes first; for ever is in the year 2315 or later."""
    entries = [(BARE, 60.0), (Model(id="ever"), float("inf")), (LLAMA, 300.0)]
    found = msgspec.json.decode(running(entries, FIRST_SEEN * 10**9))["models"]
    assert [entry["name"] for entry in found] == ["ever:latest", "llama3.2:latest", "openai/gpt-4o:latest"]
    assert found[0]["expires_at"] > "2315"

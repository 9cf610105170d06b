import re
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.translate.models import Model, Preset
from ollama_openai_proxy.translate.ollama.catalog import capabilities, digest, running, size, tags

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
UNKNOWN = {
    "parent_model": "",
    "format": "unknown",
    "family": "unknown",
    "families": [],
    "parameter_size": "unknown",
    "quantization_level": "unknown",
}
DEFAULT = 32768


def listed(*models: Model) -> Any:
    return msgspec.json.decode(tags(models, FIRST_SEEN, DEFAULT))


def ran(*entries: tuple[Model, float]) -> Any:
    return msgspec.json.decode(running(entries, FIRST_SEEN * 10**9, DEFAULT))["models"]


def test_entry() -> None:
    """Contract 5.4: every field of an entry, in order, with what the backend told."""
    assert tags([LLAMA], FIRST_SEEN, DEFAULT) == (
        b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","modified_at":"2024-02-29T23:59:59Z",'
        b'"size":2019393189,"digest":"' + digest(LLAMA).encode() + b'","details":{"parent_model":"","format":"gguf",'
        b'"family":"llama","families":["llama"],"parameter_size":"3.2B","quantization_level":"Q4_K_M",'
        b'"context_length":131072,"embedding_length":3072},"capabilities":["completion","tools"]}]}'
    )


def test_bare_entry() -> None:
    """Rule R12, contract 12.1: of a backend that tells only an id no text is empty, no number zero, nothing null."""
    (entry,) = listed(BARE)["models"]
    assert entry == {
        "name": "openai/gpt-4o:latest",
        "model": "openai/gpt-4o:latest",
        "modified_at": "2024-01-01T00:00:00Z",
        "size": size(BARE),
        "digest": digest(BARE),
        "details": UNKNOWN | {"context_length": DEFAULT},
        "capabilities": ["completion", "tools"],
    }
    assert list(entry["details"]) == [*UNKNOWN, "context_length"]
    for key in ("format", "family", "parameter_size", "quantization_level"):
        assert entry["details"][key]


def test_no_models() -> None:
    """Contract 5.4, 5.5: an empty list is a list."""
    assert tags([], FIRST_SEEN, DEFAULT) == running([], FIRST_SEEN * 10**9, DEFAULT) == b'{"models":[]}'


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


def test_digests() -> None:
    """Section 5 of clients.md: 64 hex digits, unique, the same until what is known of the model changes."""
    assert re.fullmatch("[0-9a-f]{64}", digest(LLAMA))
    assert digest(msgspec.structs.replace(LLAMA, created=5)) == digest(LLAMA)
    changed: list[dict[str, Any]] = [
        {"id": "other"},
        {"context_length": 8192},
        {"offers": ("vision",)},
        {"capabilities": ("completion",)},
        {"size": 1},
    ]
    others = [digest(msgspec.structs.replace(LLAMA, **change)) for change in changed]
    assert len({digest(LLAMA), *others}) == 6


@pytest.mark.parametrize(
    ("count", "printed"),
    [
        (None, "unknown"),
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
def test_parameter_size(count: int | None, printed: str) -> None:
    """Contract 5.4: one decimal and B, two and M, none when whole; the values of Ollama's own tests."""
    details = listed(Model(id="m", parameter_count=count))["models"][0]["details"]
    assert details["parameter_size"] == printed


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Model(id="gpt-4o"), ("completion", "tools")),
        (Model(id="gpt-4o", offers=("vision",)), ("completion", "tools", "vision")),
        (Model(id="text-embedding-3-small"), ("embedding",)),
        (Model(id="Nomic-EMBED-text"), ("embedding",)),
        (Model(id="m", capabilities=("completion", "thinking")), ("completion", "thinking")),
        (Model(id="embed", capabilities=("completion",)), ("completion",)),
        (Model(id="m", offers=("vision",), capabilities=()), ()),
    ],
)
def test_capabilities(model: Model, expected: tuple[str, ...]) -> None:
    """Rule R13: what the backend lists; else a chat model with tools, or an embedder by its name."""
    assert capabilities(model) == expected
    assert listed(model)["models"][0]["capabilities"] == list(expected)


def test_digests_of_aliases() -> None:
    """Section 5 of clients.md: two aliases with the same settings have two digests; a changed setting, another one."""
    one = msgspec.structs.replace(LLAMA, id="one", upstream="llama3.2", preset=Preset(system="Be brief."))
    two = msgspec.structs.replace(one, id="two")
    changed = msgspec.structs.replace(one, preset=Preset(system="Be long."))
    assert len({digest(model) for model in (LLAMA, one, two, changed)}) == 4


def test_size() -> None:
    """Contract 12.1: the size is never zero; it is the backend's, or the bytes of what is known of the model."""
    assert size(LLAMA) == 2019393189
    assert len(BARE.id) < size(BARE) < 1000
    assert size(msgspec.structs.replace(BARE, preset=Preset(system="x" * 1000))) > size(BARE) + 1000
    assert (
        listed(BARE)["models"][0]["size"] == ran((BARE, 5))[0]["size"] == ran((BARE, 5))[0]["size_vram"] == size(BARE)
    )


@pytest.mark.parametrize("told", [LLAMA, BARE])
def test_one_context_length(told: Model) -> None:
    """Section 5 of clients.md: tags and ps say one number: what was told, and else the default."""
    expected = told.context_length or DEFAULT
    assert listed(told)["models"][0]["details"]["context_length"] == expected
    assert ran((told, 60))[0]["context_length"] == expected


def test_parent_model() -> None:
    """Contract 5.4, 5.5: neither list tells what an alias was made from; only show does."""
    alias = Model(id="a", upstream="m", parent="m:latest")
    assert listed(alias)["models"][0]["details"]["parent_model"] == ran((alias, 1))[0]["details"]["parent_model"] == ""


def test_format() -> None:
    """Contract 5.4: the format is the one that was told; llama.cpp has no other than gguf."""
    assert listed(Model(id="m", format="mlx"))["models"][0]["details"]["format"] == "mlx"
    assert listed(Model(id="m", owned_by="vllm"))["models"][0]["details"]["format"] == "unknown"


def test_running() -> None:
    """Contract 5.5: every field, in order; size_vram equals size, so that it shows as 100% GPU."""
    assert running([(LLAMA, 300.5)], FIRST_SEEN * 10**9, DEFAULT) == (
        b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","size":2019393189,"digest":"'
        + digest(LLAMA).encode()
        + b'","details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
        b'"parameter_size":"3.2B","quantization_level":"Q4_K_M"},"expires_at":"2024-01-01T00:05:00.5Z",'
        b'"size_vram":2019393189,"context_length":131072}]}'
    )


def test_running_bare_model() -> None:
    """Contract 5.5: all fields are there, and the digest is the one of tags."""
    (entry,) = ran((BARE, 60))
    assert entry["details"] == UNKNOWN
    assert entry["digest"] == listed(BARE)["models"][0]["digest"]
    assert list(entry) == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]


def test_longest_first() -> None:
    """Contract 5.5: the longest remaining time comes first; for ever is in the year 2315 or later."""
    entries = [(BARE, 60.0), (Model(id="ever"), float("inf")), (LLAMA, 300.0)]
    found = ran(*entries)
    assert [entry["name"] for entry in found] == ["ever:latest", "llama3.2:latest", "openai/gpt-4o:latest"]
    assert found[0]["expires_at"] > "2315"

from typing import Any

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.options import translate


@pytest.mark.parametrize(
    ("key", "value", "standard"),
    [
        ("temperature", 0.8, {"temperature": 0.8}),
        ("temperature", 0, {"temperature": 0}),
        ("top_p", 0.9, {"top_p": 0.9}),
        ("presence_penalty", -1.5, {"presence_penalty": -1.5}),
        ("frequency_penalty", 1, {"frequency_penalty": 1}),
        ("seed", 42, {"seed": 42}),
        ("seed", 0, {"seed": 0}),
        ("seed", 42.9, {"seed": 42}),
        ("seed", -1, {}),
        ("seed", -42.0, {}),
        ("num_predict", 128, {"max_tokens": 128}),
        ("num_predict", 128.7, {"max_tokens": 128}),
        ("num_predict", 1, {"max_tokens": 1}),
        ("num_predict", 0, {}),
        ("num_predict", -1, {}),
        ("num_predict", -2, {}),
        ("stop", ["a", "b"], {"stop": ["a", "b"]}),
        ("stop", [], {}),
        ("stop", "a", {"stop": ["a"]}),
        ("stop", "", {}),
        ("stop", ["", "a", ""], {"stop": ["a"]}),
        ("stop", [""], {}),
    ],
)
def test_parameters_of_openai(key: str, value: object, standard: dict[str, Any]) -> None:
    """Contract 4: OpenAI's parameters by its names; negative seeds and lengths mean none; integers truncate."""
    assert translate({key: value}) == (standard, {})


@pytest.mark.parametrize("key", ["seed", "num_predict", "top_k"])
def test_integers_are_integers(key: str) -> None:
    """Contract 4: integer keys take any number, and an integer is what goes on."""
    standard, extensions = translate({key: 7.0})
    (value,) = (standard | extensions).values()
    assert type(value) is int
    assert value == 7


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("top_k", 40),
        ("min_p", 0.05),
        ("typical_p", 1.0),
        ("repeat_penalty", 1.1),
        ("repeat_last_n", 64),
        ("repeat_last_n", -1),
        ("repeat_last_n", 0),
        ("num_keep", 4),
        ("top_k", 0),
    ],
)
def test_parameters_beyond_openai(key: str, value: object) -> None:
    """Contract 4: these are for the backends that know them, under Ollama's names."""
    assert translate({key: value}) == ({}, {key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_ctx", 131072),
        ("num_batch", 512),
        ("num_gpu", -1),
        ("main_gpu", 0),
        ("use_mmap", True),
        ("num_thread", 8),
        ("draft_num_predict", 4),
    ],
)
def test_loading_is_the_backends_affair(key: str, value: object) -> None:
    """Contract 4, 11.1: how a model is loaded is never sent on, whatever its size."""
    assert translate({key: value}) == ({}, {})


KEYS = [
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "stop", "num_predict", "repeat_penalty"),
    *("repeat_last_n", "presence_penalty", "frequency_penalty", "num_keep", "num_ctx", "num_batch", "num_gpu"),
    *("main_gpu", "use_mmap", "num_thread", "draft_num_predict"),
]


@pytest.mark.parametrize("key", KEYS)
def test_null_is_unset(key: str) -> None:
    """Contract 4: the Python client sends nulls, which are skipped."""
    assert translate({key: None}) == ({}, {})


INTEGERS = [
    *("top_k", "seed", "num_predict", "repeat_last_n", "num_keep", "num_ctx", "num_batch", "num_gpu", "main_gpu"),
    *("num_thread", "draft_num_predict"),
]
FLOATS = [
    *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"),
]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        *((key, f'option "{key}" must be of type integer') for key in INTEGERS),
        *((key, f'option "{key}" must be of type float32') for key in FLOATS),
        ("use_mmap", 'option "use_mmap" must be of type boolean'),
    ],
)
def test_strings_are_never_converted(key: str, message: str) -> None:
    """Contract 4: a wrong type is Ollama's error for the key's type, with status 500."""
    with pytest.raises(InvalidRequest) as caught:
        translate({key: "1"})
    assert (caught.value.message, caught.value.status) == (message, 500)


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("seed", True, "type integer"),
        ("seed", [1], "type integer"),
        ("temperature", False, "type float32"),
        ("temperature", {}, "type float32"),
        ("use_mmap", 1, "type boolean"),
        ("use_mmap", 0, "type boolean"),
        ("num_ctx", "big", "type integer"),
        ("stop", 1, "type array"),
        ("stop", {"a": 1}, "type array"),
        ("stop", ["a", 1], "an array of strings"),
        ("stop", ["a", None], "an array of strings"),
        ("stop", [["a"]], "an array of strings"),
    ],
)
def test_wrong_types(key: str, value: object, kind: str) -> None:
    """Contract 4: booleans are no numbers, numbers no booleans, and stop holds strings only."""
    with pytest.raises(InvalidRequest) as caught:
        translate({key: value})
    assert (caught.value.message, caught.value.status) == (f'option "{key}" must be of {kind}', 500)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**63),
        ("num_predict", 1e300),
        ("num_ctx", -(2**63) - 1),
        ("top_k", 10**400),
        ("temperature", 1e39),
        ("top_p", -(10**400)),
    ],
)
def test_numbers_beyond_the_type(key: str, value: object) -> None:
    """Row B13: numbers that an int64 or a float32 can't hold are not forwarded."""
    with pytest.raises(InvalidRequest) as caught:
        translate({key: value})
    assert caught.value.status == 500


def test_b13_the_largest_numbers() -> None:
    """B13: what fits is forwarded; a limit that no model reaches is none."""
    float32 = 3.4028234663852886e38
    given = {"seed": 2**63 - 1, "num_predict": 2**31 - 1, "temperature": float32, "num_keep": -(2**63)}
    assert translate({"num_predict": 2**31}) == translate({"num_predict": 1e12}) == ({}, {})
    assert translate(given) == (
        {"seed": 9223372036854775807, "max_tokens": 2_147_483_647, "temperature": float32},
        {"num_keep": -9223372036854775808},
    )


@pytest.mark.parametrize(
    "key",
    [
        *("mirostat", "mirostat_tau", "mirostat_eta", "tfs_z", "penalize_newline", "numa", "low_vram", "f16_kv"),
        *("logits_all", "vocab_only", "use_mlock", "embedding_only", "Temperature", "max_tokens", ""),
    ],
)
def test_unknown_keys_are_ignored(key: str) -> None:
    """Contract 4: keys of older versions, and any other, are ignored whatever their type; case counts."""
    assert translate({key: ["anything"]}) == ({}, {})


@pytest.mark.parametrize("options", [None, {}])
def test_no_options(options: dict[str, Any] | None) -> None:
    """Contract 4: Ollama's own defaults are not sent to the backend."""
    assert translate(options) == ({}, {})


def test_all_together() -> None:
    """A request of a common client: standard parameters and extensions apart, the rest left out."""
    given = {"num_ctx": 8192, "temperature": 0.2, "top_k": 20, "stop": ["\n"], "mirostat": 2, "num_predict": -1}
    assert translate(given) == ({"temperature": 0.2, "stop": ["\n"]}, {"top_k": 20})

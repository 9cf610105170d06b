"""What is wrong with a models file is told in one line (docs/models.md)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.translate.modelsfile import parse

CANARY = "sk-canary-0123456789"


def entry(fields: str, match: str = "m") -> str:
    return f'[[model]]\nmatch = "{match}"\n{fields}\n'


ERRORS = {
    "not TOML": ("[[model]]\nmatch = 'a'\nsize =\n", "is not TOML: ", "line 3"),
    "a secret": (f"KEY={CANARY}", "is not TOML: ", "line 1"),
    "two keys": (entry(f'system = "{CANARY}"\nsystem = "b"'), "is not TOML: ", "overwrite"),
    "depth": ("a = " + "[" * 5000, "is nested too deeply"),
    "digits": (entry("size = " + "9" * 5000), "has a value that is too long"),
    "top": (f'[models]\nkey = "{CANARY}"', "has a wrong key at the top, models: it takes nothing but [[model]] tables"),
    "a table": ('[model]\nmatch = "m"', "has a wrong key at the top, model"),
    "a list": ("model = [1]", "has a wrong key at the top, model"),
    "no match": ("[[model]]\nsize = 1", "has an error in model 1: no match"),
    "the second": (entry("") + entry("foo = 1"), "has an error in model 2: unknown key foo"),
    "long key": (entry("k" * 500 + " = 1"), "has an error in model 1: unknown key kkk"),
    "key of lines": (entry('"a\\nb" = 1'), "has an error in model 1: unknown key a\\nb"),
    "empty match": (entry("", match=""), "match: expected str of length >= 1"),
    "blank match": (entry("", match=" m"), "match: has characters that no name has"),
    "text": (entry(f'size = "{CANARY}"'), "size: expected int, got str"),
    "bool": (entry("context_length = true"), "context_length: expected int, got bool"),
    "zero": (entry("context_length = 0"), "context_length: expected int >= 1"),
    "negative": (entry("embedding_length = -1"), "embedding_length: expected int >= 1"),
    "huge": (entry(f"size = {2**63}"), "size: expected int <= 9223372036854775807"),
    "date": (entry("size = 1979-05-27"), "size: expected int, got date"),
    "capability": (entry(f'capabilities = ["{CANARY}"]'), "capabilities: are among completion, tools, insert"),
    "capabilities": (entry("capabilities = []"), "capabilities: expected list of length >= 1"),
    "a capability": (entry("capabilities = [5]"), "capabilities[0]: expected str, got int"),
    "family": (entry('family = "a b"'), "family: may have letters, digits"),
    "quantization": (entry('quantization = "a\\nb"'), "quantization: has characters that no name has"),
    "size of words": (entry('parameter_size = "large"'), "parameter_size: is a number above 0 with K, M, B or T"),
    "size of none": (entry('parameter_size = "0B"'), "parameter_size: is a number above 0"),
    "size of less": (entry('parameter_size = "0.1"'), "parameter_size: is a number above 0"),
    "both": (entry('parameter_size = "8B"\nparameter_count = 5'), "parameter_size: is given beside parameter_count"),
    "alias of many": (entry('alias = "a"', match="m*"), "alias: is for one model, and match is a pattern"),
    "upstream of many": (entry('upstream = "a"', match="[m]"), "upstream: is for one model, and match is a pattern"),
    "bad alias": (entry(f'alias = "a b {CANARY}"'), "alias: is not a name that Ollama takes"),
    "alias with a scheme": (entry('alias = "http://a/b/c"'), "alias: is not a name that Ollama takes"),
    "aliases": (entry('alias = ["a", 5]'), "alias[1]: expected str, got int"),
    "same alias": (entry('alias = "a"') + entry('alias = "A:latest"'), "has an error in model 2: alias: another model"),
    "alias of itself": (entry('upstream = "x"\nalias = "M"'), "match: another model has this name"),
    "same match": (entry('upstream = "x"') * 2, "has an error in model 2: match: another model has this name"),
    "bad match": (entry('upstream = "x"', match="@m"), "match: is not a name that Ollama takes"),
    "upstream": (entry('upstream = "a\\tb"'), "upstream: has characters that no name has"),
    "system": (entry('system = ""'), "system: expected str of length >= 1"),
    "license": (entry("license = 5"), "license: expected str | list, got int"),
    "option": (entry("[model.options]\nsed = 1"), "options: unknown option sed"),
    "option's type": (entry(f'[model.options]\nseed = "{CANARY}"'), 'options: option "seed" must be of type integer'),
    "option nan": (entry("[model.options]\ntop_p = nan"), 'options: option "top_p" must be of type float32'),
    "many": (entry("") * 10_001, "has more than 10000 models"),
    "many patterns": (entry("", match="*") * 1001, "has more than 1000 models whose match is a pattern"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    """Whatever is wrong stops the start with one line: it tells where, holds no value, and goes after `MODELS_FILE`."""
    text, *expected = ERRORS[case]
    with pytest.raises(ValueError, match=r"^(is|has) ") as caught:
        parse(text)
    message = str(caught.value)
    assert all(part in message for part in expected), message
    assert CANARY not in message
    assert message.isprintable()
    assert len(message) < 300

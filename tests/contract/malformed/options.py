"""Options of the wrong type: refused with a 500, as Ollama does (contract 4)."""

from __future__ import annotations

from contract.malformed.row import CANARY, Api, Row

INTEGERS = (
    *("seed", "num_predict", "top_k", "repeat_last_n", "num_keep", "num_ctx", "num_batch", "num_gpu", "main_gpu"),
    *("num_thread", "draft_num_predict"),
)
FLOATS = (
    *("temperature", "top_p", "min_p", "typical_p"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
)
NO_NUMBERS: tuple[object, ...] = ("7", CANARY, True, [7], {"x": 7})
NO_BOOLEANS: tuple[object, ...] = (1, 0.5, "true", [], {})
BOOLEANS = ("use_mmap",)


def rows(api: Api, *, all_of_them: bool) -> list[Row]:
    """Rows for the options of one route: each with each wrong type, or one per type."""
    numbers = (*((key, "integer") for key in INTEGERS), *((key, "float32") for key in FLOATS))
    found = [
        _row(api, key, kind, value) for key, kind in (numbers if all_of_them else numbers[:1]) for value in NO_NUMBERS
    ]
    found += [_row(api, key, "boolean", value) for key in BOOLEANS for value in NO_BOOLEANS]
    # A single string is taken, as Ollama's published schema says.
    found += [_row(api, "stop", "array", value) for value in (5, True, {"x": CANARY})]
    found += [_row(api, "stop", "an array of strings", value) for value in ([5], [CANARY, None], [CANARY, ["x"]])]
    found.append(_row(api, "seed", "integer", "7", temperature=0.5, nothing="x")._replace(name="seed after others"))
    return found


def _row(api: Api, key: str, kind: str, value: object, **more: object) -> Row:
    what = kind if kind.startswith("an ") else f"type {kind}"
    return api.row(f"{key} {value}", 500, f'option "{key}" must be of {what}', options={**more, key: value})

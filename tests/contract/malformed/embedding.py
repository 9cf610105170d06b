"""`/api/embed` and `/api/embeddings` (contract 5.9, 5.10)."""

from __future__ import annotations

from contract.malformed import bodies, names, options
from contract.malformed.generation import MAP, keep_alive
from contract.malformed.row import CANARY, PROMPT, Api, wrong_types

EMBED = Api("/api/embed", "EmbedRequest", {"model": "m-embed", "input": PROMPT})
EMBEDDINGS = Api("/api/embeddings", "EmbeddingRequest", {"model": "m-embed", "prompt": PROMPT})


def _absent(name: str) -> str:
    return f'model "{name}" not found, try pulling it first'


INPUTS = {"number": 5, "bool": True, "object": {"text": CANARY}, "mixed": [CANARY, 5], "null": [CANARY, None]}
INPUTS |= {"arrays": [[CANARY]], "tokens": [1, 2]}
ROWS = [
    *bodies.rows(EMBED),
    *bodies.rows(EMBEDDINGS),
    *wrong_types(EMBED, "string", "model"),
    *wrong_types(EMBED, "bool", "truncate"),
    *wrong_types(EMBED, "int", "dimensions"),
    *wrong_types(EMBED, "map", "options", name=MAP),
    *wrong_types(EMBEDDINGS, "string", "model", "prompt"),
    *wrong_types(EMBEDDINGS, "map", "options", name=MAP),
    *keep_alive(EMBED),
    *keep_alive(EMBEDDINGS),
    *(EMBED.row(f"input {label}", 400, "invalid input type", input=value) for label, value in INPUTS.items()),
    EMBED.row("input before the model", 400, "invalid input type", model="nope", input=5),
    *options.rows(EMBED, all_of_them=False),
    *options.rows(EMBEDDINGS, all_of_them=False),
    *names.rows(EMBED, empty=(404, "model '' not found"), absent=_absent),
    *names.rows(EMBEDDINGS, empty=(400, "model is required"), absent=_absent),
]

"""`/api/show` (contract 5.6)."""

from __future__ import annotations

from contract.malformed import bodies, names
from contract.malformed.generation import MAP
from contract.malformed.row import Api, wrong_types

SHOW = Api("/api/show", "ShowRequest", {"model": "m"})


def _absent(name: str) -> str:
    """The shortest form of the name, with its tag (contract 2.2)."""
    name = name.rpartition("://")[2]
    return f"model '{name if ':' in name.rpartition('/')[2] else name + ':latest'}' not found"


ROWS = [
    *bodies.rows(SHOW),
    *wrong_types(SHOW, "string", "model", "name", "system", "template"),
    *wrong_types(SHOW, "bool", "verbose"),
    *wrong_types(SHOW, "map", "options", name=MAP),
    *names.rows(SHOW, empty=(400, "model is required"), absent=_absent, alias="name"),
    SHOW.row("nobody's name", 404, "model 'nope:latest' not found", model="", name="nope"),
]

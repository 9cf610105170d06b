"""Names of models: none, what no name can be, and what nobody has (contract 2.1, 2.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract.malformed.row import Api, Row

# What the grammar does not know: a part that is empty, begins or goes on with what it may not, or is too long.
INVALID = [
    *("a b", "a\tb", "a\nb", "a\x00b", "a+b", "a,b", "é", "日本", "a\u2028b"),
    *(":", "m:", ":x", "/m", "m/", "a//b", "/", "a/b/c/d", "a/", "a/:b"),
    *("-m", ".m", "m:-x", "m:.x", "-n/m", "n.s/m", "@m", "m@sha256:00", "@cf/meta/llama", "m:a:b/c:"),
    *("x" * 81, "m:" + "x" * 81, "n" * 81 + "/m", "h" * 351 + "/n/m"),
    '"><script>',
]
ABSENT = ["nope", "nope:1b", "NOPE", "ns/nope", "hf.co/org/repo:Q4_K_M", "m:other", "x" * 80]


def rows(
    api: Api,
    *,
    empty: tuple[int, Callable[[str], str] | str],
    invalid: Callable[[str], str] | str = "invalid model name",
    absent: Callable[[str], str] | None = None,
    field: str = "model",
    alias: str = "",
) -> list[Row]:
    """Rows for the field of one route: each text is that of contract 2.6, or makes it of the name.

    `alias`: the older field that is read where the first is empty.
    """
    status, text = empty
    values: dict[str, Any] = {"''": "", "null": None, "blank": " ", "blanks": " \t"}
    found = [api.row(f"{field} {label}", status, _of(text, value), **{field: value}) for label, value in values.items()]
    found += [api.row(f"{field} {name[:12]!r}", 400, _of(invalid, name), **{field: name}) for name in INVALID]
    if absent:
        found += [api.row(f"{field} {name[:30]}", 404, absent(name), **{field: name}) for name in ABSENT]
    if alias:
        found.append(api.row(f"{alias} a b", 400, _of(invalid, "a b"), **{field: "", alias: "a b"}))
        found.append(api.row(f"{field} before {alias}", 400, _of(invalid, "a b"), **{field: "a b", alias: "m"}))
    return found


def _of(text: Any, name: str | None) -> str:
    return str(text(name or "") if callable(text) else text)

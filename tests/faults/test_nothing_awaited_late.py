"""What is awaited in a `finally` after a client has left is cancelled again, and not done (reliability T10)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import ollama_openai_proxy

_SOURCE = Path(ollama_openai_proxy.__file__).parent
# What serves a request: here a client may leave. The others run once, in a process that starts or ends.
_SERVING = ("serve", "upstream", "translate")
_ONCE = "server.py"  # starts and ends the process, within serve/


def late_awaits(tree: ast.AST) -> Iterator[int]:
    """Yield the line of each await in a `finally`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            for statement in node.finalbody:
                yield from (
                    one.lineno
                    for one in ast.walk(statement)
                    if isinstance(one, ast.Await | ast.AsyncWith | ast.AsyncFor)
                )


def test_late_awaits_are_found() -> None:
    """T10: the check itself sees an await in a `finally`, and no other."""
    code = "async def f():\n try:\n  await a()\n finally:\n  b()\n  await c()\n"
    assert list(late_awaits(ast.parse(code))) == [6]


def test_t10_nothing_is_awaited_in_a_finally() -> None:
    """T10: where requests are served, letting go waits for nothing."""
    found = [
        f"{path.relative_to(_SOURCE)}:{line}"
        for part in _SERVING
        for path in (_SOURCE / part).rglob("*.py")
        if path.name != _ONCE
        for line in late_awaits(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []

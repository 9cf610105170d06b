"""Matrix 4.2: what the code must not do, checked on every file, and that the checks would see it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from architecture.files import PACKAGE, ROOT, SOURCES, each, tree
from architecture.lints import (
    awaits_in_finally,
    compared_secrets,
    lost_tasks,
    made_messages,
    silenced,
    urls_of_requests,
)

Rule = Callable[[ast.Module], list[int]]

EVERYWHERE: tuple[Rule, ...] = (urls_of_requests, made_messages, lost_tasks, compared_secrets, silenced)
# Where a client may leave while something is awaited.
STREAMING = [
    PACKAGE / "serve" / "exchange.py",
    PACKAGE / "serve" / "recorder.py",
    *(PACKAGE / "upstream").rglob("*.py"),
]

PLANTED: list[tuple[Rule, str]] = [
    (urls_of_requests, "def f(request):\n    if request.url.path == '/x': pass"),
    (urls_of_requests, "def f(http):\n    return http.base_url"),
    (made_messages, "_log.info(f'asked for {model}')"),
    (made_messages, "log.warning('asked for ' + model)"),
    (made_messages, "self._log.error('asked for {}'.format(model))"),
    (made_messages, "logger.info('asked for %s' % model)"),
    (lost_tasks, "async def f():\n    asyncio.create_task(g())"),
    (lost_tasks, "async def f():\n    asyncio.ensure_future(g())"),
    (compared_secrets, "given == self.api_key"),
    (compared_secrets, "given in self._api_keys"),
    (compared_secrets, "secret != found"),
    (silenced, "try:\n    f()\nexcept Exception:\n    pass"),
    (silenced, "try:\n    f()\nexcept:\n    pass"),
    (silenced, "with suppress(Exception):\n    f()"),
    (silenced, "with contextlib.suppress(ValueError, BaseException):\n    f()"),
    (awaits_in_finally, "async def f():\n    try:\n        g()\n    finally:\n        await h()"),
    (awaits_in_finally, "async def f():\n    try:\n        g()\n    finally:\n        async with h(): pass"),
]
RIGHT: list[tuple[Rule, str]] = [
    (made_messages, "_log.info('asked for %r', name)"),
    (lost_tasks, "async def f():\n    task = asyncio.create_task(g())"),
    (compared_secrets, "hmac.compare_digest(given, self.api_key)"),
    (compared_secrets, "api_key == ''"),
    (silenced, "with suppress(ValueError):\n    f()"),
    (awaits_in_finally, "async def f():\n    try:\n        g()\n    finally:\n        await asyncio.shield(h())"),
]


@each(SOURCES)
def test_rules(path: Path) -> None:
    """4.2: the file breaks none of them."""
    module = tree(path)
    assert {rule.__name__: found for rule in EVERYWHERE if (found := rule(module))} == {}


@each(STREAMING)
def test_nothing_is_awaited_in_finally(path: Path) -> None:
    """4.2, T10: streaming code lets go of what it has without waiting for anything."""
    assert awaits_in_finally(tree(path)) == []


@pytest.mark.parametrize(("rule", "sample"), PLANTED)
def test_rule_sees(rule: Rule, sample: str) -> None:
    """Each rule finds what it is about."""
    assert len(rule(ast.parse(sample))) == 1


@pytest.mark.parametrize(("rule", "sample"), RIGHT)
def test_rule_lets_pass(rule: Rule, sample: str) -> None:
    """And nothing else."""
    assert rule(ast.parse(sample)) == []


@pytest.mark.parametrize("rules", ["ASYNC", "B", "BLE", "DTZ", "G", "LOG", "PTH", "S", "TRY"])
def test_ruff_looks_for_it_too(rules: str) -> None:
    """4.2: ruff's rules on security, asyncio, logs and times are on, for all of the package."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert rules in lint["select"]
    off = [
        *lint["ignore"],
        *(code for where, codes in lint["per-file-ignores"].items() if "src" in where for code in codes),
    ]
    assert not [code for code in off if code.startswith(rules) and code != "TRY003"]

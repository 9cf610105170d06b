"""Rules that no linter has. Each takes a module and returns the lines that break it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_SECRET = re.compile(r"(?:^|_)(?:api_?keys?|secrets?|passwords?|bearer|credentials?|digest)$", re.IGNORECASE)
_LOGGED = {"debug", "info", "warning", "error", "exception", "critical", "log"}
_REQUESTS = {"request", "http", "websocket"}
_STARTS = {"create_task", "ensure_future", "run_coroutine_threadsafe"}
_BROAD = {"Exception", "BaseException"}


def urls_of_requests(module: ast.Module) -> list[int]:
    """A request's `url` is made of its Host header: who decides by it can be told anything (T22)."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and node.attr in ("url", "base_url", "url_for")
        and _name(node.value) in _REQUESTS
    ]


def made_messages(module: ast.Module) -> list[int]:
    """A log message that is put together can hold what a client sent: facts go into fields of their own."""
    return [
        call.lineno
        for call in _calls(module)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in _LOGGED
        and "log" in _name(call.func.value).lower()
        and any(map(_is_made, call.args[:1]))
    ]


def awaits_in_finally(module: ast.Module) -> list[int]:
    """What is awaited after a cancellation is cancelled too, and then what follows is left undone (T10)."""
    finals = [statement for node in ast.walk(module) if isinstance(node, ast.Try) for statement in node.finalbody]
    return [
        inner.lineno
        for statement in finals
        for inner in ast.walk(statement)
        if isinstance(inner, ast.AsyncWith | ast.AsyncFor)
        or (isinstance(inner, ast.Await) and _called(inner.value) != "shield")
    ]


def lost_tasks(module: ast.Module) -> list[int]:
    """A task that nobody holds can be collected while it runs, and nobody sees how it ends."""
    return [node.lineno for node in ast.walk(module) if isinstance(node, ast.Expr) and _called(node.value) in _STARTS]


def compared_secrets(module: ast.Module) -> list[int]:
    """Comparing with `==` or `in` takes as long as the beginnings agree, which tells where they stop to."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops)
        and any(_SECRET.search(_name(operand)) for operand in (node.left, *node.comparators))
        and not any(isinstance(operand, ast.Constant) for operand in (node.left, *node.comparators))
    ]


def silenced(module: ast.Module) -> list[int]:
    """An error of any kind that is passed over is one that nobody ever hears of."""
    handlers = [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _BROAD & {*_names(node.type)})
        and all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
    ]
    return handlers + [
        call.lineno for call in _calls(module) if _called(call) == "suppress" and _BROAD & {*_names(call)}
    ]


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    """The last part of a name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _names(node: ast.expr) -> Iterator[str]:
    return (_name(part) for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute))


def _called(node: ast.expr) -> str:
    return _name(node.func) if isinstance(node, ast.Call) else ""


def _is_made(message: ast.expr) -> bool:
    formatted = isinstance(message, ast.Call) and _called(message) == "format"
    return formatted or isinstance(message, ast.JoinedStr | ast.BinOp)

"""The rules of the code itself: what a reader may rely on without looking, checked on every file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture.files import ALL, PACKAGE, ROOT, SOURCES, TESTS, each, name, tree

MAX_FUNCTION = 40
MAX_FILE = 300

# Where the tests of a file stand elsewhere than its mirror, and why.
TESTED_ELSEWHERE: dict[str, str] = {}

# Where more is caught than one can name, and why that is right.
BROAD_EXCEPTS = {
    "serve/exchange.py": "a stream that has begun ends in a record, by our own mistake too; it is raised again",
    "serve/relay.py": "the edge of a callback: what is raised there goes to the task that waits, and is raised again",
    "serve/recorder.py": "the outermost edge of an exchange: what nobody foresaw is logged and answered with a 500",
    "upstream/client.py": "whatever ends the reading of a reply's status, its connection is closed; it is raised again",
}

# What must not be made when a module is imported: whoever wants one makes it, with the settings of the moment.
INSTANCES = {
    *("Settings", "load", "FastAPI", "create_app", "create_demo", "create_upstream", "Upstream", "Catalog", "Server"),
    *("ClientSession", "TCPConnector", "Client", "AsyncClient", "Config"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def has_code(path: Path) -> bool:
    """Whether there is more than a docstring, as in the `__init__.py` of most folders."""
    return any(not isinstance(node, ast.Expr) for node in tree(path).body)


def called(node: ast.AST) -> Iterator[str]:
    """The names of what is called in an expression."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            yield call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_files_are_found() -> None:
    """The rules below are about something."""
    assert len(SOURCES) > 30
    assert len(TESTS) > 10
    assert {path.parts[len(ROOT.parts)] for path in ALL} >= {"src", "tests", "scripts"}


@each([path for path in SOURCES if has_code(path)])
def test_has_tests(path: Path) -> None:
    """Each source file has its test file, under the same path and name."""
    inner = path.relative_to(PACKAGE)
    mirror = ROOT / "tests" / inner.with_name(f"test_{inner.name}")
    assert mirror.exists() or str(inner) in TESTED_ELSEWHERE, f"{name(mirror)} is missing"


@pytest.mark.parametrize("listed", [*TESTED_ELSEWHERE, *BROAD_EXCEPTS])
def test_exceptions_are_current(listed: str) -> None:
    """An exception from a rule names a file that exists and has a reason."""
    assert (PACKAGE / listed).exists()
    assert len((TESTED_ELSEWHERE | BROAD_EXCEPTS)[listed]) > 20


@each(ALL)
def test_file_is_short(path: Path) -> None:
    """No file is longer than 300 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE


@each(ALL)
def test_functions_are_short(path: Path) -> None:
    """No function is longer than 40 lines, from its `def` to its end."""
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions(path)]
    assert [(function, lines) for function, lines in lengths if lines > MAX_FUNCTION] == []


@each(SOURCES)
def test_no_base_http_middleware(path: Path) -> None:
    """Starlette's `BaseHTTPMiddleware` is not used: it costs more for each chunk than the translation (adr 1)."""
    assert "BaseHTTPMiddleware" not in {
        getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
        for node in ast.walk(tree(path))
    }
    assert not re.search(r"@\w+\.middleware\(", path.read_text(encoding="utf-8"))


@each(SOURCES)
def test_no_broad_except(path: Path) -> None:
    """Nothing catches all there is: who catches says what, and the rest is seen."""
    broad = [
        handler.lineno
        for handler in ast.walk(tree(path))
        if isinstance(handler, ast.ExceptHandler) and is_broad(handler.type)
    ]
    allowed = str(path.relative_to(PACKAGE)) in BROAD_EXCEPTS
    assert bool(broad) == allowed, broad


def is_broad(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in kinds)


@each(SOURCES)
def test_nothing_is_made_on_import(path: Path) -> None:
    """No module holds a client, settings or an application: importing it has no effect, and two can live together."""
    made = {
        found
        for statement in tree(path).body
        if not isinstance(statement, Function | ast.ClassDef)
        for found in called(statement)
    }
    assert made & INSTANCES == set()


@each(SOURCES)
def test_no_globals(path: Path) -> None:
    """No function changes a name of its module."""
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Global)]


@each(SOURCES)
def test_module_is_explained(path: Path) -> None:
    """Each module begins with what it is for."""
    assert ast.get_docstring(tree(path))


@each(TESTS)
def test_tests_state_a_fact(path: Path) -> None:
    """Each test function has a docstring, which states the fact that it tests."""
    tests = [node for node in functions(path) if node.name.startswith("test_")]
    assert tests
    assert [node.name for node in tests if not ast.get_docstring(node)] == []


@each(TESTS)
def test_tests_patch_nothing(path: Path) -> None:
    """No test replaces a part of the code, which would test the replacement."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\bmonkeypatch\.(setattr|delattr|setitem|delitem)\b|\bmock\b|\bmocker\b|\bMock\(", text)

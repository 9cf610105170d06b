"""M8, M9: what is read takes a time that grows as what is read does, not faster, whatever it is."""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import product
from typing import Any, NamedTuple

import pytest

from architecture.files import PACKAGE, SOURCES, tree
from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.serve.hosts import Hosts
from ollama_openai_proxy.serve.routing import clean as clean_path
from ollama_openai_proxy.translate.events import Event
from ollama_openai_proxy.translate.models import check_source, is_valid_name
from ollama_openai_proxy.translate.ollama import names, wire
from ollama_openai_proxy.translate.ollama.gotemplate.parse import parse
from ollama_openai_proxy.translate.openai.errors import clean, decode_error
from ollama_openai_proxy.translate.openai.thinktags import ThinkTags

MOST = 2**18  # characters
FIRST = 2**12
METHODS = {"match", "fullmatch", "search", "sub", "split", "findall", "finditer"}
# What patterns of ours consist of. Long runs of these, of pairs, and what ends them so that nothing matches, are what
# makes an expression go back and forth.
SIGNS = "a0A.:/-_ \t\n\"\\<>{}[]*+=,%'@\u2028"
ENDS = ("", "!")
ENOUGH = 0.02  # seconds: what takes less can't be compared
# Only the demo, the check at a start and the help read with these: what they read is the operator's own.
OWN_INPUT = {"demo.py", "demo_answers.py", "demo_values.py", "probe.py"}


# What reads no more than so much: an error once it was made short; the part of a body up to where it stops being
# JSON: no text is open in that.
BOUNDED = {"openai/errors.py-_TOO_LONG": 600, "openai/errors.py-_NO_PATH": 600, "gojson.py-_TOKEN": 0}

Work = Callable[[int], Callable[[], object]]


class Use(NamedTuple):
    """A regular expression, and the method that it is used with."""

    place: str
    pattern: re.Pattern[Any]
    method: str
    times: int = 0  # of what is replaced at most; 0: all

    @property
    def most(self) -> int:
        """How much it is ever given."""
        return next((most for place, most in BOUNDED.items() if place in self.place), MOST)

    @property
    def label(self) -> str:
        return f"{self.place}-{self.method}"


def calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def uses() -> Iterator[Use]:
    """Yield each use of a regular expression in the package: of a module's own, and of one within a function."""
    for path in SOURCES:
        module, inner = tree(path), path.relative_to(PACKAGE)
        if inner.name in OWN_INPUT or not re.search(r"^import re$", path.read_text(encoding="utf-8"), re.MULTILINE):
            continue
        dotted = ".".join(("ollama_openai_proxy", *inner.with_suffix("").parts))
        counts: dict[ast.expr, int] = {
            node.func: sum(word.arg == "count" for word in node.keywords) for node in calls(module)
        }
        known = vars(importlib.import_module(dotted))
        for node in ast.walk(module):
            if not isinstance(node, ast.Attribute) or node.attr not in METHODS or not isinstance(node.value, ast.Name):
                continue
            if isinstance(found := known.get(node.value.id), re.Pattern):
                yield Use(f"{inner}-{node.value.id}", found, node.attr, counts.get(node, 0))
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                first = node.args[0] if node.args else None
                if getattr(node.func.value, "id", "") == "re" and isinstance(first, ast.Constant):
                    yield Use(f"{inner}-{node.lineno}", re.compile(str(first.value), re.ASCII), node.func.attr)


USES = {use.label: use for use in uses()}


def pumps(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Yield what is repeated: each sign, pairs of those that the expression names, and its own words."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    named = [sign for sign in SIGNS if sign in source or sign in "a0 :/"]
    yield from SIGNS
    yield from (a + b for a, b in product(named, repeat=2) if a != b)
    yield from re.findall(r"[A-Za-z]{2,}", source)


def seconds(work: Callable[[], object], runs: int = 3) -> float:
    """The least that some runs take of the processor: what else the machine does is not counted."""
    taken = []
    for _ in range(runs):
        since = time.thread_time()
        with suppress(ProxyError):
            work()
        taken.append(time.thread_time() - since)
    return min(taken)


def grows_too_fast(work: Work, largest: int, size: int = 4096) -> bool:
    """Whether double the size takes more than three times as long, seen on four times a size at which that can be told.

    What is in proportion takes four times as long, what grows with the square sixteen times.
    """
    while 4 * size <= largest and seconds(work(4 * size)) < ENOUGH:
        size *= 2
    # Not once but in each of several looks.
    return 4 * size <= largest and all(seconds(work(4 * size)) > 9 * seconds(work(size)) for _ in range(3))


def worst(works: Iterable[tuple[Work, str]]) -> list[tuple[Work, str]]:
    """Return the three that take longest: where one is not in proportion, it is among them."""
    return sorted(works, key=lambda work: -seconds(work[0](FIRST), 1))[:3]


def test_all_expressions_are_found() -> None:
    """M8: the list below is of what the code uses, and misses none of the module's own."""
    assert len(USES) > 40
    assert {use.method for use in USES.values()} <= METHODS
    assert all(any(place in label for label in USES) for place in BOUNDED)


def test_growth_is_seen() -> None:
    """M8: what the tests below look with tells what grows with the square, or with more, from what does not."""
    slow = Use("here", re.compile(r"\s+$"), "search")
    assert grows_too_fast(repeated(slow, " ", "!"), MOST, size=1024)
    fine = Use("here", re.compile(r"[\w-]+"), "sub")
    assert not grows_too_fast(repeated(fine, "a-", "!"), MOST)


@pytest.mark.parametrize("label", [label for label, use in USES.items() if use.most > 4 * FIRST])
def test_m8_expressions_are_linear(label: str) -> None:
    """M8: no expression, in the way that it is used, takes more than in proportion for the worst of a long text."""
    use = USES[label]
    works = [(repeated(use, pump, end), f"{pump}|{end}") for pump, end in product(pumps(use.pattern), ENDS)]
    for work, what in worst(works):
        assert not grows_too_fast(work, use.most), what


def repeated(use: Use, pump: str, end: str) -> Work:
    is_bytes = isinstance(use.pattern.pattern, bytes)

    def work(size: int) -> Callable[[], object]:
        text = pump * (size // len(pump)) + end
        subject: Any = text.encode() if is_bytes else text
        call = getattr(use.pattern, use.method)
        if use.method == "sub":
            return lambda: call(b"" if is_bytes else "", subject, count=use.times)
        return (lambda: sum(1 for _ in call(subject))) if use.method == "finditer" else lambda: call(subject)

    return work


def think(text: str) -> None:
    tags, events = ThinkTags(), list[Event]()
    for start in range(0, len(text), 64):
        events += tags.feed(text[start : start + 64])
    events += tags.close()


READERS: dict[str, Callable[[str], object]] = {
    "think tags": think,
    "redaction": clean,
    "an error": lambda text: decode_error(500, text.encode()),
    "an error's body": lambda text: decode_error(500, b'{"error":{"message":"' + text.encode() + b'"}}'),
    "a path": lambda text: clean_path(text.encode()),
    "a host": Hosts("0.0.0.0", loopback=False).allows,  # noqa: S104  # a name for a rule, nothing is bound
    "a model's name": is_valid_name,
    "a model's source": check_source,
    "the parts of a name": names.parse,
    "a template": parse,
    "a request": lambda text: wire.decode(b'{"model":"m","x":"' + text.encode() + b'"}', wire.ChatRequest),
    "half a request": lambda text: wire.decode(b'{"model":"m","images":' + text.encode(), wire.GenerateRequest),
}
WORST = (
    *("<think>", "</thin", "<think> ", "</think>", " ", "<", "/..", "//", "a/", "..", ":1", "[::", "sk-a ", "Bearer "),
    *("http://", "a://b ", "<p>", "{{", "{{/*", '\\"', "\\\\", '{"a":', "[", "[1,", '"a",', "\\ud800", "data:,", "\n"),
)


@pytest.mark.parametrize("reader", READERS)
def test_m8_readers_are_linear(reader: str) -> None:
    """M8: nor does what uses them: tags of thought, redaction, paths, hosts, names, templates, bodies."""
    read = READERS[reader]
    for work, what in worst((repeating(read, pump), pump) for pump in WORST):
        assert not grows_too_fast(work, MOST), what


def repeating(read: Callable[[str], object], pump: str) -> Work:
    def work(size: int) -> Callable[[], object]:
        text = pump * (size // len(pump))
        return lambda: read(text)

    return work


BEFORE = pytest.mark.parametrize(
    "before", ['{"model":"m",', '{"MODEL":"m",', '{"model":"m","options":{'], ids=["known", "odd", "options"]
)


@pytest.mark.parametrize(
    "member",
    ['"k%d":1', '"\\u0061%d":1', '"x":%d', '"K%d":{"a":[]}'],
    ids=["keys", "escaped keys", "one key", "objects"],
)
@BEFORE
def test_m9_keys_are_linear(member: str, before: str) -> None:
    """M9: a body of many keys takes no more than in proportion, known ones and not."""

    def work(size: int) -> Callable[[], object]:
        count = size // len(member)
        body = (before + ",".join(member % number for number in range(count))).encode()
        body += b"}}" if "options" in before else b"}"
        return lambda: wire.decode(body, wire.ChatRequest)

    assert not grows_too_fast(work, MOST)


@BEFORE
def test_m9_a_million_keys(before: str) -> None:
    """M9: a body of a million keys takes at most some seconds."""
    million = before + ",".join(f'"k{number}":1' for number in range(10**6)) + ("}}" if "options" in before else "}")
    since = time.perf_counter()
    with suppress(ProxyError):
        wire.decode(million.encode(), wire.ChatRequest)
    assert time.perf_counter() - since < 20  # one, on a machine that does nothing else

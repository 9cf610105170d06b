"""Which metrics and labels a PromQL expression names. It reads what monitoring/ has, not all that PromQL is."""

import re
from collections.abc import Iterator

_STRING = re.compile(r'"[^"]*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_NO_METRICS = re.compile(
    r"\{[^}]*\}|\[[^]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\boffset\b"
)
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()")
_BY = re.compile(r"\bby\s*\(([^)]*)\)\s*\(")
_WORDS = {"and", "or", "unless", "bool", "inf", "nan"}


def metrics(expression: str) -> set[str]:
    """The names of series, not of functions."""
    return set(_NAME.findall(_NO_METRICS.sub(" ", _STRING.sub('""', expression)))) - _WORDS


def matched(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric with a label that is asked for: `metric{label="..."}`."""
    for name, inner in _SELECTOR.findall(_STRING.sub('""', expression)):
        yield from ((name, label) for label in _MATCHER.findall(inner))


def grouped(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric with a label that it is grouped by: `sum by (label) (metric)`."""
    expression = _STRING.sub('""', expression)
    for found in _BY.finditer(expression):
        inner = expression[found.end() : _closing(expression, found.end())]
        labels = [label.strip() for label in found[1].split(",")]
        yield from ((name, label) for name in metrics(inner) for label in labels)


def _closing(text: str, start: int) -> int:
    depth = 1
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return position
    raise ValueError(f"a parenthesis is not closed: {text}")

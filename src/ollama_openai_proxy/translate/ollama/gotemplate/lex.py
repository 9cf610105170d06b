"""Go's templates, cut into text and actions, and the actions into tokens.

https://pkg.go.dev/text/template#hdr-Text_and_spaces
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.golang import quote

_SPACE = " \t\r\n"
_TOKENS = re.compile(
    r"""(?P<close>(?:(?<=[ \t\r\n])-)?\}\})
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`[^`]*`)
    | (?P<number>[+-]?\d+(?:\.\d+)?\b)
    | (?P<field>\.[A-Za-z_]\w*)
    | (?P<variable>\$\w*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<sign>:=|[=|(),.])""",
    re.VERBOSE | re.ASCII,
)
_COMMENT = re.compile(r"/\*.*?\*/(?P<close>[ \t\r\n]-\}\}|\}\})", re.DOTALL)


class Token(NamedTuple):
    kind: str
    text: str
    glued: bool  # to the token before


def error(message: str) -> NoReturn:
    raise InvalidRequest(f"template error: {message}")


def pieces(text: str) -> Iterator[str | list[Token]]:
    """Yield text and actions in turn, white space trimmed as the actions' dashes say."""
    position, trims = 0, False
    while True:
        start = text.find("{{", position)
        piece = text[position:] if start < 0 else text[position:start]
        piece = piece.lstrip(_SPACE) if trims else piece
        if start < 0:
            yield piece
            return
        position = start + 2
        if text[position : position + 1] == "-" and text[position + 1 : position + 2] in tuple(_SPACE):
            piece = piece.rstrip(_SPACE)
            position += 2
        yield piece
        tokens, position, trims = _action(text, position)
        if tokens is not None:
            yield tokens


def _action(text: str, position: int) -> tuple[list[Token] | None, int, bool]:
    """Return an action's tokens (None for a comment), where it ends, and whether it trims what follows."""
    if text.startswith("/*", position):
        comment = _COMMENT.match(text, position) or error("unclosed comment")
        return None, comment.end(), "-" in comment["close"]
    tokens: list[Token] = []
    while True:
        start = position
        while text[position : position + 1] in tuple(_SPACE):
            position += 1
        match = _TOKENS.match(text, position)
        if not match:
            error(
                f"unexpected {quote(text[position : position + 1])} in action" if text[position:] else "unclosed action"
            )
        position = match.end()
        kind = match.lastgroup or ""
        if kind == "close":
            return tokens, position, match[0].startswith("-")
        tokens.append(Token(kind, match[0], glued=start == match.start()))

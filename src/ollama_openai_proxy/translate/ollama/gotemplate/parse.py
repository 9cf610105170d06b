"""Go's templates, parsed: the part of the language that models' templates use.

https://pkg.go.dev/text/template says what there is. Left out are `define`, `template` and `block`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.ollama.gotemplate import functions
from ollama_openai_proxy.translate.ollama.gotemplate.lex import Token, error, pieces

MAX_TEMPLATE = 16 * 1024  # characters
MAX_TOKENS = 6_000  # of all actions; an action counts as `_ACTION` more, for that is what it costs
_ACTION = 4  # tokens
_MAX_DEPTH = 32  # of blocks and parentheses in one another

_CONSTANTS = {"true": True, "false": False, "nil": None}
_MAX_NUMBER = 18  # characters, which 64 bits hold
_ENDS = ("", "|", ")")  # of a command
_KEYWORDS = frozenset(("if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"))
FUNCTIONS = frozenset(("and", "or", *functions.FUNCTIONS))

Scalar = str | bool | int | float | None


class Literal(NamedTuple):
    value: Scalar


class Path(NamedTuple):
    """Fields, one in another: of the dot, of a variable, or of what a pipeline in parentheses gives."""

    start: str | Pipe  # "" is the dot, "$" the root
    fields: tuple[str, ...]


class Call(NamedTuple):
    function: str
    arguments: tuple[Operand, ...]


Operand = Literal | Path | Call


class Pipe(NamedTuple):
    """Commands, each of which gets the value of the one before as its last argument.

    `names` are the variables that get the last value; `declares` tells whether they are new.
    """

    names: tuple[str, ...]
    declares: bool
    commands: tuple[Operand, ...]


class Text(NamedTuple):
    text: str


class Action(NamedTuple):
    pipe: Pipe


class Block(NamedTuple):
    """`if`, `with` or `range`."""

    kind: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Jump(NamedTuple):
    """`break` or `continue`."""

    kind: str


Node = Text | Action | Block | Jump


def parse(text: str) -> tuple[Node, ...]:
    """Return the template's nodes. Raises InvalidRequest: `template error: ...`."""
    if len(text) > MAX_TEMPLATE:
        error(f"more than {MAX_TEMPLATE} characters")
    return _Parser(text).template()


class _Parser:
    """Recursive descent."""

    def __init__(self, text: str) -> None:
        self._pieces = pieces(text)
        self._tokens: list[Token] = []  # of the action at hand
        self._at = 0
        self._depth = 0
        self._names: list[str] = ["$"]  # the variables that are known here
        self._loops = 0
        self._left = MAX_TOKENS

    def template(self) -> tuple[Node, ...]:
        nodes, stop = self._list()
        if stop:
            error(f"unexpected {{{{{stop}}}}}")
        return nodes

    def _list(self) -> tuple[tuple[Node, ...], str]:
        """Return nodes up to `end` or `else`, and which of them it was; "" at the end of the text."""
        nodes: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                if piece:
                    nodes.append(Text(piece))
                continue
            self._tokens, self._at = piece, 0
            self._left -= _ACTION + len(piece)
            if self._left < 0:
                error("it has too many actions")
            word = self._tokens[0].text if self._tokens else error("missing value for command")
            if word in ("end", "else"):
                self._at = 1
                return tuple(nodes), word
            nodes.append(self._node(word))
        return tuple(nodes), ""

    def _node(self, word: str) -> Node:
        if word in ("if", "with", "range"):
            self._at = 1
            return self._block(word)
        if word in ("break", "continue"):
            self._at = 1
            self._over()
            return Jump(word) if self._loops else error(f"{{{{{word}}}}} outside {{{{range}}}}")
        if word in _KEYWORDS:
            error(f"{{{{{word}}}}} is not supported")
        action = Action(self._pipe())
        self._over()
        return action

    def _block(self, kind: str) -> Block:
        known = len(self._names)
        self._enter()
        pipe = self._pipe(range_=kind == "range")
        self._over()
        inner = len(self._names)
        self._loops += kind == "range"
        body, stop = self._list()
        self._loops -= kind == "range"
        del self._names[inner:]
        otherwise: tuple[Node, ...] = ()
        if stop == "else":
            otherwise, stop = self._else(kind)
        if stop != "end":
            error("unexpected end of template" if not stop else f"unexpected {{{{{stop}}}}}")
        self._over()
        self._depth -= 1
        del self._names[known:]
        return Block(kind, pipe, body, otherwise)

    def _else(self, kind: str) -> tuple[tuple[Node, ...], str]:
        """Return what is between `else` and `end`: with `else if`, another block that ends there."""
        if self._at < len(self._tokens) and self._tokens[self._at].text == kind != "range":
            self._at += 1
            return (self._block(kind),), "end"
        self._over()
        return self._list()

    def _pipe(self, *, range_: bool = False) -> Pipe:
        names, declares = self._targets(range_=range_)
        commands = [self._command()]
        while self._takes("|"):
            commands.append(self._command())
            if not isinstance(commands[-1], Call):
                error("non executable command in pipeline")
        if declares:
            self._names += names
        return Pipe(names, declares, tuple(commands))

    def _targets(self, *, range_: bool) -> tuple[tuple[str, ...], bool]:
        """Return the variables that a pipeline sets, and whether it declares them."""
        first, sign, second, last = (self._peek(offset) for offset in range(4))
        if first.kind == "variable" and sign.text in (":=", "="):
            length = 2
        elif range_ and first.kind == second.kind == "variable" and sign.text == "," and last.text in (":=", "="):
            length = 4
        else:
            return (), False
        names = tuple(token.text for token in (first, second)[: length // 2])
        declares = self._peek(length - 1).text == ":="
        self._at += length
        for name in names if not declares else ():
            self._known(name)
        return names, declares

    def _command(self) -> Operand:
        if self._at_function():
            return self._call()
        token = self._peek()
        operand = self._operand()
        if self._peek().text not in _ENDS:
            error(f"can't give argument to non-function {token.text}")
        return operand

    def _call(self, *, bare: bool = False) -> Call:
        """Return a function's call: a `bare` one is itself an argument, and has none of its own."""
        name = self._peek().text
        if name not in FUNCTIONS:
            error(f"function {quote(name)} not defined")
        self._at += 1
        arguments: list[Operand] = []
        while not bare and self._peek().text not in _ENDS:
            arguments.append(self._call(bare=True) if self._at_function() else self._operand())
        return Call(name, tuple(arguments))

    def _at_function(self) -> bool:
        token = self._peek()
        return token.kind == "word" and token.text not in _CONSTANTS

    def _operand(self) -> Operand:
        token = self._peek()
        self._at += 1
        if token.kind == "string":
            return Literal(_unquoted(token.text))
        if token.kind == "raw":
            return Literal(token.text[1:-1])
        if token.kind == "number":
            if len(token.text) > _MAX_NUMBER:
                error(f"number is too large: {token.text[:50]}")
            return Literal(float(token.text) if "." in token.text else int(token.text))
        if token.kind == "word":
            return Literal(_CONSTANTS[token.text])
        if token.kind == "variable":
            self._known(token.text)
            return Path(token.text, self._fields())
        if token.kind == "field":
            return Path("", (token.text[1:], *self._fields()))
        if token.text == ".":
            return Path("", ())
        if token.text == "(":
            return self._parenthesis()
        return error(f"unexpected {quote(token.text)} in operand" if token.text else "missing value for command")

    def _parenthesis(self) -> Operand:
        self._enter()
        pipe = self._pipe()
        if not self._takes(")"):
            error("unclosed left paren")
        self._depth -= 1
        return Path(pipe, self._fields())

    def _fields(self) -> tuple[str, ...]:
        fields = []
        while self._peek().kind == "field" and self._peek().glued:
            fields.append(self._peek().text[1:])
            self._at += 1
        return tuple(fields)

    def _known(self, name: str) -> None:
        if name not in self._names:
            error(f"undefined variable {quote(name)}")

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            error("nested too deeply")

    def _takes(self, sign: str) -> bool:
        taken = self._peek().text == sign
        self._at += taken
        return taken

    def _over(self) -> None:
        """Check that nothing follows in the action."""
        if token := self._peek().text:
            error(f"unexpected {quote(token)} in command")

    def _peek(self, offset: int = 0) -> Token:
        at = self._at + offset
        return self._tokens[at] if at < len(self._tokens) else Token("", "", glued=False)


def _unquoted(text: str) -> str:
    r"""Return the string: Go's escapes are JSON's, but for `\a`, `\v`, `\x..` and the octal ones, which are refused."""
    try:
        value: str = msgspec.json.decode(text, type=str)
    except msgspec.DecodeError:
        return error(f"invalid string {quote(text[:50])}")
    return value

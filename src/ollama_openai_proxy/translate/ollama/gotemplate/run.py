"""Go's templates, run: values in, text out (https://pkg.go.dev/text/template).

What does not exist prints nothing, where Go would print `<no value>`. Work and output are limited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum

from ollama_openai_proxy.translate.ollama.gotemplate.functions import FUNCTIONS, Value, kind, printed, truth
from ollama_openai_proxy.translate.ollama.gotemplate.lex import error
from ollama_openai_proxy.translate.ollama.gotemplate.parse import (
    Action,
    Block,
    Call,
    Jump,
    Literal,
    Node,
    Operand,
    Pipe,
    Text,
)

MAX_OUTPUT = 8 * 1024 * 1024  # characters
MAX_STEPS = 50_000  # nodes and operands; to compare or count a text costs more, by its length
_CHARACTERS_PER_STEP = 1024


class _Cut(Exception):
    """The field that nothing may follow was met."""


class _After(Enum):
    """What a node tells those that follow it."""

    NODE = "go on"
    BREAK = "leave the loop"
    CONTINUE = "go on with the loop's next round"


class Budget:
    """What a template may still cost: it is shared by all runs for one request."""

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._output = MAX_OUTPUT

    def step(self, characters: int = 0) -> None:
        self._steps -= 1 + characters // _CHARACTERS_PER_STEP
        if self._steps < 0:
            error("it takes too long")

    def write(self, characters: int) -> None:
        self._output -= characters
        if self._output < 0:
            error("its output is too long")


def run(nodes: Sequence[Node], root: Mapping[str, Value], budget: Budget, *, cut: str = "") -> str:
    """Return the output: as far as the first use of the field `cut`, if that is met. Raises InvalidRequest."""
    running = _Run(root, budget, cut)
    with suppress(_Cut):
        running.nodes(nodes, root)
    return "".join(running.out)


class _Run:
    """A run: the output so far, and the variables that are known."""

    def __init__(self, root: Mapping[str, Value], budget: Budget, cut: str) -> None:
        self.out: list[str] = []
        self._budget = budget
        self._cut = cut
        self._variables: list[tuple[str, Value]] = [("$", root)]

    def nodes(self, nodes: Sequence[Node], dot: Value) -> _After:
        for node in nodes:
            self._budget.step()
            if isinstance(node, Text):
                self._write(node.text)
            elif isinstance(node, Action):
                value = self._pipe(node.pipe, dot)
                if not node.pipe.names:
                    self._write(printed(value))
            elif isinstance(node, Jump):
                return _After.BREAK if node.kind == "break" else _After.CONTINUE
            elif (after := self._block(node, dot)) is not _After.NODE:
                return after
        return _After.NODE

    def _write(self, text: str) -> None:
        self._budget.write(len(text))
        self.out.append(text)

    def _block(self, block: Block, dot: Value) -> _After:
        known = len(self._variables)
        try:
            value = self._pipe(block.pipe, dot, stores=block.kind != "range")
            if block.kind == "range":
                return self._range(block, dot, value)
            if not truth(value):
                return self.nodes(block.otherwise, dot)
            return self.nodes(block.body, value if block.kind == "with" else dot)
        finally:
            del self._variables[known:]

    def _range(self, block: Block, dot: Value, value: Value) -> _After:
        if value is not None and not isinstance(value, list):
            error(f"range can't iterate over {kind(value)}")
        if not value:
            return self.nodes(block.otherwise, dot)
        names, declares = block.pipe.names, block.pipe.declares
        known = len(self._variables)
        for index, item in enumerate(value):
            for name, part in zip(names, (index, item) if len(names) == 2 else (item,), strict=False):
                self._set(name, part, declares=declares)
            after = self.nodes(block.body, item)
            del self._variables[known:]
            if after is _After.BREAK:
                break
        return _After.NODE

    def _pipe(self, pipe: Pipe, dot: Value, *, stores: bool = True) -> Value:
        value = self._operand(pipe.commands[0], dot)
        for command in pipe.commands[1:]:
            value = self._operand(command, dot, value)
        for name in pipe.names if stores else ():
            self._set(name, value, declares=pipe.declares)
        return value

    def _set(self, name: str, value: Value, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        at = next(at for at in reversed(range(len(self._variables))) if self._variables[at][0] == name)
        self._variables[at] = (name, value)

    def _operand(self, operand: Operand, dot: Value, *piped: Value) -> Value:
        self._budget.step()
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Call):
            return self._call(operand, dot, piped)
        if isinstance(operand.start, Pipe):
            value = self._pipe(operand.start, dot)
        elif operand.start:
            value = next(value for name, value in reversed(self._variables) if name == operand.start)
        else:
            value = dot
        for field in operand.fields:
            if field == self._cut:
                raise _Cut
            if value is not None and not isinstance(value, Mapping):
                error(f"can't evaluate field {field} in {kind(value)}")
            value = value.get(field) if value else None
        return value

    def _call(self, call: Call, dot: Value, piped: tuple[Value, ...]) -> Value:
        if call.function in ("and", "or"):
            return self._logic(call, dot, piped)
        values = [self._operand(argument, dot) for argument in call.arguments]
        values += piped
        for value in values:
            self._budget.step(len(value) if isinstance(value, str | list) else 0)
        return FUNCTIONS[call.function](values)

    def _logic(self, call: Call, dot: Value, piped: tuple[Value, ...]) -> Value:
        """Return the first argument that decides, or the last: the others are not looked at."""
        if not call.arguments and not piped:
            error(f"wrong number of args for {call.function}: want at least 1 got 0")
        value: Value = None
        for argument in call.arguments:
            value = self._operand(argument, dot)
            if truth(value) is (call.function == "or"):
                return value
        return piped[0] if piped else value

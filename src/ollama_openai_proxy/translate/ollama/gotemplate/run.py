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
MAX_STEPS = 12_000  # nodes, operands, fields, rounds of loops; functions, by the length of their texts and lists
_CHARACTERS_PER_STEP = 512


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
        self._variables: dict[str, list[Value]] = {"$": [root]}  # of each name, the innermost last
        self._declared: list[str] = []  # in the order in which they are forgotten

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
        known = len(self._declared)
        try:
            value = self._pipe(block.pipe, dot)
            if block.kind == "range":
                return self._range(block, dot, value)
            if not truth(value):
                return self.nodes(block.otherwise, dot)
            return self.nodes(block.body, value if block.kind == "with" else dot)
        finally:
            self._forget(known)

    def _range(self, block: Block, dot: Value, value: Value) -> _After:
        if value is not None and not isinstance(value, list):
            error(f"range can't iterate over {kind(value)}")
        if not value:
            return self.nodes(block.otherwise, dot)
        names = block.pipe.names
        known = len(self._declared)
        for index, item in enumerate(value):
            self._budget.step()  # also where there is nothing to do
            for name, part in zip(names, (index, item) if len(names) == 2 else (item,), strict=False):
                self._variables[name][-1] = part
            after = self.nodes(block.body, item)
            self._forget(known)
            if after is _After.BREAK:
                break
        return _After.NODE

    def _pipe(self, pipe: Pipe, dot: Value) -> Value:
        value = self._operand(pipe.commands[0], dot)
        for command in pipe.commands[1:]:
            value = self._operand(command, dot, value)
        for name in pipe.names:
            if pipe.declares:
                self._variables.setdefault(name, []).append(value)
                self._declared.append(name)
            else:
                self._variables[name][-1] = value
        return value

    def _forget(self, known: int) -> None:
        """Leave a scope: only what was declared before it stays."""
        for name in self._declared[known:]:
            self._variables[name].pop()
        del self._declared[known:]

    def _operand(self, operand: Operand, dot: Value, *piped: Value) -> Value:
        self._budget.step()
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Call):
            return self._call(operand, dot, piped)
        if isinstance(operand.start, Pipe):
            value = self._pipe(operand.start, dot)
        elif operand.start:
            value = self._variables[operand.start][-1]
        else:
            value = dot
        for field in operand.fields:
            self._budget.step()
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
        self._budget.step(sum(len(value) for value in values if isinstance(value, str | list)))
        result = FUNCTIONS[call.function](values)
        if isinstance(result, str):  # what `json` made is longer than what it was given tells
            self._budget.step(len(result))
        return result

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

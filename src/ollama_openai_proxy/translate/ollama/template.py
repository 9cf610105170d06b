"""`template`: a model's template, given by a request and rendered to the prompt of a plain completion (contract 5.7).

Two kinds are told apart as Ollama does: one that goes through `.Messages` itself, and one for a single turn of
`.System`, `.Prompt` and `.Response`, which is run for each turn of the conversation in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from ollama_openai_proxy.translate.ollama.context import Turn
from ollama_openai_proxy.translate.ollama.gotemplate.parse import Action, Block, Call, Node, Path, Pipe, parse
from ollama_openai_proxy.translate.ollama.gotemplate.run import Budget, run

Think = bool | str | None
# What a message has beside its role and content: nothing of that kind comes here, and templates count it.
_NOTHING_ELSE = {"Thinking": "", "Images": [], "ToolCalls": [], "ToolName": "", "ToolCallID": ""}


def render(template: str, turns: Sequence[Turn], think: Think = None) -> str:
    """Return the prompt that continues a conversation, which ends with a user's turn. `think` is the request's.

    What a template has from the last `.Response` on is left out: the model goes on from there. Raises
    InvalidRequest, `template error: ...`, for what is no template, and for one that takes too long.
    """
    nodes = parse(template)
    merged = _merged(turns)
    given, budget = _given(think), Budget()
    if "Messages" in _fields(nodes):
        messages = [{"Role": turn.role, "Content": turn.text, **_NOTHING_ELSE} for turn in merged]
        system = "\n\n".join(turn.text for turn in merged if turn.role == "system")
        return run(nodes, {"System": system, "Messages": messages, "Response": "", **given}, budget)
    *rounds, last = _rounds(merged)
    said = [run(nodes, {**given, **values}, budget) for values in rounds]
    return "".join((*said, run(nodes, {**given, **last}, budget, cut="Response")))


def fill(template: str, prompt: str, suffix: str, think: Think = None) -> str:
    """Return the prompt that asks for what comes between two texts. Raises InvalidRequest, as `render`."""
    return run(parse(template), {"Prompt": prompt, "Suffix": suffix, "Response": "", **_given(think)}, Budget())


def _given(think: Think) -> Mapping[str, object]:
    """Return what is there in every run: no tools, and what the request says of thinking."""
    level = think if isinstance(think, str) else ""
    return {"Tools": [], "IsThinkSet": think is not None, "Think": bool(think), "ThinkLevel": level}


def _merged(turns: Iterable[Turn]) -> list[Turn]:
    """Join what one side says in a row."""
    return [
        Turn(role, "\n\n".join(turn.text for turn in group)) for role, group in groupby(turns, lambda turn: turn.role)
    ]


def _rounds(turns: Iterable[Turn]) -> Iterator[Mapping[str, str]]:
    """Yield what each run for one turn is given: a system prompt, a prompt and the response to it."""
    names = {"system": "System", "user": "Prompt", "assistant": "Response"}
    values = dict.fromkeys(names.values(), "")
    order = list(values)
    for turn in turns:
        name = names[turn.role]
        # What was said later than this side ever speaks in a round belongs to the round before.
        if any(values[later] for later in order[order.index(name) :]):
            yield dict(values)
            values = dict.fromkeys(order, "")
        values[name] = turn.text
    yield values


def _fields(nodes: Iterable[Node]) -> set[str]:
    """Return the fields that are used anywhere."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Action | Block):
            found |= _fields_of(node.pipe)
        if isinstance(node, Block):
            found |= _fields(node.body) | _fields(node.otherwise)
    return found


def _fields_of(pipe: Pipe) -> set[str]:
    found: set[str] = set()
    operands = list(pipe.commands)
    while operands:
        operand = operands.pop()
        if isinstance(operand, Call):
            operands += operand.arguments
        elif isinstance(operand, Path):
            found.update(operand.fields)
            if isinstance(operand.start, Pipe):
                operands += operand.start.commands
    return found

"""How a backend is asked to think, or not to: `think` (contract 3.2) in its words. Data, apart from `asked`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LEVELS = {"low": "low", "medium": "medium", "high": "high", "max": "high"}
_ALL_LEVELS = {**_LEVELS, "max": "max"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """The members of a request that say it.

    `on` and `off` stand for true and false; empty, they send nothing. `level` is the member that takes a level, one
    inside another as `outer.inner`, and `levels` what Ollama's levels are called there; without it a level is `on`.
    `beside`: a level is sent beside `on`, not in its place.
    """

    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    level: str = ""
    levels: Mapping[str, str] = field(default_factory=_LEVELS.copy)
    beside: bool = False


# False sends nothing: models that can't think refuse the parameter, and many clients send false to every model.
EFFORT = Dialect(on={"reasoning_effort": "medium"}, level="reasoning_effort")
# Models that think anyway, or not at all, and refuse to be asked.
UNASKED = Dialect()
TEMPLATE = Dialect(
    on={"chat_template_kwargs": {"enable_thinking": True}},
    off={"chat_template_kwargs": {"enable_thinking": False}},
    level="chat_template_kwargs.reasoning_effort",
    levels=_ALL_LEVELS,
    beside=True,
)
# The templates of some models call the switch otherwise.
TEMPLATE_THINKING = Dialect(
    on={"chat_template_kwargs": {"thinking": True}},
    off={"chat_template_kwargs": {"thinking": False}},
    level="chat_template_kwargs.reasoning_effort",
    levels=_ALL_LEVELS,
    beside=True,
)
TYPE = Dialect(on={"thinking": {"type": "enabled"}}, off={"thinking": {"type": "disabled"}})
TYPE_AND_EFFORT = Dialect(on=TYPE.on, off=TYPE.off, level="reasoning_effort", levels=_ALL_LEVELS, beside=True)
SWITCH = Dialect(on={"enable_thinking": True}, off={"enable_thinking": False})
REASONING = Dialect(
    on={"reasoning": {"enabled": True}},
    off={"reasoning": {"enabled": False}},
    level="reasoning.effort",
    levels={**_LEVELS, "max": "xhigh"},
)
REASONING_AND_EFFORT = Dialect(on=REASONING.on, off=REASONING.off, level="reasoning_effort", beside=True)
EFFORT_NONE = Dialect(on=EFFORT.on, off={"reasoning_effort": "none"}, level="reasoning_effort", levels=_ALL_LEVELS)


def asked(think: bool | str, dialect: Dialect) -> dict[str, Any]:
    """Return the members that ask for it. `think` is true, false or one of Ollama's levels."""
    if think is False:
        return dict(dialect.off)
    if think is True or not dialect.level:
        return dict(dialect.on)
    members = dict(dialect.on) if dialect.beside else {}
    outer, _, inner = dialect.level.partition(".")
    name = dialect.levels[think]
    members[outer] = {**members.get(outer, {}), inner: name} if inner else name
    return members

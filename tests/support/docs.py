"""Pages of documentation: their blocks, the commands in them, their headings and links."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.engine import ROOT

README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "docker-deployment-guide.md"
PAGES = (README, GUIDE)
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)
SEPARATORS = {"|", "||", "&&", ";", "&"}
# What would have to be run to know what a command is.
UNREADABLE = ("$(", "`", "<<")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, and what stands behind its fence."""

    page: Path
    section: str
    line: int
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block, with the variables that it is given."""

    block: Block
    number: int  # in its block
    variables: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.block}: {self.number}, {' '.join(self.words[:2]) or 'variables'}"

    def value(self, option: str) -> str | None:
        """What is given to a long option, in either form."""
        return next(iter(self.values(option)), None)

    def values(self, option: str) -> list[str]:
        separate = [value for word, value in zip(self.words, self.words[1:], strict=False) if word == option]
        return separate + [word.partition("=")[2] for word in self.words if word.startswith(f"{option}=")]


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def blocks(*pages: Path) -> list[Block]:
    """Return all fenced blocks. One that is not closed, or stands in a list, would be missed: it is refused."""
    found = []
    for page in pages:
        matches = list(FENCE.finditer(text(page)))
        assert 2 * len(matches) == len(re.findall(r"^\s*(?:```|~~~)", text(page), re.MULTILINE)), page
        for match in matches:
            before = text(page)[: match.start()]
            section = re.findall(r"^## (.*)$", before, re.MULTILINE)
            language, _, name = match["info"].partition(" ")
            line = before.count("\n") + 1
            found.append(Block(page, section[-1] if section else "", line, language, name, match["text"]))
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a block of shell, in the order in which they are run."""
    assert not [sign for sign in UNREADABLE if sign in block.text], f"{block}: write it without"
    found: list[Command] = []
    for line in block.text.replace("\\\n", " ").replace(" 2>&1", "").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in (*lexer, ";"):
            if word not in SEPARATORS:
                words.append(word)
            elif words:
                found.append(_command(block, len(found) + 1, words))
                words = []
    return found


def _command(block: Block, number: int, words: list[str]) -> Command:
    variables = []
    rest = list(words)
    while rest and (match := ASSIGNMENT.fullmatch(rest[0])):
        variables.append((match[1], match[2]))
        rest.pop(0)
    return Command(block, number, tuple(variables), tuple(rest))


def anchors(page: Path) -> set[str]:
    """The headings, as links name them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """What the links of a page lead to."""
    return re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text(page)))


def first_column(page: Path, heading: str) -> list[str]:
    """The code in the first cell of each row, of the table whose first line begins so."""
    _, _, rest = text(page).partition(f"\n| {heading} |")
    assert rest, f"{page.name} has no table of {heading}"
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]

"""Puts the table and the plots of a run into docs/performance.md, between its markers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench.plots import draw
from benchmarks.bench.report import table
from benchmarks.bench.results import Results

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def write(results: Results, folder: Path) -> None:
    """Raises ValueError if the page has no markers."""
    page = folder / "performance.md"
    pictures = draw(results, folder / "performance")
    shown = "\n\n".join(f"![{picture.stem.replace('-', ' ')}](performance/{picture.name})" for picture in pictures)
    page.write_text(between(page.read_text(encoding="utf-8"), f"{table(results)}\n\n{shown}"), encoding="utf-8")


def between(page: str, text: str) -> str:
    """Return the page with other text between its markers. Raises ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no markers for what was measured")
    return f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}"

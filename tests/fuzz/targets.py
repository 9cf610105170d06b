"""Every target by its name, and what each begins with: its folder of the corpus, and recorded replies."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from fuzz import backend, clients, operators, wire

CORPUS = Path(__file__).with_name("corpus")
RECORDINGS = Path(__file__).parents[1] / "recordings"

Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {
    name.removeprefix("fuzz_"): target
    for module in (backend, clients, operators, wire)
    for name, target in vars(module).items()
    if name.startswith("fuzz_")
}
# What else a target is given, as it came from a backend, with the byte in front that these targets take off.
RECORDED = {"sse": "*.sse", "reply": "*.sse", "error": "*error*.json", "lists": "*.json"}


@cache
def seeds(name: str) -> list[bytes]:
    """Return what the target begins with."""
    found = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    front = b"" if name == "lists" else b"\0"
    if name in RECORDED:
        found += [front + path.read_bytes() for path in sorted(RECORDINGS.rglob(RECORDED[name]))]
    return found

"""Who is measured beside the proxy, in the order of the tables.

Go has a rival of this proxy (K0IN/openai-ollama-proxy), which no registry carries as a program: its figures can only
be quoted (report.py).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench.peers_base import Command, Missing, Peer
from benchmarks.bench.peers_node import NODE
from benchmarks.bench.peers_python import PYTHON
from benchmarks.bench.peers_servers import SERVERS

__all__ = ["PEERS", "Command", "Missing", "Peer", "versions"]

PEERS: tuple[Peer, ...] = (*SERVERS, *NODE, *PYTHON)


def versions(folder: Path) -> dict[str, str]:
    """Return the version of each peer that has one. `folder`: where they were installed."""
    found = {peer.name: peer.version(folder) for peer in PEERS}
    return {name: version for name, version in found.items() if version}

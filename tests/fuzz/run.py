"""Run one target under atheris, which follows what an input reaches: run.py TARGET CORPUS [options of libFuzzer].

CORPUS is a folder that grows by what reaches more; the target's own seeds are put into it first.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path


def main(name: str, corpus: Path, *options: str) -> None:
    atheris = importlib.import_module("atheris")  # in no other environment than that of scripts/fuzz
    with atheris.instrument_imports(include=["ollama_openai_proxy"]):
        targets = importlib.import_module("fuzz.targets")
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in targets.seeds(name):
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, str(corpus)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

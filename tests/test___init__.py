"""The package itself."""

import tomllib
from pathlib import Path

import ollama_openai_proxy

ROOT = Path(__file__).parent.parent


def test_version() -> None:
    """The version is the one of pyproject.toml, its only source."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ollama_openai_proxy.__version__ == project["version"]


def test_is_typed() -> None:
    """Type checkers of other projects may trust the annotations (PEP 561)."""
    assert Path(ollama_openai_proxy.__file__).with_name("py.typed").exists()

"""The package itself."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ollama_openai_proxy
from ollama_openai_proxy import __version__

ROOT = Path(__file__).parent.parent


def test_version() -> None:
    """The version is the one of pyproject.toml, its only source."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ollama_openai_proxy.__version__ == __version__ == project["version"]


def test_other_names() -> None:
    """A name that the package does not have is missing as in any module."""
    with pytest.raises(AttributeError, match=r"^module 'ollama_openai_proxy' has no attribute 'version'$"):
        getattr(ollama_openai_proxy, "version")  # noqa: B009  # checkers know that it is missing
    with pytest.raises(ImportError):
        exec("from ollama_openai_proxy import version", {})  # noqa: S102  # the same


def test_import_is_cheap() -> None:
    """G9: `probe` imports the package, too, so that imports nothing."""
    code = "import sys; before = {*sys.modules}; import ollama_openai_proxy; print(*({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  # our own code
    assert done.stdout.split() == ["ollama_openai_proxy"]


def test_is_typed() -> None:
    """Type checkers of other projects may trust the annotations (PEP 561)."""
    assert Path(ollama_openai_proxy.__file__).with_name("py.typed").exists()

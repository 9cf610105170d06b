"""How the images are built: of which layers, how large, and the same each time."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import engine
from support.layers import Layer, digests, layers

BUDGET = json.loads((engine.ROOT / "docker" / "budget.json").read_text(encoding="utf-8"))
BASE = "python:3.12-slim"
PROD = f"{engine.IMAGE}:prod"

pytestmark = pytest.mark.usefixtures("images")


@pytest.fixture(scope="module")
def added() -> list[Layer]:
    """What prod adds to its base."""
    return layers(PROD, above=BASE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Another copy of what is built, in another place and with the times of now."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("docker", "src", "scripts"):
        shutil.copytree(engine.ROOT / name, tmp_path / name, ignore=ignored, copy_function=shutil.copy)
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", ".dockerignore"):
        shutil.copy(engine.ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for an image of this test alone."""
    name = f"{engine.IMAGE}-test:{request.node.name.replace('_', '-')}"
    yield name
    engine.docker("rmi", "--force", name, check=False)


def build(tree: Path, target: str, tag: str, *options: str) -> None:
    file = str(tree / "docker" / "Dockerfile")
    engine.docker("build", f"--file={file}", f"--target={target}", f"--tag={tag}", *options, str(tree), timeout=600)


def test_size(added: list[Layer]) -> None:
    """G1, G2: what prod adds to its base, compressed, and in how many layers, stays within the budget."""
    assert sum(layer.compressed for layer in added) <= BUDGET["prod_added_bytes"]
    assert len(added) <= BUDGET["layers"]


def test_size_of_distroless() -> None:
    """G1: all of the smaller image, with the runtime in it, stays within the budget."""
    assert sum(layer.compressed for layer in layers(f"{engine.IMAGE}:distroless")) <= BUDGET["distroless_bytes"]


def test_distroless_has_the_same_bytes() -> None:
    """The layers of bytecode, dependencies and proxy are those of prod."""
    own = digests(f"{engine.IMAGE}:distroless")
    assert own[1:4] == digests(PROD)[-4:-1]


@pytest.mark.parametrize("target", ["ci", "dev"])
def test_tests_run_on_what_is_shipped(target: str) -> None:
    """G16, D19: the images for tests and development are prod with more on top."""
    shipped = digests(PROD)
    assert digests(f"{engine.IMAGE}:{target}")[: len(shipped)] == shipped


def test_a_change_of_code_ships_little(tree: Path, tag: str, added: list[Layer]) -> None:
    """G2: when only code changes, only its own layer is sent again."""
    module = tree / "src" / "ollama_openai_proxy" / "errors.py"
    module.write_text(module.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    build(tree, "prod", tag)
    known = {layer.digest for layer in added}
    changed = [layer for layer in layers(tag, above=BASE) if layer.digest not in known]
    assert 0 < sum(layer.compressed for layer in changed) <= BUDGET["code_change_bytes"]


def test_two_builds_are_the_same(tree: Path, tag: str, added: list[Layer]) -> None:
    """G15: the same tree, elsewhere and later, with nothing kept of the first build, gives the same layers."""
    build(tree, "prod", tag, "--no-cache")
    again = layers(tag, above=BASE)
    assert [layer.without_times_of_removals() for layer in again] == [
        layer.without_times_of_removals() for layer in added
    ]
    # But for the first, which only removes, to the bit.
    assert [layer.digest for layer in again[1:]] == [layer.digest for layer in added[1:]]


def test_context_holds_nothing_private(tmp_path: Path, tag: str) -> None:
    """D23: settings with keys, bytecode and history are not even sent to the engine, however deep they lie."""
    for name in (".env", "docker/.env", "src/.env", "src/a/__pycache__/a.cpython-312.pyc", ".git/config", "a.log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("private", encoding="utf-8")
    (tmp_path / "src" / "a" / "a.py").write_text("", encoding="utf-8")
    shutil.copy(engine.ROOT / ".dockerignore", tmp_path)
    (tmp_path / "docker" / "Dockerfile").write_text('FROM scratch\nCOPY . /\nCMD ["/none"]\n', encoding="utf-8")
    build(tmp_path, "", tag)
    (only,) = layers(tag)
    with tarfile.open(fileobj=io.BytesIO(only.content)) as archive:
        assert {member.name for member in archive if member.isfile()} == {"src/a/a.py", "docker/Dockerfile"}

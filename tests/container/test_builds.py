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
PASSWORD = "d41d8cd98f"
INDEX = "https://pypi.org/simple"
# What people keep beside the code, or tools leave there.
PRIVATE = (
    *(".env", "docker/.env", "docker/prod.env", "docker/.env.prod", "docker/prod.env.bak", "src/.env"),
    *("docker/openai_api_key", "docker/secrets/key", "docker/proxies/tls.pem", "src/a.key", ".git/config"),
    *("src/a/__pycache__/a.cpython-312.pyc", "a.log"),
)

pytestmark = pytest.mark.usefixtures("images")


@pytest.fixture(scope="module", autouse=True)
def base() -> None:
    """What a build has fetched is not always an image of the engine's."""
    try:
        engine.inspect(BASE)
    except engine.Failed:
        engine.docker("pull", BASE, timeout=300)


@pytest.fixture(scope="module")
def added() -> list[Layer]:
    """What prod adds to its base."""
    return layers(PROD, above=BASE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copied(tmp_path)


def copied(folder: Path) -> Path:
    """Make another copy of what is built, with the times of now."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("docker", "src", "scripts"):
        shutil.copytree(engine.ROOT / name, folder / name, ignore=ignored, copy_function=shutil.copy)
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", ".dockerignore"):
        shutil.copy(engine.ROOT / name, folder / name)
    return folder


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
def test_tests_run_on_what_is_shipped(target: str, added: list[Layer]) -> None:
    """G16, D19: the images for tests and development are prod with more on top."""
    own = layers(f"{engine.IMAGE}:{target}", above=BASE)[: len(added)]
    assert [layer.digest for layer in own[1:]] == [layer.digest for layer in added[1:]]
    # Of the first, which only removes, BuildKit may have kept two, of builds at different times.
    assert own[0].without_times_of_removals() == added[0].without_times_of_removals()


def test_a_change_of_code_ships_little(tree: Path, tag: str, added: list[Layer]) -> None:
    """G2: when only code changes, only its own layer is sent again."""
    module = tree / "src" / "ollama_openai_proxy" / "errors.py"
    module.write_text(module.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    build(tree, "prod", tag)
    known = {layer.digest for layer in added}
    changed = [layer for layer in layers(tag, above=BASE) if layer.digest not in known]
    assert 0 < sum(layer.compressed for layer in changed) <= BUDGET["code_change_bytes"]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another build of prod: elsewhere, later, nothing kept of the first, with a mirror and its password."""
    folder = copied(tmp_path_factory.mktemp("again"))
    secret = folder / "netrc"
    secret.write_text(f"machine mirror.invalid login proxy password {PASSWORD}\n", encoding="utf-8")
    name = f"{engine.IMAGE}-test:again"
    build(folder, "prod", name, "--no-cache", f"--secret=id=netrc,src={secret}", f"--build-arg=PIP_INDEX_URL={INDEX}")
    yield name
    engine.docker("rmi", "--force", name, check=False)


def test_two_builds_are_the_same(again: str, added: list[Layer]) -> None:
    """G15: the same tree gives the same layers, to the bit but for the first, which only removes."""
    found = layers(again, above=BASE)
    assert [layer.without_times_of_removals() for layer in found] == [
        layer.without_times_of_removals() for layer in added
    ]
    assert [layer.digest for layer in found[1:]] == [layer.digest for layer in added[1:]]


def test_what_a_build_is_told_stays_out(again: str) -> None:
    """G3: neither a layer nor the history of an image tells of a mirror or holds what it asks for."""
    assert INDEX not in engine.docker("history", "--no-trunc", "--format={{.CreatedBy}}", again)
    assert not [layer.digest for layer in layers(again, above=BASE) if PASSWORD.encode() in layer.content]


@pytest.mark.parametrize("stage", ["builder", "ci", "dev"])
def test_each_stage_that_installs_heeds_the_mirror(stage: str) -> None:
    """An argument is known to the stage that declares it, and to no other: in each, uv is told of the mirror."""
    _, _, text = (engine.ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").partition(f" AS {stage}\n")
    text = text.partition("\nFROM ")[0]
    assert "uv pip install" in text
    assert "\nARG UV_DEFAULT_INDEX\n" in f"\n{text}"


def test_context_holds_nothing_private(tmp_path: Path, tag: str) -> None:
    """D23: files with keys, bytecode and history are not even sent to the engine, however deep they lie."""
    for name in PRIVATE:
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

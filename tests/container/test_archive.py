"""scripts/archive.py: what was built is what is run, scanned and published, to the byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import archives, engine
from support.scripts import SCRIPTS

NAME = "ollama-openai-proxy-archive-test:hello"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "archive.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # our own script


def test_digest(tmp_path: Path) -> None:
    """G17: an archive's digest is that of its manifest, by which a registry will know it."""
    digest = archives.write(tmp_path / "a.tar")
    assert run("digest", tmp_path / "a.tar").stdout == f"{digest}\n"


@pytest.mark.parametrize("command", [("digest",), ("index", "layout"), ("docker",), ("loaded",)])
def test_tampered(tmp_path: Path, command: tuple[str, ...]) -> None:
    """G17: an archive with a blob that is not what its name says is refused, whatever is asked."""
    path = tmp_path / "a.tar"
    archives.write(path, tampered=True)
    (tmp_path / "inspected").write_text("[]")
    more: dict[str, list[object]] = {"docker": ["name", tmp_path / "out"], "loaded": [tmp_path / "inspected"]}
    done = run(command[0], *(tmp_path / part for part in command[1:]), path, *more.get(command[0], []))
    assert done.returncode == 1
    assert "is not what its name says" in done.stderr


def test_index(tmp_path: Path) -> None:
    """G20, P16: an index has each platform once and none that is unknown; the labels that agree describe it."""
    digests = {arch: archives.write(tmp_path / f"{arch}.tar", arch=arch) for arch in ("amd64", "arm64")}
    layout = tmp_path / "layout"
    digest = run("index", layout, tmp_path / "amd64.tar", tmp_path / "arm64.tar").stdout.strip()
    content = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
    assert archives.sha256(content) == digest
    index = json.loads(content)
    assert {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]} == digests
    assert {entry["platform"]["os"] for entry in index["manifests"]} == {"linux"}
    assert index["annotations"] == {"org.opencontainers.image.title": "hello"}
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["digest"] == digest


def test_index_of_one_platform_twice(tmp_path: Path) -> None:
    """G20: two archives of one platform are no image for two."""
    archives.write(tmp_path / "a.tar")
    done = run("index", tmp_path / "layout", tmp_path / "a.tar", tmp_path / "a.tar")
    assert done.returncode == 1
    assert "one archive for each platform" in done.stderr


@pytest.mark.usefixtures("needs_engine")
def test_an_engine_has_the_same(tmp_path: Path) -> None:
    """G17: what is run is what was built: layers, user, command, health check, labels; another image is noticed."""
    archive, other = tmp_path / "a.tar", tmp_path / "b.tar"
    archives.write(archive)
    archives.write(other, name="other")
    assert run("docker", archive, NAME, tmp_path / "image.tar").returncode == 0
    engine.docker("load", "--input", str(tmp_path / "image.tar"))
    try:
        (tmp_path / "inspected").write_text(engine.docker("image", "inspect", NAME))
    finally:
        engine.docker("rmi", NAME)
    assert run("loaded", archive, tmp_path / "inspected").returncode == 0
    assert run("loaded", other, tmp_path / "inspected").stderr == "archive: the engine has other layers\n"
    changed = json.loads((tmp_path / "inspected").read_text())
    changed[0]["Config"]["User"] = "0"
    (tmp_path / "inspected").write_text(json.dumps(changed))
    assert run("loaded", archive, tmp_path / "inspected").stderr == "archive: the engine has another User: 0\n"


@pytest.mark.usefixtures("needs_engine")
@pytest.mark.parametrize("failing", ["", "pytest", "python"])
def test_image_check(tmp_path: Path, failing: str) -> None:
    """D38, D42: the archive that was built is loaded, tested and measured; if the tests or the time fail, it fails."""
    for name in ("image-check", "archive.py"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(SCRIPTS / name, tmp_path / "scripts")
    (tmp_path / "scripts" / "bootstrap.py").write_text("")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("pytest", "python"):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(
            f'#!/bin/sh\necho "$(basename $0) $PROXY_TEST_IMAGE $*"; [ $(basename $0) != "{failing}" ]\n'
        )
        program.chmod(0o755)
    checked = f"ollama-openai-proxy:{archives.write(tmp_path / 'a.tar').removeprefix('sha256:')}"
    engine_client = engine.client() or ""
    try:
        done = subprocess.run(  # noqa: S603  # our own script
            [str(tmp_path / "scripts" / "image-check"), "a.tar"],
            env={"PATH": os.environ["PATH"], "ENGINE": engine_client},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert json.loads(engine.docker("image", "inspect", checked))[0]["Config"]["User"] == archives.CONFIG["User"]
    finally:
        engine.docker("rmi", checked, check=False)
    ran = [line for line in done.stdout.splitlines() if line.startswith("py")]
    wanted = [f"pytest {checked} tests/container", f"python  benchmarks/container.py {checked} --max-added-ms 100"]
    assert ran == (wanted[:1] if failing == "pytest" else wanted)
    assert bool(done.returncode) == bool(failing), done.stderr


JOBS = ("build", "scan")


@pytest.fixture
def handed_on(tmp_path: Path) -> dict[str, str]:
    """Two archives, as jobs hand them on, with what the jobs wrote down. Return their digests."""
    digests = {}
    (tmp_path / "passed").mkdir()
    for arch in ("amd64", "arm64"):
        (tmp_path / "images" / arch).mkdir(parents=True)
        digests[f"prod-{arch}"] = archives.write(tmp_path / "images" / arch / "prod.tar", arch=arch)
        for job in JOBS:
            (tmp_path / "passed" / f"{job}-prod-{arch}").write_text(digests[f"prod-{arch}"] + "\n")
    return digests


def passed(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("passed", folder / "images", folder / "passed", *JOBS)


def test_passed(tmp_path: Path, handed_on: dict[str, str]) -> None:
    """G17: what each job had is told, and is what is published."""
    assert passed(tmp_path).stdout.splitlines() == [f"{name}={digest}" for name, digest in handed_on.items()]


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("what", ["another", "missing", "empty"])
def test_not_passed(tmp_path: Path, handed_on: dict[str, str], job: str, what: str) -> None:
    """G17: with the digest of any job missing, or another, nothing is published."""
    note = tmp_path / "passed" / f"{job}-prod-arm64"
    if what == "missing":
        note.unlink()
    else:
        note.write_text(handed_on["prod-amd64"] if what == "another" else "")
    done = passed(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.usefixtures("handed_on")
def test_an_archive_is_missing(tmp_path: Path) -> None:
    """G20: where a platform passed, but is not there, nothing is published."""
    (tmp_path / "images" / "arm64" / "prod.tar").unlink()
    assert passed(tmp_path).returncode == 1


def test_nothing_passes_where_nothing_is(tmp_path: Path) -> None:
    """G17: no archives and nothing written down is a failure, not agreement."""
    for name in ("images", "passed"):
        (tmp_path / name).mkdir()
    assert passed(tmp_path).returncode == 1

"""scripts/archive.py: what was built is what is run, scanned and published, to the byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import archives, engine
from support.scripts import SCRIPTS, script

NAME = "ollama-openai-proxy-archive-test:hello"
Archive = script("archive").Archive


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


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        [archives.MANIFEST, archives.MANIFEST],
        ["application/vnd.oci.image.index.v1+json"],
        ["application/vnd.docker.distribution.manifest.v2+json"],
    ],
    ids=["nothing", "two", "index", "docker"],
)
def test_one_image_for_one_platform(tmp_path: Path, kinds: list[str]) -> None:
    """G17, P16: an archive of anything but one OCI image, such as one with an attestation beside it, is refused."""
    archives.write(tmp_path / "a.tar", kinds=kinds)
    done = run("digest", tmp_path / "a.tar")
    assert (done.returncode, done.stdout) == (1, "")
    assert "one image for one platform is wanted" in done.stderr


def test_a_layer_is_what_the_configuration_says(tmp_path: Path) -> None:
    """G17: no image is made for an engine of a layer that is not the one that the image's configuration names."""
    archives.write(tmp_path / "a.tar", diff_id=archives.sha256(b"another"))
    done = run("docker", tmp_path / "a.tar", "name", tmp_path / "out")
    assert done.returncode == 1
    assert f"is not {archives.sha256(b'another')}" in done.stderr
    assert not (tmp_path / "out").exists()


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


BOOTSTRAP = 'import sys\nprint("python3 bootstrap.py", *sys.argv[1:], flush=True)\n'


@dataclass(frozen=True)
class Checked:
    """A run of scripts/image-check with an archive, in a tree where nothing else is real; and the image's name."""

    image: str
    status: int
    ran: list[str]


def image_check(folder: Path, client: str, failing: str = "") -> Checked:
    """Run it with this client of an engine. One of the programs that it runs fails, if it is named."""
    (folder / "scripts").mkdir()
    for name in ("image-check", "archive.py"):
        shutil.copy(SCRIPTS / name, folder / "scripts")
    (folder / "scripts" / "bootstrap.py").write_text(BOOTSTRAP)
    for name in ("pytest", "python"):
        executable(
            folder / ".venv" / "bin" / name,
            f'echo "$(basename $0) $PROXY_TEST_IMAGE $*"; [ $(basename $0) != "{failing}" ]',
        )
    image = f"ollama-openai-proxy:{archives.write(folder / 'a.tar').removeprefix('sha256:')}"
    done = subprocess.run(  # noqa: S603  # our own script
        [str(folder / "scripts" / "image-check"), "a.tar"],
        env={"PATH": os.environ["PATH"], "ENGINE": client},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return Checked(image, done.returncode, [line for line in done.stdout.splitlines() if line.startswith("py")])


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


INSTALLED = "python3 bootstrap.py --group dev --group container"


@pytest.mark.usefixtures("needs_engine")
@pytest.mark.parametrize("failing", ["", "pytest", "python"])
def test_image_check(tmp_path: Path, failing: str) -> None:
    """D38, D42: the archive that was built is loaded, tested and measured; if the tests or the time fail, it fails.

    What the tests need is installed before: the programs that they run around the image, too.
    """
    image = f"ollama-openai-proxy:{archives.write(tmp_path / 'same.tar').removeprefix('sha256:')}"
    try:
        done = image_check(tmp_path, engine.client() or "", failing)
        assert json.loads(engine.docker("image", "inspect", image))[0]["Config"]["User"] == archives.CONFIG["User"]
    finally:
        engine.docker("rmi", image, check=False)
    assert done.image == image
    wanted = [
        INSTALLED,
        f"pytest {image} tests/container",
        f"python  benchmarks/container.py {image} --max-added-ms 100",
    ]
    assert done.ran == (wanted[:2] if failing == "pytest" else wanted)
    assert bool(done.status) == bool(failing)


@pytest.mark.parametrize("user", ["1000:1000", "0"])
def test_image_check_of_what_was_loaded(tmp_path: Path, user: str) -> None:
    """G17: where the engine has another image after the load than the archive's, it is not run, and the check fails."""
    archives.write(tmp_path / "same.tar")
    config = Archive(tmp_path / "same.tar").config
    inspected = [{"RootFS": {"Layers": config["rootfs"]["diff_ids"]}, "Config": {**config["config"], "User": user}}]
    (tmp_path / "inspected").write_text(json.dumps(inspected))
    executable(tmp_path / "client", f'[ "$1" != image ] || cat "{tmp_path}/inspected"')
    done = image_check(tmp_path, str(tmp_path / "client"))
    same = user == archives.CONFIG["User"]
    assert (done.status == 0) == same
    assert (done.ran == [INSTALLED]) != same


PROGRAM = "from support import compose; print(compose.program())"


@pytest.mark.parametrize("works", [True, False])
def test_compose_of_the_engine(tmp_path: Path, works: bool) -> None:
    """G20, D38: the tests around the image run the engine's own Compose, for arm64 has no other; if it runs there."""
    plugin = tmp_path / ".docker" / "cli-plugins" / "docker-compose"
    executable(plugin, '[ "$*" = version ]' if works else "exit 1")
    done = subprocess.run(  # noqa: S603  # this Python
        [sys.executable, "-c", PROGRAM],
        cwd=SCRIPTS.parent / "tests",
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout == f"{plugin}\n") == works


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

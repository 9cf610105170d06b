"""What an operator's mistake leads to: the container ends at once, with one JSON line that says what is wrong."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from support import engine
from support.compose import OVERLAID, PROD, Compose, check_installed

BACKEND = {"OPENAI_API_BASE_URL": "http://192.0.2.1/v1"}  # no address of anybody
LOGS = "/var/log/ollama-openai-proxy"
KEY_FILE = "/run/secrets/openai_api_key"
KINDS = ("container", "network", "volume")


def ends(image: str, status: int, *words: str, settings: Mapping[str, str], options: Sequence[str] = ()) -> None:
    """Check that a container of the image ends so, with one line that has these words."""
    with engine.container(image, options=(*engine.HARDENED, *options), **settings) as container:
        assert container.wait(within=45) == status
        (line,) = container.lines()
    assert line["level"] == "CRITICAL"
    assert [word for word in words if word not in line["message"]] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_BASE_URL", "ftp://backend"),
        ("OPENAI_API_KEY", ""),
        ("REQUEST_TIMEOUT", "soon"),
        ("OPENAI_API_KEY_FILE", KEY_FILE),
    ],
)
def test_a_setting(prod: str, name: str, value: str) -> None:
    """A setting that is malformed or empty, or a key file that is missing, ends the start; the line names it."""
    ends(prod, 2, name, settings={**BACKEND, name: value})


def test_no_backend(prod: str) -> None:
    """Without a backend the start ends; the line names the variable."""
    ends(prod, 2, "OPENAI_API_BASE_URL", settings={})


def test_a_key_that_the_user_can_not_read(prod: str, tmp_path: Path) -> None:
    """A key file of somebody else, for a user whom the image does not know: the line names variable and reason."""
    key = tmp_path / "key"
    key.write_text("sk-unreadable", encoding="utf-8")
    key.chmod(0o400)
    options = (f"--volume={key}:{KEY_FILE}:ro", "--user=54321:54321")
    settings = {**BACKEND, "OPENAI_API_KEY_FILE": KEY_FILE}

    ends(prod, 2, "OPENAI_API_KEY_FILE", "ermission denied", settings=settings, options=options)


def test_logs_that_can_not_be_written(prod: str) -> None:
    """A volume that user 1000 can't write ends the start; the line names the variable and the reason."""
    options = (f"--mount=type=tmpfs,destination={LOGS},tmpfs-mode=0555",)
    settings = {**BACKEND, "LOG_FILE": f"{LOGS}/proxy.log"}

    ends(prod, 1, "LOG_FILE", "ermission denied", settings=settings, options=options)


def test_a_port_that_is_taken(prod: str) -> None:
    """Two in one network namespace: the second one ends, and names the address."""
    with engine.serving(prod) as first:
        ends(prod, 1, "OLLAMA_HOST", settings=BACKEND, options=(f"--network=container:{first.id}",))


@pytest.fixture
def project(prod: str, tmp_path: Path) -> Iterator[Compose]:
    """Production as Compose starts it, in a project and a network of its own."""
    check_installed()
    name = f"oop-test-{uuid.uuid4().hex[:8]}"
    engine.docker("network", "create", name)
    key = tmp_path / "key"
    key.write_text("sk-mistakes", encoding="utf-8")
    key.chmod(0o444)
    settings = {**BACKEND, "OPENAI_API_KEY_FILE": str(key), "PROXY_NETWORK": name, "PROXY_IMAGE": prod}
    try:
        yield Compose(PROD, settings, (f"--project-name={name}",))
    finally:
        engine.docker("network", "rm", name)


def changed(project: Compose, *files: Path, **settings: str) -> Compose:
    return Compose(files or project.files, {**project.settings, **settings}, project.options)


def test_compose_tells_of_a_setting(project: Compose) -> None:
    """`up --wait` fails, and each line of the container, which is started again and again, names the variable."""
    wrong = changed(project, DRAIN_TIMEOUT="soon")
    try:
        done = wrong.run("up", "--detach", "--wait", "--wait-timeout=60")
        lines = wrong.container("proxy").lines()
    finally:
        wrong.do("down", "--volumes")

    assert done.returncode != 0
    assert lines
    assert [line for line in lines if "DRAIN_TIMEOUT" not in line["message"]] == []


def test_compose_tells_of_a_missing_key(project: Compose) -> None:
    """P14: a key file that is not there is an error that names it, and no folder is made in its place."""
    path = Path(project.settings["OPENAI_API_KEY_FILE"])
    path.unlink()
    try:
        done = project.run("up", "--detach", "--wait")
    finally:
        project.do("down", "--volumes")

    assert done.returncode != 0
    assert f"bind source path does not exist: {path}" in done.stderr
    assert not path.exists()


def test_compose_tells_of_a_taken_port(project: Compose) -> None:
    """A port of the host that somebody else has is an error that names it, and `down` leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        wrong = changed(project, *OVERLAID, PROXY_PORT_HOST=str(port))
        try:
            done = wrong.run("up", "--detach", "--wait")
            before = left_by(wrong)
        finally:
            wrong.do("down", "--volumes")

    assert done.returncode != 0
    assert f"127.0.0.1:{port}" in done.stderr
    assert before.keys() == set(KINDS)
    assert left_by(wrong) == {}


def left_by(project: Compose) -> dict[str, list[str]]:
    """Return what the engine has of the project, by kind."""
    name = project.options[0].partition("=")[2]
    label = f"--filter=label=com.docker.compose.project={name}"
    found = {
        kind: engine.docker(kind, "ls", *(["--all"] if kind == "container" else []), "--quiet", label).split()
        for kind in KINDS
    }
    return {kind: numbers for kind, numbers in found.items() if numbers}

"""scripts/release.py: what is built, and by which names it is published."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.installed import installed
from support.scripts import ROOT, script

release = script("release")
SHA = "0123456789abcdef0123456789abcdef01234567"
# An image's tag, by the grammar of its references.
VALID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@pytest.mark.parametrize(
    ("ref", "known", "expected"),
    [
        ("refs/heads/main", ["v1.0.0"], ["main"]),
        ("refs/tags/v1.2.3", ["v1.2.3"], ["1.2.3", "1.2", "latest"]),
        ("refs/tags/v1.2.3", [], ["1.2.3", "1.2", "latest"]),
        ("refs/tags/v1.2.3-rc.1", ["v1.2.3-rc.1"], ["1.2.3-rc.1"]),
        ("refs/tags/v2.0.0-alpha.10", ["v1.0.0"], ["2.0.0-alpha.10"]),
        ("refs/tags/v0.9.9", ["v1.0.0", "v0.9.9"], ["0.9.9", "0.9"]),
        ("refs/tags/v1.2.9", ["v1.2.9", "v1.2.10", "v1.1.0"], ["1.2.9"]),
        ("refs/tags/v1.2.10", ["v1.2.9", "v1.2.10"], ["1.2.10", "1.2", "latest"]),
        ("refs/tags/v1.10.0", ["v1.9.0", "v1.10.0"], ["1.10.0", "1.10", "latest"]),
        ("refs/tags/v1.2.3", ["v2.0.0-rc.1", "v1.2.3"], ["1.2.3", "1.2", "latest"]),
        ("refs/tags/v1.2.3", ["v1.2.3", "vendor", "v9", "version-9.9.9"], ["1.2.3", "1.2", "latest"]),
    ],
)
def test_tags(ref: str, known: list[str], expected: list[str]) -> None:
    """G17, D37: the tag of the commit comes first; `latest` is the newest stable release's alone, and the last."""
    tags = release.image_tags(ref, SHA, known)
    assert tags == [f"sha-{SHA}", *expected]
    assert all(VALID.fullmatch(f"{tag}-distroless") for tag in tags)


@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/feature",
        "refs/pull/7/merge",
        "refs/tags/v1",
        "refs/tags/v1.2",
        "refs/tags/v1.2.3.4",
        "refs/tags/v01.2.3",
        "refs/tags/v1.2.3+build",
        "refs/tags/v1.2.3-rc1",
        "refs/tags/v1.2.3-$(id)",
        "refs/tags/v1.2.3\nlatest",
        "refs/tags/1.2.3",
    ],
)
def test_refs_that_are_not_published(ref: str) -> None:
    """G17: a branch, a pull request or a tag that is no version gets no tags at all."""
    with pytest.raises(SystemExit):
        release.image_tags(ref, SHA, [])


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("owner/ollama-openai-proxy", "ghcr.io/owner/ollama-openai-proxy"),
        ("Some-Owner/Ollama-OpenAI-Proxy-BMAD", "ghcr.io/some-owner/ollama-openai-proxy-bmad"),
    ],
)
def test_image_name_has_no_capitals(repository: str, expected: str) -> None:
    """D33: the name of a repository may have capitals, the name of an image may not."""
    assert release.image_name(repository) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("v1.2.3", "1.2.3"), ("v1.2.3-rc.1", "1.2.3rc1"), ("v1.0.0-alpha.2", "1.0.0a2"), ("v1.0.0-beta.0", "1.0.0b0")],
)
def test_git_tags_are_python_versions(tag: str, expected: str) -> None:
    """A pre-release has a hyphen in a git tag, and none in the normal form of Python's versions (PEP 440)."""
    assert release.project_version(tag) == expected


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of version 1.2.3, with a few tags."""
    git, folder = installed("git"), tmp_path_factory.mktemp("repository")
    for name in ("scripts/release.py", "docker/Dockerfile"):
        (folder / name).parent.mkdir()
        shutil.copy(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n[[tool.other]]\nversion = "9.9.9"\n')
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    dated = {"GIT_COMMITTER_DATE": "1700000000 +0000", "PATH": str(Path(git).parent)}
    for command in (("init", "--quiet"), ("add", "."), (*author, "commit", "--quiet", "-m", "all"), ("tag", "v1.2.3")):
        subprocess.run([git, *command], cwd=folder, env=dated, check=True)  # noqa: S603  # git
    for tag in ("v1.10.0", "v1.9.9", "v2.0.0-rc.1", "vendor"):
        subprocess.run([git, "tag", tag], cwd=folder, check=True)  # noqa: S603  # git
    return folder


def run(folder: Path, what: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the workflow does."""
    settings = {
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": SHA,
        "GITHUB_REPOSITORY": "Owner/Proxy",
        "GITHUB_SERVER_URL": "https://github.com",
        "PATH": str(Path(installed("git")).parent),
        **environ,
    }
    command = [sys.executable, str(folder / "scripts" / "release.py"), *what.split()]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # our own script


PINNED = f"python:3.12-slim@sha256:{'a' * 64}"
BUILDKIT = f"moby/buildkit:v1@sha256:{'b' * 64}"


def test_facts(repository: Path) -> None:
    """G15: the arguments of all builds are those of the commit, its time included; the images they use have digests."""
    done = run(repository, "facts", PYTHON_IMAGE=PINNED, BUILDKIT_IMAGE=BUILDKIT)
    assert done.stdout.splitlines() == [
        "image=ghcr.io/owner/proxy",
        "epoch=1700000000",
        f"buildkit={BUILDKIT}",
        "arguments<<END",
        "VERSION=1.2.3",
        f"REVISION={SHA}",
        "CREATED=2023-11-14T22:13:20Z",
        "SOURCE=https://github.com/Owner/Proxy",
        f"PYTHON_IMAGE={PINNED}",
        "END",
    ]


@pytest.mark.parametrize(("ref", "status"), [("refs/tags/v1.2.3", 0), ("refs/tags/v1.2.4", 1), ("refs/tags/vnext", 1)])
def test_a_tag_is_the_version(repository: Path, ref: str, status: int) -> None:
    """D24: a tag that is not the version of pyproject.toml fails before anything is built, and says so."""
    done = run(repository, "facts", PYTHON_IMAGE=PINNED, BUILDKIT_IMAGE=BUILDKIT, GITHUB_REF=ref)
    assert done.returncode == status
    assert bool(done.stderr) == bool(status)


def test_images_without_a_digest_are_looked_up(repository: Path, tmp_path: Path) -> None:
    """D22: the base is what docker/Dockerfile names; if its digest can't be found, nothing is built on a mere tag."""
    asked = tmp_path / "asked"
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$@" >>{asked}\necho sha256:{"c" * 64}\n')
    (tmp_path / "docker").chmod(0o755)
    git = str(Path(installed("git")).parent)
    done = run(repository, "facts", PATH=f"{tmp_path}:{git}", PYTHON_IMAGE="", BUILDKIT_IMAGE="")
    assert f"PYTHON_IMAGE=python:3.12-slim@sha256:{'c' * 64}" in done.stdout.splitlines()
    assert "imagetools inspect python:3.12-slim " in asked.read_text()
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    assert run(repository, "facts", PATH=f"{tmp_path}:{git}").returncode == 1
    (tmp_path / "docker").write_text("#!/bin/sh\necho unknown\n")
    assert run(repository, "facts", PATH=f"{tmp_path}:{git}").returncode == 1


def test_newest_and_tags_ask_git(repository: Path) -> None:
    """D37: what is the newest stable release is told by the tags of the repository: 1.10.0, by number, no candidate."""
    assert run(repository, "newest").stdout == "v1.10.0\n"
    done = run(repository, "tags --suffix=-distroless", GITHUB_REF="refs/tags/v1.2.3")
    assert done.stdout.split() == [f"sha-{SHA}-distroless", "1.2.3-distroless", "1.2-distroless"]

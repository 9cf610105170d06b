#!/usr/bin/env python3
"""Tell what a run of the workflow builds from, and by which names its images are published.

It reads what GitHub sets for each run (GITHUB_REPOSITORY, GITHUB_REF, ...), and git. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
NUMBER = r"(0|[1-9][0-9]*)"
# The pre-releases are those that Python's versions have, too.
TAG = re.compile(rf"v{NUMBER}\.{NUMBER}\.{NUMBER}(?:-(alpha|beta|rc)\.{NUMBER})?")
SHORT = {"alpha": "a", "beta": "b", "rc": "rc"}
BUILDKIT = "moby/buildkit:buildx-stable-1"


def fail(reason: str) -> NoReturn:
    sys.exit(f"release: {reason}")


def output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else fail(f"{' '.join(command)} failed")


def image_name(repository: str) -> str:
    """Return where the images of a repository are. A repository may have capitals in its name, an image may not."""
    return f"ghcr.io/{repository.lower()}"


def stable(tag: str) -> tuple[int, int, int] | None:
    """Return the version of a git tag, unless it is a pre-release or something else altogether."""
    match = TAG.fullmatch(tag)
    return (int(match[1]), int(match[2]), int(match[3])) if match and not match[4] else None


def project_version(tag: str) -> str:
    """Return the version in pyproject.toml that a git tag stands for: v1.2.3-rc.1 for 1.2.3rc1."""
    match = TAG.fullmatch(tag)
    if match is None:
        fail(f"{tag} is no version: v1.2.3 and v1.2.3-rc.1 are")
    core = ".".join(match.group(1, 2, 3))
    return f"{core}{SHORT[match[4]]}{match[5]}" if match[4] else core


def image_tags(ref: str, sha: str, known: Sequence[str]) -> list[str]:
    """Return the tags of the images of a commit in the order in which they are set: what moves comes last."""
    first = f"sha-{sha}"
    if ref == "refs/heads/main":
        return [first, "main"]
    tag = ref.removeprefix("refs/tags/")
    if tag == ref:
        fail(f"nothing is published from {ref}")
    project_version(tag)
    version = stable(tag)
    if version is None:
        return [first, tag.removeprefix("v")]
    others = [other for other in map(stable, known) if other]
    tags = [first, tag.removeprefix("v")]
    # A fix of an older line does not take these names from a newer one.
    if all(other <= version for other in others if other[:2] == version[:2]):
        tags.append(f"{version[0]}.{version[1]}")
    if all(other <= version for other in others):
        tags.append("latest")
    return tags


def pinned(image: str) -> str:
    """Return the image with the digest that it has now, unless it is named with one."""
    if "@sha256:" in image:
        return image
    digest = output("docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        fail(f"{image} has no digest: {digest}")
    return f"{image}@{digest}"


def version_here() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def base_image() -> str:
    """Return what docker/Dockerfile builds on where nothing else is said."""
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    return found[1] if found else fail("docker/Dockerfile has no ARG PYTHON_IMAGE")


def facts(environ: dict[str, str]) -> str:
    """Return what all jobs of a run share, as the lines that GITHUB_OUTPUT takes."""
    ref, version = environ["GITHUB_REF"], version_here()
    if ref.startswith("refs/tags/") and (tagged := project_version(ref.removeprefix("refs/tags/"))) != version:
        fail(f"{ref} asks for version {tagged}, but pyproject.toml has {version}")
    epoch = output("git", "log", "-1", "--format=%ct")
    python = pinned(environ.get("PYTHON_IMAGE") or base_image())
    arguments = {
        "VERSION": version,
        "REVISION": environ["GITHUB_SHA"],
        "CREATED": datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SOURCE": f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}",
        "PYTHON_IMAGE": python,
    }
    lines = [
        f"image={image_name(environ['GITHUB_REPOSITORY'])}",
        f"epoch={epoch}",
        f"buildkit={pinned(environ.get('BUILDKIT_IMAGE') or BUILDKIT)}",
        "arguments<<END",
        *(f"{name}={value}" for name, value in arguments.items()),
        "END",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Tell what a run of the workflow builds from and publishes.")
    parser.add_argument("what", choices=["facts", "image", "tags", "newest"], help="newest: the newest stable git tag")
    parser.add_argument("--suffix", default="", help="of each tag, e.g. -distroless")
    arguments = parser.parse_args()
    known = output("git", "tag", "--list", "v*").split()
    if arguments.what == "facts":
        print(facts(dict(os.environ)))
    elif arguments.what == "image":
        print(image_name(os.environ["GITHUB_REPOSITORY"]))
    elif arguments.what == "tags":
        for tag in image_tags(os.environ["GITHUB_REF"], os.environ["GITHUB_SHA"], known):
            print(f"{tag}{arguments.suffix}")
    else:
        print(max((tag for tag in known if stable(tag)), key=lambda tag: stable(tag) or (0, 0, 0), default=""))


if __name__ == "__main__":
    main()

"""docker-build.yml, run by act: what is published when, in which order, and when nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import archives
from support.github import VERSION, WORKFLOW, run
from support.installed import installed
from support.registry import Registry, registry

NAME = "some-owner/proxy"
REPOSITORY = "Some-Owner/Proxy"
PREDICATE = "--predicate-type https://spdx.dev/Document/v2.3"
MAIN = {"ref": "refs/heads/main"}
PULL = {"pull_request": {"number": 7, "head": {"ref": "feature"}, "base": {"ref": "main"}}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Registry]:
    for name in ("act", "git", "jq", "skopeo"):
        installed(name)
    with registry(tmp_path) as running:
        yield running


def built(folder: Path) -> dict[str, dict[str, str]]:
    """The digests of what the build leaves, for each target and platform."""
    return {
        target: {arch: archives.write(folder / "again.tar", target, arch) for arch in ("amd64", "arm64")}
        for target in ("prod", "distroless")
    }


@pytest.mark.parametrize("event", ["push", "workflow_dispatch"])
def test_release(tmp_path: Path, store: Registry, event: str) -> None:
    """G17, G18, G20, D33, D34, D37, D40: a release is pushed by commit, attested and verified, and then gets its names.

    So it is when the workflow is started by hand for its tag, to publish it anew on a newer base image. Each name
    stands for the two archives that were built, run and scanned; `latest` is the last. No cache is used.
    """
    done = run(tmp_path, store, event, {"ref": f"refs/tags/v{VERSION}"})
    assert done.status == 0, done.wrong
    digests = built(tmp_path)
    numbers = [VERSION, VERSION.rpartition(".")[0], "latest"]
    indexes = {}
    for target, suffix in (("prod", ""), ("distroless", "-distroless")):
        for tag in (f"sha-{done.sha}", *numbers):
            index = store.index(NAME, f"{tag}{suffix}")
            found = {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}
            assert found == digests[target]
            indexes[target] = index["digest"]
    assert len(store.tags(NAME)) == 8
    image = f"ghcr.io/{NAME}"
    manifests = [f"{image}@{digest}" for platforms in digests.values() for digest in platforms.values()]
    attested = [f"{image}@{digest}" for digest in indexes.values()] + manifests
    steps = [line.split()[0] for line in done.lines("events")]
    assert steps == ["push"] * 2 + ["attest"] * 6 + ["gh"] * 6 + ["push"] * 8
    assert sorted(line.split()[1] for line in done.lines("events") if line.startswith("attest")) == sorted(attested)
    asked = f"--repo {REPOSITORY} --source-digest {done.sha} --signer-workflow {REPOSITORY}/{WORKFLOW}"
    verified = [f"gh attestation verify oci://{image}@{digest} {asked}" for digest in indexes.values()]
    verified += [f"gh attestation verify oci://{name} {asked} {PREDICATE}" for name in manifests]
    assert sorted(line for line in done.lines("events") if line.startswith("gh")) == sorted(verified)
    assert done.lines("events")[-1] == "push proxy:latest"
    assert not any("type=gha" in line for line in done.lines("builds"))


def test_pull_request(tmp_path: Path, store: Registry) -> None:
    """G19, D38: a pull request builds, runs and scans all, without any secret, and logs in nowhere.

    Each image is run and scanned once for each platform. Only ci is built with a cache.
    """
    done = run(tmp_path, store, "pull_request", PULL)
    assert done.status == 0, done.wrong
    assert done.lines("events") == []
    assert store.tags(NAME) == set()
    images = [f"{target}.tar {arch}" for target in ("distroless", "prod") for arch in ("amd64", "arm64")]
    assert sorted(done.lines("checked")) == images
    assert sorted(done.lines("scanned")) == [f"oci-archive:{name}" for name in images]
    assert set(done.lines("bootstraps")) == {"--group sbom"}
    assert not any("login" in line for line in done.lines("engine"))
    assert {line.split("|")[0] for line in done.lines("builds") if "type=gha" in line} == {"ci"}
    assert all("type=gha" in line.split("|")[1] for line in done.lines("builds") if line.startswith("ci|"))


@pytest.mark.parametrize(
    "knob",
    [{"FAIL_SCAN": "distroless-arm64"}, {"ELSEWHERE": "another"}],
    ids=["scan", "reproduce"],
)
def test_a_failure(tmp_path: Path, store: Registry, knob: dict[str, str]) -> None:
    """G17, D34, G15: with a finding in one image for one platform, or another digest when built again, nothing at all
    is published, of no image and for no platform.
    """
    done = run(tmp_path, store, "push", MAIN, **knob)
    assert done.status != 0
    assert done.lines("events") == []
    assert store.tags(NAME) == set()

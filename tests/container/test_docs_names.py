"""Names in the documentation: images, tags, variables, links and figures are those of what defines them (G24)."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from support import engine
from support.doc_commands import ARGUMENTS, SETTINGS, STAGES
from support.docs import GUIDE, PAGES, README, anchors, first_column, links, text
from support.engine import ROOT
from support.scripts import SCRIPTS, script

DOCKER = ROOT / "docker"
WORKFLOW = ROOT / ".github" / "workflows" / "docker-build.yml"
COMPOSE = sorted(DOCKER.glob("*.yml"))
EXAMPLES = [DOCKER / "compose.env.example", ROOT / ".env.example"]
SCALING = ROOT / "docs" / "scaling.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DEPLOY = [path for path in (ROOT / "deploy").rglob("*") if path.is_file()]
SHIPPED = [*PAGES, SCALING, CONTRIBUTING, ROOT / "SECURITY.md", *COMPOSE, *EXAMPLES, *DEPLOY, WORKFLOW]
READ_BY_COMPOSE = {name for path in COMPOSE for name in re.findall(r"\$\{([A-Z_]+)", path.read_text(encoding="utf-8"))}
# Of other programs, or for the reader to replace.
STANDARD = {
    "ALL_PROXY": "read by UPSTREAM_PROXY_FROM_ENV, like the three below",
    "COMPOSE_ENV_FILES": "Compose's own",
    "DOCKER_BUILDKIT": "Docker's own",
    "HTTPS_PROXY": "see ALL_PROXY",
    "HTTP_PROXY": "see ALL_PROXY",
    "NO_PROXY": "see ALL_PROXY",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "OpenTelemetry's",
    "OWNER": "for the reader",
    "SSL_CERT_FILE": "OpenSSL's",
    "WATCHFILES_FORCE_POLLING": "that of watchfiles, which starts the development server anew",
}
RELEASE = script("release")


def tags() -> set[str]:
    """The tags that the workflow gives: to a release, and to a commit on main."""
    commit = "0" * 40
    return {
        *RELEASE.image_tags("refs/tags/v1.2.3", commit, ["v1.2.3"]),
        *RELEASE.image_tags("refs/heads/main", commit, []),
    }


def test_project_and_image_have_one_name() -> None:
    """D24: the package, the local image, the default of Compose and what scripts/image tags have one name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert project == engine.IMAGE
    assert f'--tag="{project}:$target"' in (SCRIPTS / "image").read_text()
    production = yaml.safe_load((DOCKER / "docker-compose.prod.yml").read_text())
    development = yaml.safe_load((DOCKER / "docker-compose.dev.yml").read_text())
    assert production["services"]["proxy"]["image"] == f"${{PROXY_IMAGE:-{project}:prod}}"
    assert development["services"]["proxy"]["image"] == f"{project}:dev"


@pytest.mark.parametrize("page", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_published_names(page: Path) -> None:
    """D24: each image of ghcr.io is named as the workflow publishes it, with a tag that the workflow gives."""
    published = RELEASE.image_name("OWNER/ollama-openai-proxy")
    for name, tag in re.findall(r"ghcr\.io/([\w/-]+)(?::([\w.-]*\w))?", text(page)):
        assert f"ghcr.io/{name}".replace("OWNER", "owner") == published
        assert not tag or tag.removesuffix("-distroless") in tags()


def test_the_guide_names_published_images() -> None:
    """The pages do name them, or the test above would look at nothing."""
    for page in (README, GUIDE, SCALING):
        assert "ghcr.io/OWNER/ollama-openai-proxy:1.2.3" in text(page)


def test_tags() -> None:
    """D24: the guide's table has the tags of the workflow, and no others."""
    told = first_column(GUIDE, "tag")
    assert {"sha-" + "0" * 40 if tag == "sha-" else tag for tag in told} == tags()
    workflow = WORKFLOW.read_text(encoding="utf-8")
    assert "`-distroless`" in text(GUIDE)
    assert "tags --suffix=-distroless" in workflow


@pytest.mark.parametrize("page", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_local_names(page: Path) -> None:
    """A local image is named after a target of the Dockerfile, or in deploy/ after the version; 11434 is a port."""
    for tag in re.findall(r"(?<![/\w])ollama-openai-proxy:(\w[\w.-]*\w)", text(page)):
        assert tag in {*STAGES, "TARGET", "11434", engine.version()}


def test_targets() -> None:
    """D24: the guide, README.md, scripts/image and the workflow know the same images."""
    told = (SCRIPTS / "image").read_text().partition("TARGET...], of ")[2].partition(".\n")[0]
    targets = set(re.findall(r"\b(?:prod|distroless|ci|dev)\b", told))
    assert targets == {"prod", "distroless", "ci", "dev"} <= STAGES
    assert set(first_column(GUIDE, "target")) == targets
    assert set(first_column(README, "target")) == targets
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {step["with"]["target"] for step in steps if "target" in step.get("with", {})} == targets


def test_contributors_are_told_of_each_script() -> None:
    """The table of CONTRIBUTING.md has each script that people run, and none that there isn't."""
    told = {name.split()[0] for name in first_column(CONTRIBUTING, "script")}
    assert told == {f"scripts/{path.name}" for path in SCRIPTS.iterdir() if path.is_file() and not path.suffix}


def named(page: Path) -> set[str]:
    """The variables that a page names, in its text and in its blocks."""
    quoted = re.findall(r"`([A-Z][A-Z0-9_]{2,})(?:=[^`]*)?`", text(page))
    return {*quoted, *re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text(page))}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_variables_exist(page: Path) -> None:
    """D25: each variable is a setting, read by Compose, a script or the build, or one of those that are listed here."""
    sources = [*SCRIPTS.iterdir(), DOCKER / "update"]
    read = {
        name
        for path in sources
        if path.is_file()
        for name in re.findall(r"\$\{([A-Z_]+)", path.read_text(encoding="utf-8"))
    }
    assert len(named(page)) > 8
    assert named(page) - SETTINGS - READ_BY_COMPOSE - read - ARGUMENTS - STANDARD.keys() == set()


def test_examples_have_the_settings() -> None:
    """D25: .env.example has each setting and no other; that of Compose names the image that scripts/image tags."""
    examples = [re.findall(r"^#?([A-Z_]+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) for path in EXAMPLES]
    assert dict(examples[1]).keys() == SETTINGS
    assert dict(examples[0])["PROXY_IMAGE"] == f"{engine.IMAGE}:prod"


def test_listed_variables_are_named() -> None:
    """Nothing stands in the list of the others that no page names."""
    assert STANDARD.keys() - named(README) - named(GUIDE) == set()


def test_the_guide_names_what_compose_reads() -> None:
    """D25: each variable that a Compose file reads is in the guide; those of production are in the example, as well."""
    assert len(READ_BY_COMPOSE) > 20
    assert READ_BY_COMPOSE - SETTINGS - named(GUIDE) == set()


def test_the_table_of_variables() -> None:
    """It has each setting that Compose does not hand on, and none that there isn't."""
    base = yaml.safe_load((DOCKER / "docker-compose.base.yml").read_text())["services"]["proxy"]
    told = set(first_column(GUIDE, "variable"))
    assert SETTINGS - set(base["environment"]) - told == set()
    assert told - SETTINGS == set()


def test_figures() -> None:
    """The limits of size are those of the budget that the images are tested against; times agree with Compose."""
    budget = json.loads((DOCKER / "budget.json").read_text())
    limits = re.findall(r"the limit is ([\d.]+) MB", text(GUIDE))
    assert [float(limit) * 1_000_000 for limit in limits] == [budget["prod_added_bytes"], budget["distroless_bytes"]]
    base = yaml.safe_load((DOCKER / "docker-compose.base.yml").read_text())["services"]["proxy"]
    (grace,) = re.findall(r":-(\d+)s", base["stop_grace_period"])
    assert set(re.findall(r"(?:stop -t|--stop-timeout) (\d+)", text(GUIDE))) == {grace}


def test_update_is_told_as_it_is() -> None:
    """The guide's table has the options and variables of docker/update, with their defaults."""
    source = (DOCKER / "update").read_text()
    told = set(first_column(GUIDE, "option or variable"))
    assert {name.split()[0] for name in told if name.startswith("-")} == set(
        re.findall(r"^  (-[-\w]+)\)", source, re.MULTILINE)
    )
    read = dict(re.findall(r"\$\{([A-Z]+):-([^}]*)\}", source))
    assert {name for name in told if name.isupper()} == read.keys()
    for name in ("WAIT", "SETTLE"):
        assert re.search(rf"`{name}` \|.*\({read[name]}\)", text(GUIDE))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link is to a file of the repository, and to a heading that is in it."""
    found = [link for link in links(page) if not link.startswith("https://")]
    assert len(found) > 10
    for link in found:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_exist(page: Path) -> None:
    """Each file of the repository that the page names is there."""
    folders = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
    found = re.findall(rf"(?<![\w./:-])((?:{folders})/[\w./-]*\w)", text(page))
    assert len(found) > 3
    assert [name for name in found if name != "docker/.env" and not (ROOT / name).exists()] == []

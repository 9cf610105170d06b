"""docs/monitoring.md: its commands work, and each alert leads to its section."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.exposed import busy_metrics
from monitoring.servers import query, running_prometheus, serving
from monitoring.tools import DOCS, ROOT, alerts, needs, panels
from ollama_openai_proxy.settings import Settings
from support.processes import eventually

TEXT = DOCS.read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
# Of the host: they install packages and reload services.
OF_THE_HOST = ("sudo apt-get install", "sudo systemctl reload")


def anchors() -> set[str]:
    """The headings, as a link on the page names them."""
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        serving(busy_metrics()) as metrics_url,
        running_prometheus(tmp_path_factory.mktemp("prometheus"), metrics_url) as url,
    ):
        eventually(lambda: bool(query(url, "ollama_proxy_build_info")), within=40)
        yield url


@needs("prometheus")
@needs("amtool")
def test_commands_work(prometheus: str, tmp_path: Path) -> None:
    """Each command does what it is there for, with another folder and Prometheus in place of the host's."""
    run = [command for command in COMMANDS if not command.startswith(OF_THE_HOST)]
    assert len(run) == 7
    assert len(COMMANDS) - len(run) == len(OF_THE_HOST)
    output = []
    for command in run:
        here = command.replace("/etc/prometheus", str(tmp_path / "etc")).replace("http://localhost:9090", prometheus)
        arguments = shlex.split(here.removeprefix("sudo "))
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # of our own docs
        assert done.returncode == 0, done.stdout + done.stderr
        output.append(done.stdout)
    assert "1 rule files found" in output[3]
    assert re.search(r"up\{.*=> 1 @", output[5])
    assert 'version="1.2.3"' in output[6]


def test_each_file_is_named() -> None:
    """The table at the beginning names what is in monitoring/."""
    files = [path for path in (ROOT / "monitoring").rglob("*") if path.is_file() and path.parent.name != "tests"]
    assert len(files) == 4
    assert [path.name for path in files if path.name not in TEXT] == []


@pytest.mark.parametrize("name", alerts())
def test_alert_has_a_section(name: str) -> None:
    """An alert's runbook is a section of the page, which begins with the severity."""
    alert = alerts()[name]
    path, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert ROOT / path == DOCS
    assert anchor == name.lower()
    assert f"### {name}\n\n*{alert['labels']['severity']}.* " in TEXT


def test_each_section_has_an_alert() -> None:
    """The page tells of no alert that does not exist."""
    assert re.findall(r"^### (.*)$", TEXT, re.MULTILINE) == [*alerts()]


def test_links_lead_somewhere() -> None:
    """Each link is to a heading of the page, or a file beside it."""
    targets = re.findall(r"\]\(([^)]*)\)", TEXT)
    assert targets
    for target in targets:
        assert (target[1:] in anchors()) if target.startswith("#") else (DOCS.parent / target).exists()


def test_panels_exist() -> None:
    """The panels that the sections send one to are in the dashboard."""
    titles = {panel["title"] for panel in panels()}
    named = set(re.findall(r"[Tt]he\s+panel\s+\*([^*]+)\*", TEXT))
    assert len(named) > 4
    assert named - titles == set()


def test_settings_exist() -> None:
    """The settings that the page names are the proxy's."""
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", TEXT))
    assert len(named) > 5
    assert [name for name in named if name.lower() not in Settings.model_fields] == []

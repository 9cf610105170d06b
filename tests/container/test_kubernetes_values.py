"""The values of the Helm chart: which are taken, which are refused, and what the guide shows of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import engine, kubernetes
from support.kubernetes import (
    BASE,
    CHART,
    LEAST,
    RICH,
    ROOT,
    Manifest,
    Refused,
    Tools,
    container,
    environment,
    only,
    pod,
)

PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    with kubernetes.unpacked() as found:
        yield found


def block(name: str) -> str:
    """A block of docs/scaling.md, as one who owns an image has it."""
    (found,) = re.findall(rf"^```yaml {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found.replace("OWNER", "owner")


def test_settings_are_the_proxys() -> None:
    """G23: the chart takes the settings that the proxy has, with their limits, and no others."""
    assert kubernetes.SCHEMA.read_text(encoding="utf-8") == kubernetes.schema()
    settings = yaml.safe_load(kubernetes.SCHEMA.read_text())["properties"]["settings"]
    assert settings["additionalProperties"] is False
    assert not kubernetes.OF_THE_CHART & {*settings["properties"]}


def test_version() -> None:
    """G24: the chart has the version of the proxy, and so the tag of its image."""
    version = engine.version()
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_values_arrive(tools: Tools) -> None:
    """G23: a setting reaches the proxy as it is written: a large number with all its digits, a truth as `true`."""
    rich = tools.render(RICH)
    found = environment(rich)
    for name, value in RICH["settings"].items():
        assert found[name] == (str(value).lower() if isinstance(value, bool) else str(value))
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert container(rich)["image"] == f"registry.example/proxy@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"settings": {"LOG_LEVEL": "loud"}}, "LOG_LEVEL"),
        ({"settings": {"DRAIN_TIMEOUT": "a minute"}}, "DRAIN_TIMEOUT"),
        ({"settings": {"LOG_LEVLE": "info"}}, "LOG_LEVLE"),
        ({"settings": {"OPENAI_API_KEY": "sk-1"}}, "OPENAI_API_KEY"),
        ({"extraEnv": [{"name": "OPENAI_API_KEY", "value": "sk-1"}]}, "extraEnv"),
        ({"settings": {"PROXY_PORT": 8080}}, "PROXY_PORT"),
        ({"replica": 3}, "replica"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
        ({"podSecurityContext": {"runAsUser": 0}}, "runAsUser"),
        ({"autoscaling": {"enabled": True, "cpu": None}}, "autoscaling.cpu"),
        ({"serviceMonitor": {"enabled": True}, "settings": {"METRICS_ENABLED": False}}, "METRICS_ENABLED"),
    ],
)
def test_wrong_values(tools: Tools, values: Manifest, named: str) -> None:
    """G23: a wrong value is refused before anything is changed, and the message names it."""
    settings: dict[str, Any] = {**LEAST["settings"], **values.get("settings", {})}
    with pytest.raises(Refused, match=re.escape(named)):
        tools.template({**values, "settings": settings})


def test_backend_must_be_named(tools: Tools) -> None:
    """D11: without a backend nothing is installed: prompts go nowhere that nobody named."""
    with pytest.raises(Refused, match="OPENAI_API_BASE_URL is not set"):
        tools.template({})


def test_ids_of_the_cluster(tools: Tools) -> None:
    """G10: where the cluster gives the ids, as OpenShift does, the chart asks for none."""
    ids = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
    assert {*pod(tools.render({**LEAST, "podSecurityContext": ids}))["securityContext"]} == {
        "runAsNonRoot",
        "seccompProfile",
    }


def test_documented_values(tools: Tools, tmp_path: Path) -> None:
    """G24: the command and values of the guide are valid, and give the image and key that it names."""
    (tmp_path / "values.yaml").write_text(block("values"))
    (line,) = re.findall(r"^helm upgrade --install (.+)$", PAGE, re.MULTILINE)
    arguments = line.replace(" values.yaml", f" {tmp_path / 'values.yaml'}").split()
    objects = kubernetes.objects(tools.run("helm", "template", *arguments))
    assert container(objects)["image"] == "ghcr.io/owner/ollama-openai-proxy:1.2.3"
    (volume,) = [volume for volume in pod(objects)["volumes"] if "secret" in volume]
    assert f"create secret generic {volume['secret']['secretName']} --from-file" in PAGE
    assert f"--from-file={volume['secret']['items'][0]['key']}=" in PAGE


def test_documented_overlay(tools: Tools, tmp_path: Path) -> None:
    """G24: the overlay of the guide builds, and has what it says beside what the base has."""
    shutil.copytree(BASE, tmp_path / "deploy" / "kubernetes")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(block("overlay"))
    objects = kubernetes.objects(tools.run("kubectl", "kustomize", tmp_path / "overlay"))
    assert container(objects)["image"] == "ghcr.io/owner/ollama-openai-proxy:1.2.3"
    assert environment(objects).items() >= {"LOG_LEVEL": "warning", "DRAIN_TIMEOUT": "60"}.items()
    assert only(objects, "Deployment")["spec"]["replicas"] == 3
    assert {manifest["metadata"]["namespace"] for manifest in objects} == {"ollama"}

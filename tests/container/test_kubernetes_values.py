"""The values of the Helm chart: which are taken, which are refused, and what the guide shows of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ollama_openai_proxy import settings
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
    taken = yaml.safe_load(kubernetes.SCHEMA.read_text())["properties"]["settings"]
    assert taken["additionalProperties"] is False
    assert not kubernetes.OF_THE_CHART & {*taken["properties"]}


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
    with pytest.raises(Refused, match=re.escape(named)):
        tools.template(with_backend(values))


def with_backend(values: Manifest) -> Manifest:
    return {**values, "settings": {**LEAST["settings"], **values.get("settings", {})}}


def refusal(tools: Tools, values: Manifest) -> str:
    """What the chart says of values that it refuses, "" of others."""
    try:
        tools.template(values)
    except Refused as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("wrong", "right", "sentence"),
    [
        ({"DRAIN_DELAY": 61}, {"DRAIN_DELAY": 60}, "settings.DRAIN_TIMEOUT is shorter"),
        ({"DRAIN_TIMEOUT": 4.5, "DRAIN_DELAY": 5}, {"DRAIN_TIMEOUT": 5, "DRAIN_DELAY": 5}, "settings.DRAIN_TIMEOUT is"),
        ({"DRAIN_TIMEOUT": 0, "DRAIN_DELAY": 1}, {"DRAIN_TIMEOUT": 0, "DRAIN_DELAY": 0}, "settings.DRAIN_TIMEOUT is"),
        ({"METRICS_PORT": 11434}, {"METRICS_PORT": 11435}, "settings.METRICS_PORT is the proxy's own port"),
        (
            {"METRICS_PORT": 9464, "METRICS_ENABLED": False},
            {"METRICS_PORT": 9464, "METRICS_ENABLED": True},
            "settings.METRICS_PORT is set and settings.METRICS_ENABLED is false",
        ),
    ],
)
def test_settings_that_disagree(tools: Tools, wrong: Manifest, right: Manifest, sentence: str) -> None:
    """G23: settings with which the proxy does not start are refused, and those that are just right are not."""
    with pytest.raises(settings.SettingsError):
        settings.load(_env_file=None, **{name.lower(): value for name, value in wrong.items()})
    assert sentence in refusal(tools, with_backend({"settings": wrong}))
    settings.load(_env_file=None, **{name.lower(): value for name, value in right.items()})
    assert not refusal(tools, with_backend({"settings": right}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]", "0:0:0:0:0:0:0:1", "[::]", "::", "10.0.0.127"]
)
def test_address(tools: Tools, host: str) -> None:
    """G23: an address that only the pod itself reaches is refused, for no probe would; others are taken."""
    refused = "settings.PROXY_HOST is" in refusal(tools, with_backend({"settings": {"PROXY_HOST": host}}))
    assert refused == settings.load(_env_file=None, proxy_host=host).is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://API.OpenAI.com:443",
        "https://openrouter.ai/api/v1",
        "https://name.openai.azure.com/openai/v1",
        "https://notopenai.com/v1",
        "https://openai.com.example/v1",
        "http://gateway:8000/api.openai.com",
    ],
)
def test_backend_that_wants_a_key(tools: Tools, url: str) -> None:
    """D11: without a key, a backend is refused by the chart if the proxy would refuse it, and not with one."""
    values: Manifest = {"settings": {"OPENAI_API_BASE_URL": url}}
    refused = "existingSecret.name is not set" in refusal(tools, values)
    try:
        settings.load(_env_file=None, openai_api_base_url=url)
    except settings.SettingsError:
        assert refused
        assert not refusal(tools, {**values, "existingSecret": {"name": "key"}})
    else:
        assert not refused


def test_bounds_of_scaling(tools: Tools) -> None:
    """G23: fewer pods at most than at least is refused, however the numbers are given, and as many are not."""

    def given(least: int, most: int) -> str:
        return refusal(tools, {**LEAST, "autoscaling": {"enabled": True, "minReplicas": least, "maxReplicas": most}})

    assert "autoscaling.minReplicas is more than autoscaling.maxReplicas" in given(4, 3)
    assert not given(3, 3)
    url = LEAST["settings"]["OPENAI_API_BASE_URL"]
    flags = ("--set", f"settings.OPENAI_API_BASE_URL={url},autoscaling.enabled=true,autoscaling.maxReplicas=1")
    with pytest.raises(Refused, match=re.escape("autoscaling.minReplicas is more")):
        tools.run("helm", "template", "proxy", CHART, *flags)


def test_ports_of_the_service(tools: Tools) -> None:
    """G23: a Service that would have one port twice, which Kubernetes refuses, is refused before."""
    values = with_backend({"settings": {"METRICS_PORT": 9464}, "service": {"port": 9464}})
    assert "settings.METRICS_PORT is service.port" in refusal(tools, values)


@pytest.mark.parametrize("label", ["app.kubernetes.io/name", "app.kubernetes.io/instance"])
def test_labels_of_the_selector(tools: Tools, label: str) -> None:
    """G23: no label of the user's takes the place of one that selects the pods."""
    assert "/podLabels/app.kubernetes.io" in refusal(tools, {**LEAST, "podLabels": {label: "other"}})


@pytest.mark.parametrize("name", ["123", "true", "null"])
def test_names_are_strings(tools: Tools, name: str) -> None:
    """G23: a name that YAML could read as a number or a truth stays a name wherever it stands."""
    own: Manifest = {"fullnameOverride": name, "nameOverride": name, "serviceAccount": {"name": name}}
    image = {"repository": name, "tag": "45"}
    secrets = {value: {"name": name, "key": name} for value in ("existingSecret", "clientKeys")}
    found = tools.render({**RICH, **own, "image": image, **secrets}, name)
    selector = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name}
    deployment = only(found, "Deployment")["spec"]
    assert deployment["selector"]["matchLabels"] == selector
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert {manifest["metadata"]["name"] for manifest in found} == {name}
    assert all(selector.items() <= manifest["metadata"]["labels"].items() for manifest in found)
    assert only(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == name
    assert pod(found)["serviceAccountName"] == name
    assert container(found)["image"] == f"{name}:45"
    mounted = [volume["secret"] for volume in pod(found)["volumes"] if "secret" in volume]
    assert [(secret["secretName"], secret["items"][0]["key"]) for secret in mounted] == [(name, name)] * 2


def test_grace_without_a_drain(tools: Tools) -> None:
    """P18: a pod that is not to drain gets the 15 seconds alone."""
    values = with_backend({"settings": {"DRAIN_DELAY": 0, "DRAIN_TIMEOUT": 0}})
    assert pod(tools.render(values))["terminationGracePeriodSeconds"] == 15


def test_tools_of_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G23: on a machine that the packaged tools are not built for, those on PATH are taken, or the tests skipped."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="Linux aarch64"), kubernetes.unpacked(("Linux", "aarch64")):
        pass
    for name in ("helm", "kubectl"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho own {name}\n")
        (tmp_path / name).chmod(0o755)
    with kubernetes.unpacked(("Linux", "aarch64")) as found:
        assert [found.run(name) for name in ("helm", "kubectl")] == ["own helm\n", "own kubectl\n"]


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

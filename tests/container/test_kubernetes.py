"""The Helm chart and the kustomize base: what they render is valid, restricted, and knows how long a drain takes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from support import command, kubernetes
from support.kubernetes import (
    BASE,
    CHART,
    LEAST,
    RICH,
    ROOT,
    Manifest,
    Tools,
    container,
    environment,
    of_kind,
    only,
    pod,
)
from support.processes import running_proxy


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    with kubernetes.unpacked() as found:
        yield found


@pytest.fixture(scope="module")
def base(tools: Tools) -> list[Manifest]:
    return kubernetes.objects(tools.run("kubectl", "kustomize", BASE))


@pytest.fixture(scope="module", params=["least", "rich", "base"])
def rendered(request: pytest.FixtureRequest, tools: Tools) -> list[Manifest]:
    """The objects with few values, with most, and of the kustomize base."""
    if request.param == "base":
        found: list[Manifest] = request.getfixturevalue("base")
        return found
    return tools.render({"least": LEAST, "rich": RICH}[request.param])


@pytest.fixture(scope="module")
def rich(tools: Tools) -> list[Manifest]:
    return tools.render(RICH)


@pytest.mark.parametrize("values", [LEAST, RICH], ids=["least", "rich"])
def test_lint(tools: Tools, tmp_path: Path, values: Manifest) -> None:
    """G23: Helm has no complaint, not even a warning."""
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    assert "1 chart(s) linted, 0 chart(s) failed" in tools.run("helm", "lint", "--strict", CHART, "--values", path)


@pytest.mark.parametrize("version", ["1.27.0", "1.37.0"])
def test_schema_of_kubernetes(rendered: list[Manifest], tmp_path: Path, version: str) -> None:
    """G23: Kubernetes knows each field, from the oldest version that the chart allows to the newest known."""
    oldest = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert oldest == ">=1.27.0-0"
    path = tmp_path / "manifests.yaml"
    path.write_text(yaml.safe_dump_all(it for it in rendered if it["kind"] != "ServiceMonitor"))
    validate = [str(Path(sys.executable).with_name("kubernetes-validate")), "--strict", "-k", version, str(path)]
    done = subprocess.run(validate, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # the tool under its own name
    assert done.returncode == 0, done.stdout + done.stderr


def test_base_is_the_chart(tools: Tools, base: list[Manifest]) -> None:
    """G23: the kustomize base is what the chart renders, and is current."""
    assert kubernetes.MANIFESTS.read_text(encoding="utf-8") == kubernetes.manifests(tools)
    by_kind = {manifest["kind"]: manifest for manifest in base}
    assert by_kind == {manifest["kind"]: manifest for manifest in tools.render(BASE / "values.yaml")}


def test_grace(rendered: list[Manifest]) -> None:
    """P18: a pod has the time of its drain and more, and nothing else is taken from it."""
    drain = float(environment(rendered)["DRAIN_TIMEOUT"])
    assert pod(rendered)["terminationGracePeriodSeconds"] == math.ceil(drain) + 15
    assert "lifecycle" not in container(rendered)


def test_delay_covers_the_probe(rendered: list[Manifest]) -> None:
    """P18: a pod that ends is out of the Service before its listener closes, even one that was idle."""
    probe = container(rendered)["readinessProbe"]
    delay = float(environment(rendered)["DRAIN_DELAY"])
    assert probe["periodSeconds"] * probe["failureThreshold"] <= delay < float(environment(rendered)["DRAIN_TIMEOUT"])


def test_probes(rendered: list[Manifest]) -> None:
    """G23: the three probes ask the port of the image, readiness alone for `/ready`: a backend restarts no pod (D6)."""
    asked = {name: container(rendered)[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startup": "/live",
        "readiness": "/ready",
        "liveness": "/live",
    }
    ports = {port["name"]: port["containerPort"] for port in container(rendered)["ports"]}
    assert {ports[get["port"]] for get in asked.values()} == {11434}


def test_probed_paths_exist(tmp_path: Path) -> None:
    """G23: the proxy answers what probes and Prometheus ask."""
    with running_proxy(tmp_path, "--demo", DRAIN_DELAY="0") as url:
        assert [httpx.get(url + path).status_code for path in ("/live", "/ready", "/metrics")] == [200, 200, 200]


def test_restricted(rendered: list[Manifest]) -> None:
    """G23: Pod Security's level `restricted` lets the pod in, and it can write nowhere but to a small /tmp."""
    assert pod(rendered)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(rendered)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & {*pod(rendered)}
    allowed = {"configMap", "emptyDir", "secret"}
    assert {kind for volume in pod(rendered)["volumes"] for kind in volume if kind != "name"} <= allowed
    writable = {mount["mountPath"] for mount in container(rendered)["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/tmp"}  # noqa: S108  # where the pod has it
    assert {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}} in pod(rendered)["volumes"]


def test_no_token(rendered: list[Manifest]) -> None:
    """G23: the proxy asks Kubernetes nothing, so the pod has nothing to ask with."""
    assert pod(rendered)["automountServiceAccountToken"] is False
    account = only(rendered, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["name"] == pod(rendered)["serviceAccountName"]


def test_no_variables_of_services(rendered: list[Manifest]) -> None:
    """G23: no Service adds variables to the pod."""
    assert pod(rendered)["enableServiceLinks"] is False


def test_what_a_service_would_do(tmp_path: Path) -> None:
    """G23: what Kubernetes sets for a Service that is called `proxy` or `metrics` is no port, and stops the start."""
    for name in ("PROXY_PORT", "METRICS_PORT"):
        done = command.run(tmp_path, "serve", "--demo", **{name: "tcp://10.96.0.7:11434"})
        assert (done.returncode, name in command.one_line(done.stderr)) == (2, True)


def test_key_is_a_file(rendered: list[Manifest]) -> None:
    """D11: the keys are no variables but files, which the user of the image can read."""
    files = {"openai-api-key": "OPENAI_API_KEY_FILE", "proxy-api-key": "PROXY_API_KEY_FILE"}
    assert not {"OPENAI_API_KEY", "PROXY_API_KEY"} & environment(rendered).keys()
    secrets = [volume for volume in pod(rendered)["volumes"] if "secret" in volume]
    assert {volume["name"] for volume in secrets} == {name for name in files if files[name] in environment(rendered)}
    for volume in secrets:
        (mount,) = [mount for mount in container(rendered)["volumeMounts"] if mount["name"] == volume["name"]]
        (item,) = volume["secret"]["items"]
        assert f"{mount['mountPath']}/{item['path']}" == environment(rendered)[files[volume["name"]]]
        assert volume["secret"]["defaultMode"] == 0o440


def test_never_fewer(rendered: list[Manifest]) -> None:
    """G12: an update takes no pod away before its successor is ready, and a drain of nodes takes one at a time."""
    deployment = only(rendered, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert only(rendered, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert {rule["whenUnsatisfiable"] for rule in pod(rendered)["topologySpreadConstraints"]} == {"ScheduleAnyway"}
    assert {*container(rendered)["resources"]} == {"requests", "limits"}
    autoscaled = of_kind(rendered, "HorizontalPodAutoscaler")
    assert deployment.get("replicas", 0) == (0 if autoscaled else 2)
    assert [scaler["spec"]["minReplicas"] for scaler in autoscaled] in ([], [2])


def test_selectors(rendered: list[Manifest]) -> None:
    """G23: whatever selects pods selects those of this release, and no label of a pod changes with the version."""
    deployment = only(rendered, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    wanted = deployment["selector"]["matchLabels"]
    assert wanted.items() <= labels.items()
    assert "app.kubernetes.io/version" not in labels
    assert only(rendered, "Service")["spec"]["selector"] == wanted
    assert only(rendered, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == wanted
    assert only(rendered, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == wanted


def test_port_names(rendered: list[Manifest]) -> None:
    """G23: each port that is named elsewhere is one of the container's."""
    known = {port["name"] for port in container(rendered)["ports"]}
    service = {port["targetPort"] for port in only(rendered, "Service")["spec"]["ports"]}
    ingress = only(rendered, "NetworkPolicy")["spec"]["ingress"]
    assert service == {port["port"] for rule in ingress for port in rule["ports"]} == known
    for monitor in of_kind(rendered, "ServiceMonitor"):
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= service


def test_network(tools: Tools, rich: list[Manifest]) -> None:
    """G23: out go DNS and the backend's port, which its URL tells."""

    def out(manifests: list[Manifest]) -> list[set[tuple[str, int]]]:
        rules = only(manifests, "NetworkPolicy")["spec"]["egress"]
        return [{(port["protocol"], port["port"]) for port in rule["ports"]} for rule in rules]

    dns = {("UDP", 53), ("TCP", 53)}
    assert out(tools.render(LEAST)) == [dns, {("TCP", 443)}]
    assert out(rich) == [dns, {("TCP", 8000)}, {("TCP", 4318)}]
    assert only(rich, "NetworkPolicy")["spec"]["egress"][1]["to"] == RICH["networkPolicy"]["backend"]
    for url, port in {"http://a/v1": 80, "https://a:8443": 8443, "http://[fd00::1]:8000/v1": 8000}.items():
        assert out(tools.render({"settings": {"OPENAI_API_BASE_URL": url}}))[1] == {("TCP", port)}
    given: Manifest = {**LEAST, "networkPolicy": {"backendPorts": [8000, 8001]}}
    assert out(tools.render(given))[1] == {("TCP", 8000), ("TCP", 8001)}


def test_scaling(rich: list[Manifest]) -> None:
    """G23: pods are added by CPU or exchanges in flight, a figure that the proxy has, and taken away one at a time."""
    scaler = only(rich, "HorizontalPodAutoscaler")["spec"]
    cpu, in_flight = scaler["metrics"]
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert in_flight["pods"]["metric"]["name"] == "ollama_proxy_exchanges_in_flight"
    assert in_flight["pods"]["target"] == {"type": "AverageValue", "averageValue": "50"}
    assert [policy["value"] for policy in scaler["behavior"]["scaleDown"]["policies"]] == [1]
    assert "| `exchanges_in_flight` |" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_job_of_the_monitor(rich: list[Manifest]) -> None:
    """G14: the operator's Prometheus gives the job the name by which the rules find the proxy."""
    (endpoint,) = only(rich, "ServiceMonitor")["spec"]["endpoints"]
    (relabeling,) = endpoint["relabelings"]
    assert endpoint["path"] == "/metrics"
    (job,) = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    assert relabeling == {"targetLabel": "job", "replacement": job["job_name"]}

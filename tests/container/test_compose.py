"""What the Compose files make of the containers: G21, and what D26 to D32 and P4 to P14 tell to avoid."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from monitoring.tools import needs
from monitoring.tools import run as run_tool
from ollama_openai_proxy.settings import Settings
from support.compose import (
    DEV,
    DOCKER,
    EVERYTHING,
    KEYS,
    MODELS,
    NEEDED,
    OVERLAID,
    PROD,
    Compose,
    check_installed,
    file,
    rendered,
)
from support.engine import ROOT

FILES = sorted(DOCKER.glob("docker-compose.*.yml"))
TMPFS = "/tmp:noexec,nosuid,nodev,size=16m"  # noqa: S108  # the containers' own
both = pytest.mark.parametrize("files", [DEV, OVERLAID], ids=["dev", "prod"])


@pytest.fixture(autouse=True)
def compose() -> None:
    check_installed()


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a tool of the lock


def test_files_follow_the_specification() -> None:
    """The files are what the Compose specification says, without the obsolete `version` (D31)."""
    done = tool("check-jsonschema", "--builtin-schema=vendor.compose-spec", *map(str, FILES))

    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in FILES if "version" in yaml.safe_load(path.read_text(encoding="utf-8"))] == []


def test_linter_finds_nothing(tmp_path: Path) -> None:
    """A linter for security finds nothing from its own threshold on in what Compose makes of the files."""
    paths = [tmp_path / name / "docker-compose.yml" for name in ("dev", "prod")]
    for path, files in zip(paths, (DEV, OVERLAID), strict=True):
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(dict(rendered(files))), encoding="utf-8")
    done = tool("compose-lint", *map(str, paths))

    assert done.returncode == 0, done.stdout


@both
def test_containers_are_confined(files: Sequence[Path]) -> None:
    """G21, D30: every container is read-only, without capabilities, limited in all that grows, and has an init."""
    for name, service in rendered(files).services.items():
        assert service["read_only"] is True, name
        assert service["init"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert (service.get("cap_add") or []) == (["NET_BIND_SERVICE"] if name == "caddy" else []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["tmpfs"] == [TMPFS], name
        assert service["pids_limit"] == 128, name
        assert {"mem_limit", "cpus"} <= service.keys(), name
        assert "core" in service["ulimits"], name
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}, name
        assert "privileged" not in service, name
        assert "docker.sock" not in str(service), name


def test_environments_share_their_base() -> None:
    """Development has what production has, but for what its sources, debugger and missing backend need."""
    dev, prod = rendered(DEV).proxy, rendered(PROD).proxy

    assert {key for key in dev.keys() | prod.keys() if dev.get(key) != prod.get(key)} == {
        *("image", "build", "user", "volumes", "restart", "environment", "mem_limit", "memswap_limit"),
        *("ports", "expose", "networks", "secrets"),
    }


def test_l5_a_stop_leaves_time_to_drain() -> None:
    """P4, D3: what stops the proxy waits 10 s longer than its drain takes, and Caddy's streams get the same."""
    services = rendered().services

    assert {services[name]["stop_grace_period"] for name in ("proxy", "caddy")} == {"1m15s"}
    assert Settings.model_fields["drain_timeout"].default + 10 <= 75


def test_ports_are_on_loopback() -> None:
    """D26, D32, P12: but for the reverse proxy, whose work it is, ports are published on loopback."""
    services = {**rendered().services, "dev": rendered(DEV).proxy}
    ports = {
        (name, port["target"], port.get("host_ip")) for name, it in services.items() for port in it.get("ports", [])
    }

    assert ports == {
        *(("caddy", 80, None), ("caddy", 443, None)),
        *(("proxy", 11434, "127.0.0.1"), ("dev", 11434, "127.0.0.1"), ("dev", 5678, "127.0.0.1")),
        *(("prometheus", 9090, "127.0.0.1"), ("alertmanager", 9093, "127.0.0.1")),
    }


def test_two_can_run_side_by_side() -> None:
    """D26, D28: no fixed name, port or address, so that during an update a second container runs beside the first."""
    made = rendered(PROD)

    assert not {"container_name", "hostname", "ports"} & made.proxy.keys()
    assert [name for name, network in made["networks"].items() if network.get("ipam")] == []


def test_reverse_proxy_finds_it_on_its_own_network() -> None:
    """G21, D26: an external network, whose name can be chosen, has the proxy under a name that says what it is."""
    made = Compose(PROD, {**NEEDED, "PROXY_NETWORK": "edge"}).config()
    names = [config["networks"]["proxy-network"]["name"] for config in (made, rendered(PROD))]

    assert names == ["edge", "proxy-network"]
    assert made["networks"]["proxy-network"]["external"] is True
    assert made.proxy["networks"]["proxy-network"]["aliases"] == ["ollama-openai-proxy"]


def test_what_is_mounted_exists() -> None:
    """P14, D27: each file that is mounted is one of this tree, and no folder is made on the host."""
    made = rendered()
    (source,) = rendered(DEV).proxy["volumes"]
    volumes = [volume for service in made.services.values() for volume in service.get("volumes", [])]

    assert [config["file"] for config in made["configs"].values() if not Path(config["file"]).is_file()] == []
    assert {volume["type"] for volume in volumes} == {"volume"}
    assert (source["source"], source["read_only"]) == (str(ROOT / "src"), True)
    assert source["bind"].get("create_host_path", False) is False


def test_logs_are_kept_only_if_asked_for() -> None:
    """P14: lines go to standard output; docker-compose.logs.yml puts them into a named volume, too."""
    plain, kept = rendered(PROD).proxy, rendered((*PROD, file("logs"))).proxy
    (volume,) = kept["volumes"]

    assert "volumes" not in plain
    assert "LOG_FILE" not in plain["environment"]
    assert kept["environment"]["LOG_FILE"] == f"{volume['target']}/proxy.log"
    assert (volume["type"], volume["source"]) == ("volume", "logs")


def test_aliases_are_kept_and_made_only_if_asked_for() -> None:
    """Clients change nothing in production; with docker-compose.data.yml they do, and a named volume keeps it."""
    plain, kept = rendered(PROD).proxy, rendered((*PROD, file("data"))).proxy
    (volume,) = kept["volumes"]

    assert plain["environment"]["MANAGEMENT_ENABLED"] == "false"
    assert "DATA_DIR" not in plain["environment"]
    assert kept["environment"]["MANAGEMENT_ENABLED"] == "true"
    assert kept["environment"]["DATA_DIR"] == volume["target"]
    assert (volume["type"], volume["source"]) == ("volume", "data")


def test_a_models_file_is_mounted() -> None:
    """docker-compose.models.yml mounts the file that MODELS_FILE names on the host, and tells the proxy where it is."""
    made = Compose(MODELS, {**NEEDED, "MODELS_FILE": "/srv/models.toml"}).config()
    (config,) = made.proxy["configs"]

    assert made.proxy["environment"]["MODELS_FILE"] == config["target"]
    assert made["configs"][config["source"]]["file"] == "/srv/models.toml"


def test_keys_of_clients_are_mounted() -> None:
    """docker-compose.keys.yml mounts the file that PROXY_API_KEY_FILE names on the host; without one nothing starts."""
    made = Compose(KEYS, {**NEEDED, "PROXY_API_KEY_FILE": "/srv/keys"}).config()

    assert made.proxy["environment"]["PROXY_API_KEY_FILE"] == "/run/secrets/proxy_api_key"
    assert made.proxy["environment"]["REQUIRE_AUTH"] == "true"
    assert "proxy_api_key" in [secret["source"] for secret in made.proxy["secrets"]]
    assert made["secrets"]["proxy_api_key"]["file"] == "/srv/keys"


def test_m7_prometheus_needs_no_key_of_a_client() -> None:
    """M7: with keys the metrics have a port of their own, which is not published, and Prometheus asks there."""
    made = Compose(KEYS, {**NEEDED, "PROXY_API_KEY_FILE": "./no-key"}, EVERYTHING).config()
    configuration = yaml.safe_load(Path(made["configs"]["prometheus"]["file"]).read_text(encoding="utf-8"))
    plain = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (target,) = configuration["scrape_configs"][0]["dns_sd_configs"]

    assert made.proxy["environment"]["METRICS_PORT"] == str(target["port"])
    assert "ports" not in made.proxy
    plain["scrape_configs"][0]["dns_sd_configs"][0]["port"] = target["port"]
    assert configuration == plain


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({}, "localhost"),
        ({"PROXY_DOMAIN": "ollama.example.com"}, "ollama.example.com"),
        ({"PROXY_DOMAIN": "a.example.com", "ALLOWED_HOSTS": "b.example.com"}, "b.example.com"),
    ],
)
def test_the_name_of_the_certificate_is_allowed(given: dict[str, str], allowed: str) -> None:
    """A reverse proxy hands on the name that clients asked it by: that of the profile `tls` is let in."""
    assert Compose(PROD, {**NEEDED, **given}).config().proxy["environment"]["ALLOWED_HOSTS"] == allowed


def test_images_have_versions() -> None:
    """Nothing runs as `latest`, and each image can be another one, such as one pinned by its digest."""
    images = {name: service["image"] for name, service in rendered().services.items()}
    chosen = {f"{name.upper()}_IMAGE": f"mirror/{name}@sha256:{'0' * 64}" for name in images}
    other = Compose(PROD, {**NEEDED, **chosen}, EVERYTHING).config()

    assert images.pop("proxy") == "ollama-openai-proxy:prod"
    assert [image for image in images.values() if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []
    assert {service["image"] for service in other.services.values()} == set(chosen.values())


@needs("promtool")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """Prometheus takes the configuration as its container has it, and finds the rules."""
    made = rendered()
    for config in made.services["prometheus"]["configs"]:
        target = tmp_path / Path(config["target"]).relative_to("/etc/prometheus")
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(made["configs"][config["source"]]["file"], target)

    assert "1 rule files found" in run_tool("promtool", "check", "config", tmp_path / "prometheus.yml")


def test_prometheus_is_the_one_of_the_rules() -> None:
    """The job and the interval are those that the rules are made for; each container of the proxy is looked at."""
    own, plain = (
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (DOCKER / "prometheus" / "prometheus.yml", ROOT / "monitoring" / "prometheus.yml")
    )
    (job,) = own["scrape_configs"]
    (found,) = job.pop("dns_sd_configs")

    assert own["global"] == plain["global"]
    assert own["rule_files"] == plain["rule_files"]
    assert job == {"job_name": plain["scrape_configs"][0]["job_name"]}
    assert (found["names"], found["type"], found["port"]) == (["proxy"], "A", 11434)


def test_prometheus_keeps_a_limited_past() -> None:
    """What Prometheus stores has a limit in time and in bytes, and a volume of its own."""
    prometheus = rendered().services["prometheus"]
    options = {option.partition("=")[0] for option in prometheus["command"]}

    assert options >= {"--storage.tsdb.retention.time", "--storage.tsdb.retention.size"}
    assert [volume["target"] for volume in prometheus["volumes"]] == ["/prometheus"]

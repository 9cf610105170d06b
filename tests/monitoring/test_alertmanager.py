"""A real Alertmanager: who is told of what, and what is not told while something else says it all."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from monitoring.servers import get, running_alertmanager
from monitoring.tools import MONITORING, alerts, needs, run
from support.processes import eventually

SECONDS = 20.0


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


def labels(name: str, **more: str) -> dict[str, str]:
    return {"alertname": name, "severity": alerts()[name]["labels"]["severity"], **more}


def told(url: str, sent: list[dict[str, str]]) -> set[tuple[str, str]]:
    """Send these alerts, under a job of their own, and return name and instance of those that are not held back."""
    reply = httpx.post(f"{url}/api/v2/alerts", json=[{"labels": each} for each in sent], timeout=10, trust_env=False)
    assert reply.status_code == 200, reply.text

    def arrived() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = get(url, "/api/v2/alerts", filter=f'job="{sent[0]["job"]}"')
        return found if len(found) == len(sent) else None

    heard = [alert["labels"] for alert in eventually(arrived, within=SECONDS) if not alert["status"]["inhibitedBy"]]
    return {(alert["alertname"], alert.get("instance", "")) for alert in heard}


@needs("amtool")
@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on_call"), ("warning", "mail"), ("info", "nobody")])
def test_routes(severity: str, receiver: str) -> None:
    """Whoever is on call is told of what is critical, the operators of the rest, and nobody of mere hints."""
    config = f"--config.file={MONITORING / 'alertmanager.yml'}"
    assert run("amtool", "config", "routes", "test", config, f"severity={severity}").strip() == receiver


@needs("prometheus-alertmanager")
def test_a_proxy_that_is_down_says_it_all(alertmanager: str) -> None:
    """What else there is to say of a proxy that is down is held back; of another proxy nothing is."""
    elsewhere = ("OllamaProxyDown", "OllamaProxyAbsent", "OllamaProxyNoTraffic", "OllamaProxyUpstreamDown")
    others = [name for name in alerts() if name not in elsewhere]
    # Alerts that hold back each other, too, do so by a label: here each has another value.
    about = [labels(name, job="down", route=name, instance=instance) for name in others for instance in ("a", "b")]
    about += [labels("OllamaProxyUpstreamDown", job="down", instance="a"), labels("OllamaProxyNoTraffic", job="down")]
    sent = [*about, labels("OllamaProxyDown", job="down", instance="a")]
    heard = {("OllamaProxyDown", "a"), *((name, "b") for name in others)}
    eventually(lambda: told(alertmanager, sent) == heard, within=SECONDS)


@needs("prometheus-alertmanager")
def test_an_upstream_that_is_down_explains_errors(alertmanager: str) -> None:
    """Failed, broken, slow and refused answers are held back while the upstream is known to be down; others are not."""
    errors = ("OllamaProxyErrorsFast", "OllamaProxyErrorsSlow", "OllamaProxyStreamsBroken")
    held_back = (*errors, "OllamaProxySlowFirstToken", "OllamaProxyBreakerOpen")
    heard = ("OllamaProxyUpstreamDown", "OllamaProxyQueueing", "OllamaProxyLogLinesDropped")
    sent = [labels(name, job="upstream", instance="a") for name in (*held_back, *heard)]
    eventually(lambda: told(alertmanager, sent) == {(name, "a") for name in heard}, within=SECONDS)


@needs("prometheus-alertmanager")
def test_fast_errors_are_slow_errors_too(alertmanager: str) -> None:
    """Of the two alerts on errors of one route the more urgent one is told, and those of other routes are."""
    sent = [
        labels("OllamaProxyErrorsFast", job="errors", instance="a", route="/api/chat"),
        labels("OllamaProxyErrorsSlow", job="errors", instance="a", route="/api/chat"),
        labels("OllamaProxyErrorsSlow", job="errors", instance="b", route="/api/chat"),
    ]
    heard = {("OllamaProxyErrorsFast", "a"), ("OllamaProxyErrorsSlow", "b")}
    eventually(lambda: told(alertmanager, sent) == heard, within=SECONDS)

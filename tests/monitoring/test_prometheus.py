"""A real Prometheus reads what the proxy shows, and its rules and the dashboard find it there."""

from collections.abc import Iterator

import pytest

from monitoring import promql
from monitoring.exposed import MODEL, busy_metrics, exposed_names
from monitoring.servers import get, query, running_prometheus, serving
from monitoring.tools import alerts, expressions, needs, panel_expressions, rules
from support.processes import eventually

pytestmark = needs("prometheus")

SECONDS = 40.0  # two scrapes and an evaluation, on a loaded machine


@pytest.fixture(scope="module")
def metrics_url() -> Iterator[str]:
    """Where the metrics are: override it to point the tests at a proxy that has streamed an answer."""
    with serving(busy_metrics()) as url:
        yield url


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, metrics_url: str) -> Iterator[str]:
    """A Prometheus that has scraped them twice."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), metrics_url) as url:
        eventually(lambda: bool(query(url, 'sum_over_time(up{job="ollama_proxy"}[1m]) >= 2')), within=SECONDS)
        yield url


def test_target_is_up(prometheus: str) -> None:
    """G14: Prometheus scrapes the metrics without an error."""
    (target,) = get(prometheus, "/api/v1/targets")["data"]["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert target["labels"]["job"] == "ollama_proxy"


def test_exchanges_can_be_asked_for(prometheus: str) -> None:
    """G14: the exchanges are there, by their labels."""
    expression = f'ollama_proxy_exchanges_total{{front="ollama", route="/api/chat", model="{MODEL}", outcome="ok"}}'
    (series,) = query(prometheus, expression)
    assert float(series["value"][1]) == 1


def test_every_name_arrives(prometheus: str) -> None:
    """G14: Prometheus, which asks for OpenMetrics, stores each series under the name that the plain text has."""
    stored = {series["metric"]["__name__"] for series in query(prometheus, '{job="ollama_proxy"}')}
    assert exposed_names() - stored == set()
    used = set().union(*map(promql.metrics, expressions()))
    assert {name for name in used if ":" not in name} - stored == set()


def test_rules_are_evaluated(prometheus: str) -> None:
    """Each rule is loaded and evaluated without an error."""

    def evaluated() -> list[dict[str, str]] | None:
        groups = get(prometheus, "/api/v1/rules")["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None

    found = eventually(evaluated, within=SECONDS)
    assert [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"] == []
    assert len(found) == len(rules())
    assert {rule["name"] for rule in found} >= set(alerts())


@pytest.mark.parametrize("expression", panel_expressions())
def test_panel_is_answered(prometheus: str, expression: str) -> None:
    """Prometheus answers what a panel of the dashboard asks."""
    answer = get(prometheus, "/api/v1/query", query=expression)
    assert answer["status"] == "success"
    assert not answer.get("warnings")

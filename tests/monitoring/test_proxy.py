"""A real Prometheus scrapes a real proxy."""

from collections.abc import Iterator

import httpx
import pytest

from monitoring.exposed import exposed
from monitoring.servers import get, query, running_prometheus
from monitoring.tools import needs
from support.processes import eventually, running_proxy

pytestmark = needs("prometheus")

CHATS = 3


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped a proxy after some chats and one for a model that nobody knows."""
    folder = tmp_path_factory.mktemp("proxy")
    with running_proxy(folder, "--demo") as url, httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        model = client.get("/api/tags").json()["models"][0]["name"]
        for name in (*[model] * CHATS, "nobody-knows-it"):
            client.post("/api/chat", json={"model": name, "messages": [{"role": "user", "content": "Hello"}]})
        with running_prometheus(folder, f"{url}/metrics") as prometheus_url:
            eventually(lambda: bool(query(prometheus_url, "sum_over_time(up[1m]) >= 2")), within=40)
            yield prometheus_url


def value(prometheus: str, expression: str) -> float:
    (series,) = query(prometheus, expression)
    return float(series["value"][1])


def test_exchanges_are_counted(prometheus: str) -> None:
    """G14: what clients asked is counted by how it ended; Prometheus's own requests are not."""
    of_chats = 'sum(ollama_proxy_exchanges_total{{front="ollama", route="/api/chat", outcome="{}"}})'
    assert value(prometheus, of_chats.format("ok")) == CHATS
    assert value(prometheus, of_chats.format("not_found")) == 1
    assert value(prometheus, "sum(ollama_proxy_time_to_first_token_seconds_count)") == CHATS
    assert query(prometheus, 'ollama_proxy_exchanges_total{route="/metrics"}') == []
    assert value(prometheus, "ollama_proxy_exchanges_in_flight") == 0


def test_labels_are_those_that_the_rules_are_tested_with(prometheus: str) -> None:
    """What the proxy shows has the labels that the tests of the rules and the dashboard go by."""
    expected = exposed()
    found = [series["metric"] for series in query(prometheus, '{__name__=~"(ollama_proxy|process)_.+"}')]
    assert len(found) > 20
    for metric in found:
        assert set(metric) - {"__name__"} == expected[metric["__name__"]], metric


def test_no_rule_fails(prometheus: str) -> None:
    """The rules can be evaluated on what a real proxy shows."""
    groups = get(prometheus, "/api/v1/rules")["data"]["groups"]
    assert groups
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []

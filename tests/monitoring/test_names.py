"""Every metric and label that the rules, the dashboard and the docs name is one that /metrics shows."""

import re
from pathlib import Path

import pytest

from monitoring import promql
from monitoring.exposed import bounds, exposed, exposed_names
from monitoring.tools import DOCS, RULE_TESTS, alerts, dashboard, expressions, load, rules
from ollama_openai_proxy.observe.metrics_labels import OUTCOMES

# What a client did wrong, its leaving, and what the upstream refused for what it was sent.
NOT_FAILED = {"bad_request", "too_large", "auth", "not_found", "client_timeout", "client_abort", "up_4xx"}

EXCLUDED = re.compile(r'outcome!~"([^"]*)"')
QUANTILE = re.compile(r"histogram_quantile\(.*?(\w+)_bucket.*?\)\s*>\s*([\d.]+)", re.DOTALL)


def known() -> dict[str, set[str]]:
    """The labels of each series: of /metrics, and of the rules, which have them in the first part of their name."""
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    return exposed() | {name: set(name.partition(":")[0].split("_")) for name in recorded}


@pytest.mark.parametrize(
    ("expression", "metrics", "matched", "grouped"),
    [
        ("up", {"up"}, [], []),
        ('rate(a_total{b="}(c", d!~"e"}[5m] offset 1h) > 0.5', {"a_total"}, [("a_total", "b"), ("a_total", "d")], []),
        ("sum by (b, le) (rate(a[1m])) or vector(0) * c:d", {"a", "c:d"}, [], [("a", "b"), ("a", "le")]),
        ("time() - a and on (b) (c / 2e3)", {"a", "c"}, [], []),
    ],
)
def test_expressions_are_read(
    expression: str, metrics: set[str], matched: list[tuple[str, str]], grouped: list[tuple[str, str]]
) -> None:
    """The tests below see the metrics and labels of an expression."""
    assert promql.metrics(expression) == metrics
    assert list(promql.matched(expression)) == matched
    assert list(promql.grouped(expression)) == grouped


@pytest.mark.parametrize("expression", expressions())
def test_metrics_exist(expression: str) -> None:
    """G14: each metric of an expression is one that /metrics shows, or that a rule records."""
    assert promql.metrics(expression)
    assert promql.metrics(expression) - set(known()) == set()


@pytest.mark.parametrize("expression", expressions())
def test_labels_exist(expression: str) -> None:
    """G14: each label that is asked for or grouped by is one that the metric has."""
    labels = known()
    used = [*promql.matched(expression), *promql.grouped(expression)]
    assert [(name, label) for name, label in used if label not in labels[name]] == []


@pytest.mark.parametrize("rule", [rule for rule in rules() if "record" in rule], ids=lambda rule: rule["record"])
def test_recorded_series_have_the_labels_of_their_name(rule: dict[str, str]) -> None:
    """A recorded series is grouped by the labels that the first part of its name lists."""
    level = rule["record"].partition(":")[0].split("_")
    groupings = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
    assert groupings
    assert {grouping.replace(", ", "_") for grouping in groupings} == {"_".join(level)}


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_tests_of_rules_use_what_exists(path: Path) -> None:
    """What the tests of the rules feed in has the name, labels and outcomes that Prometheus would store."""
    series = {" ".join(entry["series"].split()) for case in load(path)["tests"] for entry in case["input_series"]}
    of_the_proxy = [one for one in series if 'job="ollama_proxy"' in one]
    assert of_the_proxy
    for one in of_the_proxy:
        name, _, inner = one.partition("{")
        labels = dict(re.findall(r'(\w+)="([^"]*)"', inner))
        assert set(labels) == exposed()[name], one
        assert labels.get("outcome", "ok") in OUTCOMES


def test_variables_and_annotations_of_the_dashboard_exist() -> None:
    """The dashboard's menus are filled from labels that exist."""
    queries = [entry["definition"] for entry in dashboard()["templating"]["list"] if entry["type"] == "query"]
    assert len(queries) == 2
    for query in queries:
        name, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", query).groups()  # type: ignore[union-attr]  # else the test fails
        assert label in exposed()[name]


def test_names_in_the_docs_exist() -> None:
    """Each metric that the docs name is one that /metrics shows; a histogram by the name that its series begin with."""
    named = set(re.findall(r"\b(?:ollama_proxy|process)_[a-z_]+\b", DOCS.read_text(encoding="utf-8")))
    assert len(named) > 5
    names = exposed_names()
    assert [name for name in named if name not in names and f"{name}_bucket" not in names] == []


def test_each_figure_is_used() -> None:
    """The dashboard shows each of the proxy's figures."""
    used = set().union(*map(promql.metrics, expressions()))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed() if name.startswith("ollama_proxy_")}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    assert families - shown == set()


def test_failed_is_what_the_proxy_or_the_upstream_did() -> None:
    """What counts as failed leaves out what clients did, the same in each rule and panel, and nothing else."""
    excluded = [set(found.split("|")) for expression in expressions() for found in EXCLUDED.findall(expression)]
    assert NOT_FAILED | {"ok"} <= OUTCOMES
    assert excluded.count(NOT_FAILED | {"ok"}) == 5  # four windows, and the dashboard
    assert excluded.count(NOT_FAILED) == 5  # what it is a part of
    assert len(excluded) == 10


def test_thresholds_are_bounds_of_buckets() -> None:
    """A quantile is known exactly only where a bucket ends: there the thresholds of alerts are."""
    found = [match.groups() for alert in alerts().values() for match in QUANTILE.finditer(alert["expr"])]
    assert len(found) == 2
    for histogram, threshold in found:
        assert float(threshold) in bounds(histogram)


@pytest.mark.parametrize("name", alerts())
def test_texts_use_labels_that_the_alert_has(name: str) -> None:
    """The labels that an alert's text shows are among those that it fires with, in its tests."""
    tests = [test for path in RULE_TESTS for case in load(path)["tests"] for test in case["promql_expr_test"]]
    samples = [sample["labels"] for test in tests for sample in test["exp_samples"]]
    fired = [set(re.findall(r'(\w+)="', labels)) for labels in samples if f'alertname="{name}"' in labels]
    shown = set(re.findall(r"\$labels\.(\w+)", str(alerts()[name]["annotations"])))
    assert fired
    assert all(shown <= labels for labels in fired)

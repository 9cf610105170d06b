"""The files of monitoring/, as Prometheus's own tools see them."""

from pathlib import Path

import pytest
import yaml

from monitoring.tools import MONITORING, RULE_TESTS, RULES, alerts, load, needs, panel_expressions, run

SEVERITIES = {"critical", "warning", "info"}


@needs("promtool")
def test_config_is_valid() -> None:
    """Prometheus takes its configuration, and finds the rules from it."""
    assert "1 rule files found" in run("promtool", "check", "config", MONITORING / "prometheus.yml")


@needs("promtool")
def test_rules_are_valid() -> None:
    """Prometheus takes the rules, and none of them is there twice."""
    output = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert "duplicate" not in output


@needs("promtool")
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_tests_say(path: Path) -> None:
    """Each alert fires when it should, and not for blips, clients' mistakes, restarts and proxies that have started."""
    run("promtool", "test", "rules", path)


@needs("amtool")
def test_alertmanager_is_valid() -> None:
    """Alertmanager takes its configuration."""
    run("amtool", "check-config", MONITORING / "alertmanager.yml")


@needs("promtool")
def test_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    """Every expression of the dashboard is PromQL."""
    written = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(panel_expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": written}]}), encoding="utf-8")
    assert f"{len(written)} rules found" in run("promtool", "check", "rules", path)


def test_the_proxy_is_scraped_under_the_name_that_the_rules_use() -> None:
    """The job has the name by which alerts tell the proxy from other targets."""
    assert [job["job_name"] for job in load(MONITORING / "prometheus.yml")["scrape_configs"]] == ["ollama_proxy"]


@pytest.mark.parametrize("name", alerts())
def test_alert_is_tested(name: str) -> None:
    """Each alert has a test in which it fires, and its file one in which nothing does at any time."""
    for path in RULE_TESTS:
        tests = [test for case in load(path)["tests"] for test in case["promql_expr_test"]]
        fires = any(f'alertname="{name}"' in sample["labels"] for test in tests for sample in test["exp_samples"])
        if fires:
            quiet = [test for test in tests if "count_over_time" in test["expr"] and test["exp_samples"] == []]
            assert quiet
            return
    pytest.fail("no test in which it fires")


@pytest.mark.parametrize("name", alerts())
def test_alert_tells_what_it_means(name: str) -> None:
    """An alert has a severity, and says in a line and at length what is the matter and what to look at first."""
    alert = alerts()[name]
    assert name.startswith("OllamaProxy")  # by which Alertmanager's inhibition knows them
    assert set(alert["labels"]) == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert len(alert["annotations"]["summary"]) < 80
    assert "look first at" in alert["annotations"]["description"].lower()

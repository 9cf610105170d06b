"""The dashboard, as Grafana reads it."""

import itertools
from typing import Any

import pytest

from monitoring.tools import dashboard, panels

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
BUILT_IN = {"timeseries", "stat", "bargauge"}


def title(panel: dict[str, Any]) -> str:
    return str(panel["title"])


def test_is_a_dashboard_of_a_current_grafana() -> None:
    """It has what Grafana needs to import it, and no number of the Grafana that it came from."""
    found = dashboard()
    assert found["title"]
    assert found["uid"]
    assert "id" not in found
    assert found["schemaVersion"] >= 39  # Grafana 11


def test_rows() -> None:
    """Traffic, latency, tokens, upstreams, saturation and the process have a row each."""
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Tokens", "Upstreams", "Saturation", "Process"]


def test_one_can_choose() -> None:
    """The data source, the proxies and the models are variables, so that it fits any installation."""
    assert [entry["name"] for entry in dashboard()["templating"]["list"]] == ["datasource", "instance", "model"]


def test_ids_are_unique() -> None:
    """Each panel has a number of its own."""
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_titles_are_unique() -> None:
    """Each panel can be spoken of."""
    titles = [panel["title"] for panel in dashboard()["panels"]]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("panel", panels(), ids=title)
def test_panel_explains_itself(panel: dict[str, Any]) -> None:
    """A panel has a title, a unit, a description and a legend for each of several lines."""
    assert panel["type"] in BUILT_IN
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert all(target["legendFormat"] for target in panel["targets"]) or len(panel["targets"]) == 1


@pytest.mark.parametrize("panel", panels(), ids=title)
def test_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    """A panel and each of its queries names the variable, not a data source that exists elsewhere."""
    assert panel["datasource"] == DATASOURCE
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)


@pytest.mark.parametrize("panel", panels(), ids=title)
def test_panel_shows_the_chosen_proxies(panel: dict[str, Any]) -> None:
    """Each query is about the proxies that were chosen."""
    assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"])


def test_panels_do_not_overlap() -> None:
    """Each panel has a place of its own, within the 24 columns."""
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] >= 0 and place["w"] > 0 and place["x"] + place["w"] <= 24 for place in places)
    cells = [
        (x, y)
        for place in places
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(set(cells)) == len(cells)

"""The figures: their names, help texts, buckets and labels."""

import pytest
from prometheus_client import Counter
from prometheus_client.metrics_core import Metric

from ollama_openai_proxy.observe.metrics_figures import Figures, Labelled

FIGURES = {family.name: family for family in Figures().described()}


@pytest.mark.parametrize("family", FIGURES.values(), ids=FIGURES)
def test_help(family: Metric) -> None:
    """Each figure says in which unit it is, seconds if its name says so, and ends as a sentence does."""
    text = family.documentation
    assert text.endswith(".")
    assert text.startswith("Seconds") == family.name.endswith("_seconds")
    assert family.name.startswith("ollama_proxy_")
    if family.type == "histogram":
        assert family.name.endswith("_seconds")


def test_described() -> None:
    """All that is collected is described, in the same order."""
    figures = Figures()
    assert [family.name for family in figures.described()] == [family.name for family in figures.collect()]
    assert len(FIGURES) >= 22


@pytest.mark.parametrize(
    ("attribute", "low", "high"),
    [
        ("first_tokens", "0.005", "120.0"),
        ("per_token", "0.001", "2.0"),
        ("durations", "0.01", "600.0"),
        ("overheads", "0.0001", "1.0"),
    ],
)
def test_buckets(attribute: str, low: str, high: str) -> None:
    """The buckets span what is to be expected of language models, and are at most 14, for each is a series."""
    figure = getattr(Figures(), attribute)["one", "two"]
    (family,) = figure.collect()
    bounds = [sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")]
    assert (bounds[0], *bounds[-2:]) == (low, high, "+Inf")
    assert len(bounds) <= 15


def test_no_creation_times() -> None:
    """When a series was made is not told: several workers together could not, and it doubles the text."""
    figures = Figures()
    figures.exchanges["ollama", "/api/chat", "m", "ok"].inc()
    names = {sample.name for family in figures.collect() for sample in family.samples}
    assert "ollama_proxy_exchanges_total" in names
    assert [name for name in names if name.endswith("_created")] == []


def test_labelled() -> None:
    """The same labels are the same series."""
    figures = Labelled(Counter("things_total", "Things.", ("kind", "size"), registry=None).labels)
    assert figures["a", "b"] is figures["a", "b"]
    assert figures["a", "b"] is not figures["b", "a"]
    with pytest.raises(ValueError, match="label"):
        figures[("a",)]

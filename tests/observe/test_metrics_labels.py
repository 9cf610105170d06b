"""The values of labels: closed lists, and models with a limit."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ollama_openai_proxy import observe
from ollama_openai_proxy.observe.metrics_labels import (
    ANOMALIES,
    BREAKS,
    MAX_MODELS,
    OUTCOMES,
    SKIPS,
    Models,
    outcome_label,
    reason_label,
)
from ollama_openai_proxy.observe.record import Record


def known(name: str) -> Record:
    return Record("id-1", model=name, known_model=name)


def test_outcomes() -> None:
    """Section 2.0 of the fault matrix: the list of outcomes is closed."""
    assert {
        *("ok", "bad_request", "too_large", "auth", "not_found", "client_timeout", "client_abort", "shed_full"),
        *("shed_timeout", "breaker_open", "draining", "up_dns", "up_connect", "up_connect_timeout", "up_tls"),
        *("up_ttft_timeout", "up_idle_timeout", "up_total_timeout", "up_reset", "up_truncated", "up_protocol"),
        *("up_4xx", "up_429", "up_5xx", "up_midstream_error", "up_empty", "internal"),
    } == OUTCOMES
    assert {outcome_label(outcome) for outcome in OUTCOMES} == OUTCOMES
    assert outcome_label("") == outcome_label("made-up") == "internal"


def test_oddities() -> None:
    """G and H of the fault matrix: the lists of what may be odd are closed, and hold all that is noted anywhere."""
    assert {"comment", "empty", "unknown_field", "after_done", "bad_utf8"} == SKIPS
    assert {
        *("invalid_json", "no_choices", "no_delta", "dup_finish", "late_content", "finish_mismatch", "tool_no_index"),
        *("tool_no_id", "tool_late_name", "tool_bad_args", "dup_usage", "bad_usage", "reasoning_alias"),
        *("finish_missing", "truncated_after_finish"),
    } == ANOMALIES
    sources = Path(observe.__file__).parents[1].rglob("*.py")
    noted = {what for path in sources for what in re.findall(r'\bnote\([^"()]*"(\w+)"\)', path.read_text("utf-8"))}
    assert noted == SKIPS | ANOMALIES


def test_breaks() -> None:
    """A stream is broken by what the upstream, a drain or the proxy does, not by the client."""
    assert {"ok", "client_abort", "client_timeout", "bad_request"}.isdisjoint(BREAKS)
    assert {"up_reset", "up_total_timeout", "draining", "internal"} <= BREAKS <= OUTCOMES


def test_reasons() -> None:
    """A request is repeated for one of four reasons."""
    reasons = {"stale_connection", "connect", "status", "stream_options"}
    assert {reason_label(reason) for reason in reasons} == reasons
    assert reason_label("made-up") == "other"


def test_model() -> None:
    """The label is the backend's own name, never the client's spelling of it."""
    models = Models()
    assert models.label(Record("id-1", model="LLAMA3", known_model="llama3:latest")) == "llama3:latest"
    assert models.label(Record("id-1", model="made-up")) == "other"
    assert models.label(Record("id-1")) == "none"


def test_limit() -> None:
    """200 models have a label of their own, and keep it."""
    models = Models()
    names = [f"model-{number}" for number in range(1_000)]
    assert [models.label(known(name)) for name in names] == [*names[:MAX_MODELS], *["other"] * 800]
    assert [models.label(known(name)) for name in names] == [*names[:MAX_MODELS], *["other"] * 800]
    assert MAX_MODELS == 200


def test_workers_agree(tmp_path: Path) -> None:
    """Workers name the same 200 models, together, whichever comes first; so does one that starts later."""
    first, second = Models(tmp_path / "models"), Models(tmp_path / "models")
    names = [f"model-{number}" for number in range(1_000)]
    for number, name in enumerate(names):
        (first if number % 2 else second).label(known(name))
    expected = [*names[:MAX_MODELS], *["other"] * 800]
    for models in (first, second, Models(tmp_path / "models")):
        assert [models.label(known(name)) for name in names] == expected
    assert len((tmp_path / "models").read_text(encoding="utf-8").splitlines()) == MAX_MODELS


def test_workers_agree_at_once(tmp_path: Path) -> None:
    """Workers that come upon new models at the same moment agree too, and none waits for another."""
    barrier = threading.Barrier(8)

    def take(worker: int) -> set[str]:
        models = Models(tmp_path / "models")
        barrier.wait()
        return {models.label(known(f"model-{worker}-{number}")) for number in range(100)} - {"other"}

    with ThreadPoolExecutor(8) as workers:
        taken = [label for labels in workers.map(take, range(8)) for label in labels]
    assert len(taken) == MAX_MODELS
    late = Models(tmp_path / "models")
    assert [late.label(known(label)) for label in taken] == taken


def test_the_first_names_count(tmp_path: Path) -> None:
    """If workers add the last names at the same moment, the file has too many, and the first 200 are the ones."""
    names = [f"model-{number}" for number in range(205)]
    (tmp_path / "models").write_text("".join(f"{name}\n" for name in (*names[:150], *names)), encoding="utf-8")
    models = Models(tmp_path / "models")
    assert [models.label(known(name)) for name in names] == [*names[:MAX_MODELS], *["other"] * 5]


@pytest.mark.parametrize("name", ["a\nb", "half \udcff"])
def test_names_in_the_file(tmp_path: Path, name: str) -> None:
    """No name can break the file in which workers agree."""
    label = Models(tmp_path / "models").label(known(name))
    assert label.isprintable()
    assert (tmp_path / "models").read_text(encoding="utf-8") == f"{label}\n"


def test_file_that_can_not_be_written(tmp_path: Path) -> None:
    """If the workers can't agree, a model is other: the exchange ends all the same."""
    assert Models(tmp_path / "missing" / "models").label(known("m")) == "other"

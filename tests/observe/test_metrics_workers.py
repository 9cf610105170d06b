"""The metrics of several workers, which are processes: exact sums, and nothing left of what only the living tell."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from observe.metrics_worker import Worker, worker
from observe.scraped import OPENMETRICS, Scraped, scraped
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.metrics_workers import forget, merged

CHAT = {"front": "ollama", "route": "/api/chat"}


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


def render(asked: Worker, accept: str = "") -> Scraped:
    body = asked.order("render", accept)
    return Scraped(body, "application/openmetrics-text" if accept else "text/plain")


def files(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_sums_are_exact(directory: Path, accept: str) -> None:
    """P5: after 3 times 1,000 exchanges, with one worker killed and replaced in between, each sum is 3,000."""
    with ExitStack() as running:
        workers = [running.enter_context(worker(directory, slot)) for slot in range(3)]
        for each in workers[:2]:
            each.begin("ended", 1_000)
        workers[2].order("ended", 400)
        workers[2].kill()
        forget(directory, 2)
        workers[2] = running.enter_context(worker(directory, 2))
        workers[2].order("ended", 600)
        for each in workers[:2]:
            each.done()
        for each in workers:  # whoever is asked, the answer is the same
            after = render(each, accept)
            assert after.value("exchanges_total", **CHAT, model="m", outcome="ok") == 3_000
            assert after.value("output_tokens_total", model="m") == 300_000
            assert after.value("exchange_duration_seconds_count", **CHAT) == 3_000
            assert after.value("exchange_duration_seconds_bucket", **CHAT, le="2.5") == 3_000
            assert after.value("exchange_duration_seconds_bucket", **CHAT, le="1.0") == 0
            assert after.value("exchange_duration_seconds_sum", **CHAT) == pytest.approx(6_000)
            assert after.value("exchanges_in_flight") == after.value("exchanges_queued") == 0


def test_counted_while_read(directory: Path) -> None:
    """No scrape during the count fails or sees less than the one before."""
    with worker(directory, 0) as counting, worker(directory, 1) as asked:
        counting.begin("ended", 20_000)
        seen = [render(asked).total("exchanges_total") for _ in range(20)]
        counting.done()
        assert seen == sorted(seen)
        assert render(asked).total("exchanges_total") == 20_000


def test_k10_the_dead_are_forgotten(directory: Path) -> None:
    """K10: what was in flight in a worker that was killed is gone once it is forgotten; so is its drain."""
    with worker(directory, 11) as kept, worker(directory, 1) as killed:
        kept.order("began", 2)
        killed.order("began", 5)
        killed.order("ended", 4)
        killed.order("drain")
        assert render(kept).value("exchanges_in_flight") == 7
        assert render(kept).value("draining") == 1
        killed.kill()
        forget(directory, 1)
        forget(directory, 1)  # there may be nothing to forget
        after = render(kept)
        assert after.value("exchanges_in_flight") == after.value("exchanges_queued") == 2
        assert after.value("draining") == 0
        assert after.total("exchanges_total") == 4


def test_upstream_up(directory: Path) -> None:
    """Whether the upstream is up is what the worker saw that asked last: no sum, and no series for each worker."""
    with worker(directory, 0) as first, worker(directory, 1) as second:
        for asked, up in ((first, 1), (second, 1), (first, 0), (second, 0), (first, 1)):
            asked.order("up", up)
            assert list(render(second).series("upstream_up").values()) == [up]
            assert render(second).value("upstream_up", upstream="backend") == up


def test_nothing_grows(directory: Path) -> None:
    """P5: a slot's files stay as they are, in number and size, however often its worker is replaced."""
    before: dict[str, int] = {}
    for _ in range(4):
        with worker(directory, 0) as replaced:
            replaced.order("ended", 10)
            replaced.order("up", 1)
            replaced.kill()
        before = before or files(directory)
        assert files(directory) == before
        forget(directory, 0)
    assert merged(directory)["ollama_proxy_drain_cut"].samples[0].value == 0
    assert sum(sample.value for sample in merged(directory)["ollama_proxy_exchanges"].samples) == 40


def test_models_have_one_limit(directory: Path) -> None:
    """The models that have series of their own are 200 of all workers together, not of each."""
    with worker(directory, 0) as first, worker(directory, 1) as second:
        for number in range(110):
            first.order("ended", 1, f"first-{number}")
            second.order("ended", 1, f"second-{number}")
        after = render(first)
        assert len(after.labels("exchanges_total", "model") - {"other"}) == 200
        assert after.value("exchanges_total", **CHAT, model="other", outcome="ok") == 20


def test_same_figures_as_one_process(directory: Path) -> None:
    """Help texts, types and names are those of one process, from the first scrape on, and build_info is 1."""
    with worker(directory, 0) as asked, worker(directory, 1):
        told = render(asked)
        alone = scraped(Metrics(version="1.2.3"))
        ours = [(family.name, family.type, family.documentation) for family in told.families if "proxy" in family.name]
        assert ours == [(f.name, f.type, f.documentation) for f in alone.families if "proxy" in f.name]
        assert list(told.series("build_info").values()) == [1]


# Where CI is set nothing is skipped: a run without promtool would pass and have tested nothing.
@pytest.mark.skipif(not (shutil.which("promtool") or os.environ.get("CI")), reason="promtool is not installed")
def test_promtool(directory: Path) -> None:
    """G14: Prometheus' own linter has nothing to say about the metrics of several workers either."""
    with worker(directory, 0) as first, worker(directory, 1) as second:
        first.order("ended", 3)
        first.order("up", 1)
        body = second.order("render")
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=body, capture_output=True, timeout=30, check=False)  # noqa: S603  # on PATH
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_file_of_a_starting_worker(directory: Path) -> None:
    """A file that a starting worker has made, and not yet written, disturbs no scrape."""
    with worker(directory, 0) as asked:
        (directory / "counter_7.db").touch()
        assert render(asked).value("drain_cut_total") == 0


def test_odd_directory(directory: Path) -> None:
    """The directory may be called anything that a directory can be called."""
    odd = directory / "a [b]*"
    odd.mkdir()
    with worker(odd, 0) as asked:
        asked.order("ended", 1)
        assert render(asked).total("exchanges_total") == 1
        forget(odd, 0)
        assert [name for name in files(odd) if name.startswith("gauge")] == []

"""A worker with metrics, as a process: `python metrics_worker.py DIRECTORY SLOT` obeys the lines of its input."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.metrics_workers import share
from ollama_openai_proxy.observe.record import Record


def record(model: str = "m", **facts: Any) -> Record:
    """A whole streamed answer of 100 tokens: the first byte after 0.5 s, 10 ms a token, 2 s in all."""
    made = Record("id-1", front="ollama", route="/api/chat", model=model, known_model=model, status=200, streamed=True)
    made.outcome, made.prompt_tokens, made.completion_tokens, made.added = "ok", 7, 100, 2_000_000
    made.asked = made.started + 1
    made.first_byte, made.first_token = made.started + 500_000_000, made.started + 400_000_000
    made.last_token = made.started + 400_000_000 + 99 * 10_000_000
    made.last_byte = made.ended = made.started + 2_000_000_000
    for name, value in facts.items():
        setattr(made, name, value)
    return made


class Worker:
    """The process, told what to do; each order is done when its method returns."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def order(self, *words: object) -> bytes:
        self.begin(*words)
        return self.done()

    def begin(self, *words: object) -> None:
        """Let it do something, and do not wait for it."""
        assert self.process.stdin
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.process.stdin.flush()

    def done(self) -> bytes:
        """Wait for what `begin` began."""
        assert self.process.stdout
        return self.process.stdout.read(int(self.process.stdout.readline()))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def worker(directory: Path, slot: int) -> Iterator[Worker]:
    """Start a worker in this slot, which is ready; it ends with the block if it was not killed before."""
    command = [sys.executable, __file__, str(directory), str(slot)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603  # this file
        started = Worker(process)
        try:
            started.order("ended", 0)
            yield started
        finally:
            process.kill()


def obey(metrics: Metrics, order: str, *words: str) -> bytes:
    if order == "render":
        return metrics.render(" ".join(words))[0]
    if order == "up":
        metrics.upstream_up("backend", words[0] == "1")
    elif order == "drain":
        metrics.draining(on=True)
    elif order == "burn":
        while sum(os.times()[:2]) < float(words[0]):
            pass
    else:
        model = words[1] if len(words) > 1 else "m"
        for _ in range(int(words[0])):
            metrics.began()
            metrics.queued(1)
            if order == "ended":
                metrics.queued(-1)
                metrics.ended(record(model))
    return b""


def main(directory: Path, slot: int) -> None:
    share(directory, slot)
    metrics = Metrics(version="1.2.3", workers_directory=directory)
    for line in sys.stdin:
        answer = obey(metrics, *line.split())
        sys.stdout.buffer.write(b"%d\n" % len(answer) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

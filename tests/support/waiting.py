"""Waiting for conditions, with a deadline, and for what a test should have left behind: nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

_OPEN = Path("/proc/self/fd")
SECONDS = 10.0  # for what is at once on a machine with nothing else to do


async def eventually(condition: Callable[[], object], within: float = SECONDS) -> None:
    """Wait until the condition holds; TimeoutError if it does not."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.005)


@asynccontextmanager
async def no_tasks_left(others: Callable[[], set[asyncio.Task[None]]], busy: Callable[[], int]) -> AsyncIterator[None]:
    """Check that the block leaves no task behind but those of `others`, and nothing that is `busy`."""
    before = asyncio.all_tasks()
    yield

    def left() -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - before - others() - {asyncio.current_task()}

    try:
        await eventually(lambda: not left() and not busy(), within=2.0)
    except TimeoutError:
        raise AssertionError(f"left behind: {busy()} busy connections, tasks {left()}") from None


@asynccontextmanager
async def no_descriptors_left() -> AsyncIterator[None]:
    """Check that the block leaves no file or socket open that was not open before."""
    before = _descriptors()
    yield
    try:
        await eventually(lambda: len(_descriptors()) <= len(before), within=2.0)
    except TimeoutError:
        raise AssertionError(f"left open: {_descriptors() - before}") from None


def _descriptors() -> set[tuple[str, str]]:
    """Each open descriptor, and what it is: none where the system does not tell."""
    found = set()
    for path in [*_OPEN.iterdir()] if _OPEN.exists() else ():
        with suppress(OSError):  # that of the folder itself
            found.add((path.name, str(path.readlink())))
    return found


@contextmanager
def no_errors() -> Iterator[None]:
    """Check that nothing was logged as an error meanwhile, and that the loop caught nothing."""
    problems: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: problems.append(str(context)))
    handler = _Collector(problems)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        loop.set_exception_handler(None)
    assert problems == []


class _Collector(logging.Handler):
    def __init__(self, problems: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "ollama_openai_proxy.serve.health":  # which tells operators of the backend
            self._problems.append(self.format(record))

"""G13: what Python would print by itself is a line like all others."""

import json
import subprocess
import sys
from typing import Any

import pytest

START = """
import gc, logging, os, sys, threading, warnings
from ollama_openai_proxy.observe.logs import configure
logs = configure("info")
SECRET = "-".join(["sk", "canary"])
"""


def run(script: str, *options: str) -> tuple[list[dict[str, Any]], int]:
    """The lines that the script wrote, and its exit status; nothing else was written."""
    done = subprocess.run(  # noqa: S603  # our own scripts
        [sys.executable, *options, "-c", START + script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def only(script: str, *options: str, status: int = 0) -> dict[str, Any]:
    lines, returned = run(script, *options)
    assert returned == status
    (line,) = lines
    assert "sk-canary" not in str(line)
    return line


@pytest.mark.parametrize("end", ["", "logs.close(5)\n"], ids=["running", "closed"])
def test_uncaught(end: str) -> None:
    """An exception that nobody caught is one line, even after the log was closed; the exit status is 1."""
    line = only(f"{end}raise RuntimeError(SECRET)", status=1)
    assert (line["level"], line["message"]) == ("CRITICAL", "uncaught exception")
    assert line["exc_info"].endswith("RuntimeError (text left out)")


def test_interrupted() -> None:
    """An interrupt is told without a traceback, and ends the process as a signal does."""
    line = only("raise KeyboardInterrupt", status=-2)
    assert (line["level"], line["message"]) == ("CRITICAL", "interrupted")
    assert "exc_info" not in line


def test_thread() -> None:
    """An exception that ends a thread is one line; a thread that exits is none."""
    line = only("""
def fail(): raise ValueError(SECRET)
for target in (fail, sys.exit):
    thread = threading.Thread(target=target, name="worker")
    thread.start()
    thread.join()
""")
    assert (line["level"], line["message"]) == ("ERROR", "uncaught exception in thread worker")
    assert "in fail" in line["exc_info"]


def test_unraisable() -> None:
    """An exception while an object is deleted is one line, which shows nothing of the object but its name."""
    line = only("""
class Holder:
    def __repr__(self): return SECRET
    def __del__(self): raise KeyError(SECRET)
held = Holder()
del held
""")
    assert line["level"] == "ERROR"
    assert line["message"] == "exception that can't be raised, in Holder.__del__"
    assert line["exc_info"].endswith("KeyError (text left out)")


def test_k13_never_awaited() -> None:
    """K13: a coroutine that nobody awaits is one line."""
    line = only("""
async def forgotten(): ...
forgotten()
gc.collect()
""")
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "'forgotten' was never awaited" in line["message"]


def test_warning() -> None:
    """A warning is one line, that of a file that was left open as well."""
    lines, status = run("warnings.warn('odd')\nopen(os.devnull)\ngc.collect()", "-W", "default")
    assert status == 0
    assert [line["logger"] for line in lines] == ["py.warnings"] * 2
    assert "UserWarning: odd" in lines[0]["message"]
    assert "ResourceWarning: unclosed file" in lines[1]["message"]


def test_k13_task() -> None:
    """K13: a task whose exception nobody fetched is one line."""
    line = only("""
import asyncio
async def fail(): raise ValueError(SECRET)
async def main():
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
asyncio.run(main())
""")
    assert (line["level"], line["logger"]) == ("ERROR", "asyncio")
    assert line["message"] == "Task exception was never retrieved"
    assert line["exc_info"].endswith("ValueError (text left out)")

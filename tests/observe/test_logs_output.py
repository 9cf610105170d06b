"""The log as a process writes it: blocked, broken, by many threads, with anything in it, in any locale."""

import json
import logging
import os
import random
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from ollama_openai_proxy.observe.logs import fail, log_exchange
from ollama_openai_proxy.observe.record import Record
from support.lines import logged
from support.processes import eventually

NAMES = [
    *(
        "a",
        "Z",
        " ",
        "/",
        ":",
        '"',
        "\\",
        "\n",
        "\r",
        "\t",
        "\x00",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\x9b",
        "%s",
        "%",
        "{}",
    ),
    *(
        "é",
        "日本",
        "😀",
        "\u2028",
        "\u202e",
        "\ud800",
        "\udfff",
        "\ufeff",
        "\n{}\n",
        '"}\n{"level": "CRITICAL"',
        "sk-x",
    ),
]
HEAD = """
import sys
from ollama_openai_proxy.observe.logs import configure, lifecycle
logs = configure("info")
for number in range(20_000):
    lifecycle("ready", seconds=number)
logs.close(10)
sys.exit(7 if logs.dropped else 8)
"""
LOCALE = """
import logging, sys
from ollama_openai_proxy.observe.logs import configure, fail, log_exchange
from ollama_openai_proxy.observe.record import Record
configure("info", fmt=sys.argv[1])
logging.getLogger("any").warning("\\u00e9 \\u65e5\\u672c \\U0001f600 %s", "\\ud800")
log_exchange(Record("r", model="\\u00e9 \\u65e5\\u672c \\U0001f600 \\ud800"))
fail("\\u00e9 \\u65e5\\u672c \\U0001f600 \\ud800", fmt=sys.argv[1])
"""


def test_k11_nobody_reads() -> None:
    """K11: with a pipe that nobody reads, 10,000 lines are logged at once, the end comes in time, the rest counts."""
    reading, writing = os.pipe()
    before = {*threading.enumerate()}
    with os.fdopen(reading), os.fdopen(writing, "w") as stream, logged(stream=stream) as lines:
        assert lines.logs
        begun = time.monotonic()
        for _ in range(10_000):
            logging.getLogger("any").info("a line with some text in it, so that the pipe is full soon")
        assert time.monotonic() - begun < 10  # an event loop that waits would wait for ever
        begun = time.monotonic()
        lines.logs.close(0.5)
        assert time.monotonic() - begun < 1.5
        eventually(lambda: not {*threading.enumerate()} - before, within=5)  # the last count is made at its end
        read = os.read(reading, 1_000_000)
    assert {json.loads(line)["message"][:6] for line in read.splitlines()} == {"a line"}
    assert len(read.splitlines()) + lines.logs.dropped == 10_000


def test_k9_fail_does_not_wait() -> None:
    """K9: a start that failed ends although nobody reads what it says of it."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as stream:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"\n" * select.PIPE_BUF)
        os.set_blocking(writing, True)
        begun = time.monotonic()
        fail("no", stream=stream)
        assert time.monotonic() - begun < 5


def test_k11_reader_leaves() -> None:
    """K11: into `head -1`, the process goes on, counts what it drops, and ends as it would, without a word."""
    with subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, "-c", HEAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["seconds"] == 0
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 7


def test_k11_no_stdout() -> None:
    """K11: a process that was started with standard output closed writes nothing to whatever is opened in its place."""
    done = subprocess.run(  # noqa: S603  # our own script
        ["/bin/sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, HEAD],
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (7, b"")


def test_m5_anything() -> None:
    """G13, M5: 10,000 messages and names of any kind are 10,000 lines, and each is one JSON object."""
    chance = random.Random(3)  # noqa: S311  # not for secrets
    texts = ["".join(chance.choices(NAMES, k=chance.randrange(12))) for _ in range(5000)]
    with logged() as lines:
        for number, text in enumerate(texts):
            log_exchange(Record(str(number), model=text, path=text))
            logging.getLogger("any").warning("%s", text)
            if number % 1000 == 999:
                time.sleep(0.1)  # more than the queue holds come at once only here
        told = lines.read()
    assert lines.logs
    assert lines.logs.dropped == 0
    assert len(told) == 10_000
    assert [line["request_id"] for line in told[::2]] == [str(number) for number in range(5000)]
    assert all(line["message"] != "exchange" and line["level"] == "WARNING" for line in told[1::2])


def test_threads() -> None:
    """The lines of threads that log at once come whole, each thread's in its order."""

    def write(name: int) -> None:
        for number in range(400):
            logging.getLogger("any").info("%d", number, extra={"thread_number": name})

    with logged() as lines:
        threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = lines.read()
    for name in range(8):
        assert [line["message"] for line in told if line["thread_number"] == name] == [str(n) for n in range(400)]


@pytest.mark.parametrize("fmt", ["json", "text"])
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "nonsense"])
def test_l16_locale(fmt: str, locale: str) -> None:
    """L16: no locale makes a line fail: what its encoding lacks is escaped."""
    environ = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", LOCALE, fmt], env=environ, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    (third,) = done.stderr.splitlines()
    if fmt == "json":
        assert json.loads(first)["message"] == json.loads(third)["message"] == "é 日本 😀 \ud800"
        assert json.loads(second)["model"] == "é 日本 😀 \ud800"
    else:
        assert all(b"\\ud800" in line for line in (first, second, third))
        assert (b"\\xe9" in first) == (locale in ("C", "POSIX", "nonsense"))

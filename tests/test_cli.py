"""The command: its arguments, and settings that can't be used."""

import asyncio
from pathlib import Path

import pytest

from support.command import NOWHERE, one_line, run
from support.replies import HI
from support.scripted import Upstream


def test_help(tmp_path: Path) -> None:
    """`--help` names the three commands."""
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert {"serve", "check", "probe"} <= {*done.stdout.split()}
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["serve", "--demo"], {"PROXY_PORT": "canary"}),
        (["serve"], {"OPENAI_API_BASE_URL": "https://u:canary@backend.example"}),
        (["serve"], {"OPENAI_API_BASE_URL": "https://backend.example", "OPENAI_API_KEY": "canary 1"}),
        (["check"], {"LOG_LEVEL": "canary"}),
    ],
)
def test_k9_bad_setting(tmp_path: Path, arguments: list[str], settings: dict[str, str]) -> None:
    """A setting that can't be used ends any command with status 2 and one line that names it, not its value (K9)."""
    done = run(tmp_path, *arguments, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert [*settings][-1] in one_line(done.stderr)
    assert "canary" not in done.stderr


async def test_check(tmp_path: Path) -> None:
    """`check` prints a line for each step, and its status is that of the last; with `--model` it asks that model."""
    async with Upstream() as upstream:
        upstream.script("gpt-x", HI)
        good = await asyncio.to_thread(
            run, tmp_path, "check", "--model", "gpt-x", OPENAI_API_BASE_URL=upstream.url, OPENAI_API_KEY="sk-1"
        )
    bad = await asyncio.to_thread(run, tmp_path, "check", **NOWHERE)
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[0] for line in good.stdout.splitlines()] == ["ok"] * 5
    assert good.stdout.endswith("streaming works (gpt-x)\n")
    assert (bad.returncode, bad.stderr) == (1, "")
    assert bad.stdout.splitlines()[-1] == "FAIL  upstream: the upstream refused the connection"

"""The table of aliases among real processes: workers, two servers with one folder, bad files at the start."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.command import DEMO, one_line, parsed, run, served
from support.processes import eventually

REQUESTS = 12  # on connections of their own, so that each worker gets some with near certainty


def made(url: str, name: str) -> None:
    answer = httpx.post(f"{url}/api/create", json={"model": name, "from": "demo", "system": "A"}, timeout=30)
    assert answer.text.splitlines()[-1] == '{"status":"success"}', answer.text


def names(url: str) -> set[str]:
    models = httpx.get(f"{url}/api/tags", timeout=30).json()["models"]
    return {model["name"] for model in models if "demo" not in model["name"].lower()}


def started(workers: int) -> Callable[[str], bool]:
    """Whether so many workers say that they are ready."""
    return lambda out: sum(line.get("state") == "ready" for line in parsed(out.rpartition("\n")[0])) == workers


@pytest.mark.parametrize("kept", [True, False], ids=["data_dir", "no_data_dir"])
def test_workers_share_one_table(tmp_path: Path, kept: bool) -> None:
    """With several workers there is one table, whether it is kept or not: each sees what any has made, at once."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings = {"DATA_DIR": str(folder)} if kept else {}
    with served(tmp_path, *DEMO, "--workers", "2", METRICS_ENABLED="false", **settings) as proxy:
        eventually(lambda: started(2)(proxy.out), within=60)
        with ThreadPoolExecutor(4) as pool:
            wanted = [f"a{number}:latest" for number in range(REQUESTS)]
            assert len(list(pool.map(made, [proxy.url] * REQUESTS, wanted))) == REQUESTS
        assert [names(proxy.url) for _ in range(REQUESTS)] == [{*wanted}] * REQUESTS
    assert (folder / "aliases.json").exists() == kept


def test_two_servers_share_a_folder(tmp_path: Path) -> None:
    """Two servers with one folder have one table; it is there after a restart, even one by kill -9."""
    data, *homes = (tmp_path / name for name in ("data", "one", "two"))
    for folder in (data, *homes):
        folder.mkdir()
    with (
        served(homes[0], *DEMO, DATA_DIR=str(data)) as first,
        served(homes[1], *DEMO, DATA_DIR=str(data)) as second,
    ):
        made(first.url, "a")
        assert names(second.url) == {"a:latest"}
        made(second.url, "b")
        httpx.request("DELETE", f"{first.url}/api/delete", json={"model": "A"}, timeout=30)
        assert names(first.url) == names(second.url) == {"b:latest"}
        first.process.kill()
        first.process.wait(timeout=30)
        made(second.url, "c")
    with served(homes[0], *DEMO, DATA_DIR=str(data)) as again:
        assert names(again.url) == {"b:latest", "c:latest"}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is damaged: it is not what the proxy wrote"),
        (b'{"version": 2}', "has the form 2, and this version of the proxy knows 1"),
    ],
)
def test_start_with_a_bad_file(tmp_path: Path, data: bytes, words: str, workers: str) -> None:
    """Bad input: a file that is no table stops the start with one line that names it; it is left as it is."""
    file = tmp_path / "aliases.json"
    file.write_bytes(data)
    done = run(tmp_path, *DEMO, "--workers", workers, DATA_DIR=str(tmp_path), PROXY_PORT="0")
    assert (done.returncode, done.stdout) == (1, "")
    told = json.loads(one_line(done.stderr))
    assert (told["level"], told["message"]) == ("CRITICAL", f"DATA_DIR: {file} {words}")
    assert file.read_bytes() == data


@pytest.mark.parametrize(
    ("folder", "words"), [("no", "No such file or directory"), ("aliases.json", "Not a directory"), ("/proc/self", "")]
)
def test_start_with_a_bad_folder(tmp_path: Path, folder: str, words: str) -> None:
    """Bad input: a folder that is none or can't be written stops the start with one line that names the setting."""
    (tmp_path / "aliases.json").touch()
    done = run(tmp_path, *DEMO, DATA_DIR=str(tmp_path / folder), PROXY_PORT="0")
    assert done.returncode == 1
    assert json.loads(one_line(done.stderr))["message"].startswith(f"DATA_DIR can't be used: {words}")


def test_unwritable_folder_that_nobody_may_change(tmp_path: Path) -> None:
    """MANAGEMENT_ENABLED=false: the folder is only read, so it need not be writable."""
    with served(tmp_path, *DEMO, DATA_DIR="/proc/self", MANAGEMENT_ENABLED="false") as proxy:
        assert names(proxy.url) == set()


def test_worker_that_replaces_another(tmp_path: Path) -> None:
    """A file that is damaged while workers serve ends none of them, nor those that replace them."""
    (tmp_path / "data").mkdir()
    with served(tmp_path, *DEMO, "--workers", "2", DATA_DIR=str(tmp_path / "data")) as proxy:
        eventually(lambda: started(2)(proxy.out), within=60)
        (tmp_path / "data" / "aliases.json").write_bytes(b"{")
        pids = [line["pid"] for line in parsed(proxy.out.rpartition("\n")[0]) if line["message"] == "worker started"]
        os.kill(pids[0], signal.SIGKILL)
        eventually(lambda: started(3)(proxy.out), within=60)
        answer = httpx.post(f"{proxy.url}/api/create", json={"model": "x", "from": "demo"}, timeout=30)
        assert (answer.status_code, "damaged" in answer.json()["error"]) == (500, True)

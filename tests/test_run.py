"""`serve`: what a start needs, and what it says when it can't."""

import json
import socket
from pathlib import Path

from support.command import DEMO, one_line, run


def test_no_backend(tmp_path: Path) -> None:
    """Without a backend `serve` ends at once, and says in one line what to set."""
    done = run(tmp_path, "serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert "OPENAI_API_BASE_URL" in one_line(done.stderr)
    assert "--demo" in done.stderr


def test_taken_port(tmp_path: Path) -> None:
    """A port that is taken ends `serve` with status 1 and one line (K9)."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, *DEMO, PROXY_PORT=str(port))
    assert done.returncode == 1
    told = json.loads(one_line(done.stderr))
    assert (told["level"], told["message"]) == (
        "CRITICAL",
        f"can't listen on 127.0.0.1:{port}: Address already in use",
    )


def test_unknown_address(tmp_path: Path) -> None:
    """An address that is not this machine's ends `serve` with status 1 and one line (K9)."""
    done = run(tmp_path, *DEMO, PROXY_HOST="no-such-host.invalid", PROXY_PORT="0")
    assert done.returncode == 1
    told = json.loads(one_line(done.stderr))
    assert told["message"].startswith("can't listen on no-such-host.invalid:0: ")

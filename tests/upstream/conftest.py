"""What the tests that make connections share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialling import Run, on_asyncio, on_uvloop
from support.listeners import Authority


@pytest.fixture(params=[on_asyncio, on_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """What runs a coroutine, on one loop or on the other."""
    runner: Run = request.param
    return runner


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that is trusted."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made

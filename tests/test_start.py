"""What a start leaves behind in the process that serves. Each test is a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.processes import free_port

# A thread that waits until the proxy is ready, writes down what it sees in the process, and ends it.
WATCHED = """
import gc, json, os, signal, sys, threading, time, urllib.request
def watch():
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{os.environ['PROXY_PORT']}/ready", timeout=30).close()
            break
        except OSError:
            time.sleep(0.01)
    seen = {
        "collects": gc.isenabled(), "thresholds": gc.get_threshold(), "frozen": gc.get_freeze_count(),
        "imported": sorted(sys.modules), "collections": len(collections),
        "built": [name for name, each in vars(sys.modules["fastapi.openapi.models"]).items()
                  if name in ("OpenAPI", "Components", "Info") and each.__pydantic_complete__],
    }
    with open("seen.json", "w") as file:
        json.dump(seen, file)
    os.kill(os.getpid(), signal.SIGTERM)
collections, interpreter = [], gc.get_freeze_count()
def collecting(phase, info):
    if "ollama_openai_proxy.cli" in sys.modules and gc.get_freeze_count() == interpreter:
        collections.append(phase)
gc.callbacks.append(collecting)
threading.Thread(target=watch, daemon=True).start()
sys.argv = ["ollama-openai-proxy", *sys.argv[1:]]
from ollama_openai_proxy.__main__ import main
sys.exit(main())
"""
BACKEND = {"OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1"}


def run(folder: Path, code: str, *arguments: str, **settings: str) -> str:
    environ = {"PATH": os.environ["PATH"], "PROXY_PORT": str(free_port()), "DRAIN_DELAY": "0", **settings}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  # our own command
    return done.stdout + done.stderr


def watched(folder: Path, *arguments: str, **settings: str) -> tuple[dict[str, Any], str]:
    written = run(folder, WATCHED, "serve", *arguments, **settings)
    return json.loads((folder / "seen.json").read_text()), written


def test_a_start_looks_for_no_garbage(tmp_path: Path) -> None:
    """G6: what imports make stays, and nothing looks through it before it is set aside."""
    seen, _ = watched(tmp_path, **BACKEND)
    assert seen["collections"] == 0


def test_garbage_is_collected_once_it_serves(tmp_path: Path) -> None:
    """G6: the start puts off the collector; the process that serves has it, in steps as small as Python's own.

    They are those through the middle generation: the new objects of all the looks between two of them, and of theirs.
    """
    seen, _ = watched(tmp_path, **BACKEND)
    assert seen["collects"]
    new, looks, _ = seen["thresholds"]
    assert 0 < new * (looks + 2) <= 2000 * (10 + 2)


def test_the_collector_leaves_alone_what_the_start_made(tmp_path: Path) -> None:
    """G6: tens of thousands of objects of imported modules are in no collection that holds up streams."""
    seen, _ = watched(tmp_path, **BACKEND)
    assert seen["frozen"] > 30_000


def test_a_start_builds_and_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    """G6: neither the models in which FastAPI describes an API, nor the embedded backend, which nobody asked for."""
    seen, _ = watched(tmp_path, **BACKEND)
    assert seen["built"] == []
    assert not [name for name in seen["imported"] if name.startswith("ollama_openai_proxy.demo")]


def test_models_that_are_put_off_are_built_when_they_are_used(tmp_path: Path) -> None:
    """G6: what is put off is not broken: a model of FastAPI's checks and dumps as ever."""
    code = """
from ollama_openai_proxy import cli
cli.main(["check"])
from fastapi.openapi.models import OpenAPI
print(OpenAPI.model_validate({"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}).info.title)
"""
    assert run(tmp_path, code, **BACKEND).splitlines()[-1] == "T"


def test_fastapi_exports_nothing_of_its_own(tmp_path: Path) -> None:
    """Only what the proxy's documents name decides what leaves the process: FastAPI's own variable does not."""
    asked = {"FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9"}
    seen, written = watched(tmp_path, "--demo", **asked)
    assert "FastAPI" not in written
    assert "opentelemetry.exporter.otlp.proto.http.metric_exporter" not in seen["imported"]


PLUGIN = "open('asked', 'w').close()\nclass Plugin:\n    def new_schema_validator(self, *_): return None, None, None\n"


def installed_plugin(folder: Path) -> dict[str, str]:
    """Install a plugin of pydantic's that leaves a file when it is loaded. Return the settings that make it known."""
    about = folder / "spy-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[pydantic]\nspy = spy:Plugin\n")
    (folder / "spy.py").write_text(PLUGIN)
    return {**BACKEND, "PYTHONPATH": str(folder)}


def test_plugins_of_pydantic_are_not_shown_the_settings(tmp_path: Path) -> None:
    """G6: nothing looks through what is installed for code that would be run with the settings, keys among them."""
    watched(tmp_path, **installed_plugin(tmp_path))
    assert not (tmp_path / "asked").exists()


def test_an_operator_may_want_plugins_of_pydantic(tmp_path: Path) -> None:
    """What the environment says of pydantic's plugins is left as it is."""
    watched(tmp_path, **installed_plugin(tmp_path), PYDANTIC_DISABLE_PLUGINS="another")
    assert (tmp_path / "asked").exists()

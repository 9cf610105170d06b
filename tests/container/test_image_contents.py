"""What is in the images that are deployed, seen from inside by the user that they run as."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx
import pytest

from support import engine

# What nobody needs to run the proxy, and whoever broke into it would like to find.
COMMANDS = {"pip", "pip3", "uv", "gcc", "cc", "as", "ld", "strip", "curl", "wget", "git"}
MODULES = {"pip", "ensurepip", "setuptools", "wheel", "pytest"}
# What there is of the base image, unless nothing is kept of it but what Python loads.
DISTRIBUTION = {"sh", "bash", "perl", "apt-get", "dpkg", "ls", "cat"}

LOOK = """
import json, os, stat
found = {"commands": set(), "modules": set(), "set_id": [], "writable": [], "uncompiled": [], "leftovers": []}
found["started"] = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for name in files + folders:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if os.path.basename(folder) in ("bin", "sbin"):
            found["commands"].add(name)
        if os.path.basename(folder) in ("python3.12", "site-packages"):
            found["modules"].add(name)
        if name.endswith(".pth") or name.partition(".")[0] in ("sitecustomize", "usercustomize"):
            found["started"].append(path)
        if not stat.S_ISLNK(mode):
            if stat.S_ISREG(mode) and mode & 0o6000:
                found["set_id"].append(path)
            if os.access(path, os.W_OK):
                found["writable"].append(path)
        if path.startswith("/app/"):
            cached = os.path.join(folder, "__pycache__", name[:-3] + ".cpython-312.pyc")
            if "/ollama_openai_proxy/" in path and name.endswith(".py") and not os.path.exists(cached):
                found["uncompiled"].append(path)
            if name.endswith((".pyx", ".pxd", ".pyi", ".h", ".c")) or name in ("tests", "test", ".cache"):
                found["leftovers"].append(path)
print(json.dumps(found, default=sorted))
"""


@pytest.fixture(scope="module")
def found(image: str) -> dict[str, list[str]]:
    return look(image)


def look(image: str) -> dict[str, list[str]]:
    seen = json.loads(engine.docker("run", "--rm", "--entrypoint=/usr/local/bin/python3", image, "-I", "-c", LOOK))
    assert isinstance(seen, dict)
    return seen


def test_nothing_to_build_or_fetch_with(found: dict[str, list[str]]) -> None:
    """G3: no pip, compiler, download tool or version control."""
    assert "python3" in found["commands"]
    assert not COMMANDS & set(found["commands"])
    assert not MODULES & set(found["modules"])


def test_no_leftovers(found: dict[str, list[str]]) -> None:
    """G3: neither tests nor sources of extension modules nor stubs are shipped."""
    assert found["leftovers"] == []


def test_m13_nothing_is_run_before_the_proxy(found: dict[str, list[str]]) -> None:
    """M13: there is no file, anywhere, that Python would run by itself at a start."""
    assert found["started"] == []


def test_distroless_has_no_shell(images: None) -> None:  # noqa: ARG001  # what it looks at is built
    """G3: the smaller image has no shell, perl or package manager: no command but Python and the proxy."""
    assert set(DISTRIBUTION) <= set(look(f"{engine.IMAGE}:prod")["commands"])
    python = {"python", "python3", "python3.12"}
    assert set(look(f"{engine.IMAGE}:distroless")["commands"]) == {*python, engine.IMAGE}


def test_no_file_gives_rights(found: dict[str, list[str]]) -> None:
    """G3: there are no setuid or setgid files."""
    assert found["set_id"] == []


def test_nothing_is_writable(found: dict[str, list[str]]) -> None:
    """G3, D17: the user can't change the code, nor anything but temporary files and the folders for data and logs."""
    own = ("/var/lib/ollama-openai-proxy", "/var/log/ollama-openai-proxy")
    places = ("/tmp", "/var/tmp", "/run/lock", *own)  # noqa: S108  # of the image
    assert [path for path in found["writable"] if not path.startswith(places)] == []


def test_the_proxy_is_compiled(found: dict[str, list[str]]) -> None:
    """G6, D15: the bytecode of each module of the proxy was made in the build."""
    assert found["uncompiled"] == []


PACKAGES = """
import base64, hashlib, importlib.metadata as metadata, json
found = {}
for distribution in metadata.distributions():
    for file in distribution.files:
        path = file.locate()
        if file.hash:
            digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, path.read_bytes()).digest()).decode()
            assert digest.rstrip("=") == file.hash.value, path
        elif file.suffix != ".pyc":
            assert path.exists(), path
    found[distribution.name.lower().replace("_", "-")] = distribution.version
print(json.dumps(found))
"""


def inside(image: str, code: str) -> Any:
    return json.loads(engine.docker("run", "--rm", "--entrypoint=/app/bin/python", image, "-c", code))


def locked() -> dict[str, str]:
    """What uv.lock gives whoever runs the proxy with traces on Linux: name and version."""
    uv = output("python3", "scripts/bootstrap.py", "--uv")
    options = ("--quiet", "--frozen", "--no-default-groups", "--extra=otel", "--no-emit-project", "--no-hashes")
    lines = output(uv, "export", *options, "--no-annotate", "--no-header").splitlines()
    return dict(line.partition(" ;")[0].split("==") for line in lines if "== 'win32'" not in line)


def output(*command: str) -> str:
    done = subprocess.run(command, cwd=engine.ROOT, capture_output=True, text=True, check=True)  # noqa: S603  # our own tools
    return done.stdout.strip()


def test_packages_are_what_the_lock_says(image: str) -> None:
    """G4, G16, D19: each package of the lock, no other, in the version of the lock; its files are those it lists."""
    packages = inside(image, PACKAGES)
    assert packages.pop(engine.IMAGE) == engine.version()
    assert packages == locked()


def test_user_has_a_name(image: str) -> None:
    """The number that the image runs as has a name, and no shell to log in to."""
    code = "import json, os, pwd; print(json.dumps([os.getuid(), os.getgid(), *pwd.getpwuid(os.getuid())]))"
    seen = inside(image, code)
    assert seen[:3] == [1000, 1000, "appuser"]
    assert seen[-1] == "/usr/sbin/nologin"


def test_certificates_are_there(image: str) -> None:
    """A backend behind TLS is checked against the authorities of the base image."""
    assert inside(image, "import ssl; print(len(ssl.create_default_context().get_ca_certs()))") > 50


# Lines that Python writes when it imports: what was read, from bytecode or from a source.
READ = "# code object from "
HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("traced", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}], ids=["plain", "traced"])
def test_nothing_is_compiled_when_it_runs(image: str, traced: dict[str, str]) -> None:
    """G6, D15: all that is imported comes from bytecode: the proxy, its dependencies, the standard library."""
    with engine.container(
        image, "serve", "--demo", "--rate=0", PYTHONVERBOSE="1", LOG_FORMAT="text", **traced
    ) as proxy:
        proxy.wait_ready()
        for body in (HELLO, {**HELLO, "stream": False}, {**HELLO, "model": "missing"}, {"messages": 1}):
            httpx.post(f"{proxy.url}/api/chat", json=body, timeout=30)
        httpx.get(f"{proxy.url}/metrics", timeout=30)
        proxy.signal("TERM")
        assert proxy.wait() == 0
        read = [line for line in proxy.logs().splitlines() if line.startswith(READ)]
    assert len(read) > 300
    assert [line for line in read if not line.endswith((".pyc'", ".pyc"))] == []

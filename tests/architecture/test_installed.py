"""M13: what is installed is what packages brought, and nothing is run before the program (docker/build/verify.py)."""

from __future__ import annotations

import base64
import hashlib
import py_compile
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from architecture.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = sorted(line.partition(">=")[0] for line in PROJECT["project"]["dependencies"])
# What tools add to environments in which code is written: pip and uv for a project in place, uv and pytest-cov.
TOOLS = ("_editable_impl_ollama_openai_proxy", "_virtualenv", "a1_coverage")
FILES = {"package/__init__.py": b"VALUE = 1\n", "package/data.txt": b"data", "module.py": b""}


def verify(environment: Path, *options: str) -> tuple[int, str]:
    """Return the exit status and what was said."""
    command = [sys.executable, str(ROOT / "docker" / "build" / "verify.py"), str(environment), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # our own script
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The packages of an environment with one package, as an installer leaves it."""
    folder = tmp_path / "lib" / "python3.12" / "site-packages"
    record = folder / "package-1.0.dist-info" / "RECORD"
    rows = []
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append(f"{name},sha256={digest},{len(content)}\n")
    record.parent.mkdir()
    record.write_text("".join((*rows, f"{record.relative_to(folder)},,\n")), encoding="utf-8")
    return folder


def compiled(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), str(target), doraise=True, invalidation_mode=mode)


def test_m13_what_packages_brought_passes(site: Path, tmp_path: Path) -> None:
    """M13: files as their package lists them, and bytecode that was made of them, are right."""
    cache = site / "package" / "__pycache__"
    compiled(site / "package" / "__init__.py", cache / "__init__.cpython-312.pyc")
    assert verify(tmp_path)[0] == 0


@pytest.mark.parametrize(
    "name",
    [
        *("evil.pth", "package/evil.pth", "sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py"),
        *(
            "usercustomize.pyc",
            "sitecustomize.cpython-312-x86_64-linux-gnu.so",
            "__pycache__/sitecustomize.cpython-312.pyc",
        ),
    ],
)
def test_m13_what_python_runs_by_itself_fails(site: Path, tmp_path: Path, name: str) -> None:
    """M13: a file that is run at each start is found, whatever its form."""
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_bytes(b"import os\n")
    status, said = verify(tmp_path)
    assert status == 1
    assert f"{name}: would be run at each start" in said


def test_m13_even_if_a_package_lists_it(site: Path, tmp_path: Path) -> None:
    """M13: the stolen package did list its `.pth`, with the right digest."""
    content = b"import os\n"
    (site / "evil.pth").write_bytes(content)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    with (site / "package-1.0.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
        record.write(f"evil.pth,sha256={digest},{len(content)}\n")
    assert verify(tmp_path)[0] == 1
    assert verify(tmp_path, "--allow=evil")[0] == 0


@pytest.mark.parametrize("name", FILES)
def test_m13_a_changed_file_fails(site: Path, tmp_path: Path, name: str) -> None:
    """M13: one byte more than the package brought is found."""
    with (site / name).open("ab") as file:
        file.write(b"#")
    status, said = verify(tmp_path)
    assert status == 1
    assert f"{name}: is not what its package brought" in said


def test_m13_a_missing_and_an_added_file_fail(site: Path, tmp_path: Path) -> None:
    """M13: what a package lists is there, and nothing that none lists."""
    (site / "module.py").unlink()
    (site / "package" / "more.py").write_bytes(b"")
    (site / "package" / "sourceless.pyc").write_bytes(b"")
    _, said = verify(tmp_path)
    assert "module.py: is gone" in said
    assert "package/more.py: is in no package's RECORD" in said
    assert "package/sourceless.pyc: is in no package's RECORD" in said


def test_m13_bytecode_of_another_source_fails(site: Path, tmp_path: Path) -> None:
    """M13: Python runs bytecode without a look at the source: it must be of that, and of one that is there."""
    other = tmp_path / "other.py"
    other.write_bytes(b"VALUE = 2\n")
    compiled(other, site / "package" / "__pycache__" / "__init__.cpython-312.pyc")
    compiled(other, site / "package" / "__pycache__" / "gone.cpython-312.pyc")
    _, said = verify(tmp_path)
    assert "__init__.cpython-312.pyc: is compiled from another source" in said
    assert "gone.cpython-312.pyc: is compiled from no source that a package lists" in said


def test_m13_this_environment() -> None:
    """M13: what the proxy is tested with is what its dependencies brought; only known tools run at a start."""
    options = [*(f"--allow={name}" for name in TOOLS), *(f"--package={name}" for name in DEPENDENCIES)]
    status, said = verify(Path(sys.prefix), *options)
    assert status == 0, said


def test_m13_images_are_checked() -> None:
    """M13: the build looks at what came before anything is taken out of it, and at all of it in the end."""
    steps = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert steps.count("python docker/build/verify.py /app") == 2
    assert steps.index("docker/build/verify.py") < steps.index("docker/build/slim.py")


def test_proposed_versions_are_a_week_old() -> None:
    """4.3: what was published within the last days is not proposed: what was stolen is mostly found by then."""
    dependabot = (ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8")
    assert dependabot.count("package-ecosystem:") == dependabot.count("default-days: 7")


def test_everything_is_locked_with_its_hash() -> None:
    """4.3: each file that may be installed is known by its digest, and comes from an index, never from a repository."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    packages = [package for package in lock["package"] if "registry" in package["source"]]
    assert len(packages) == len(lock["package"]) - 1  # that is the proxy
    files = [
        file
        for package in packages
        for file in (*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else []))
    ]
    assert files
    assert all(file["hash"].startswith("sha256:") for file in files)


def test_few_packages_run() -> None:
    """4.3: what the proxy depends on directly is twelve packages at most."""
    assert len(DEPENDENCIES) <= 12

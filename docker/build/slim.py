"""Take from an environment what no running program reads, and compile what the proxy may import.

    slim.py ENVIRONMENT

Goes: debug symbols, sources and headers of extension modules, type stubs, tests, the commands of dependencies, and the
READMEs in their METADATA. Each package's RECORD names what stays, so that whoever lists or verifies packages finds what
there is.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
from pathlib import Path

from trees import compile_all, files, settle

# Below site-packages. One that matches nothing is out of date and fails the build.
DEAD = (
    "*.h",
    "*.proto",
    "*.pxd",
    "*.pxi",
    "*.pyi",
    "*.pyx",
    "_testcapi.*.so",
    "certifi/tests/*",
    "protobuf/testdata/*",
)
# Modules that the proxy never imports, by how their paths begin. They stay, but without bytecode, of which they have a
# third. One that matches nothing fails the build, too. If one is imported after all, Python compiles it at each start,
# and says so with PYTHONVERBOSE=1: "code object from" its source.
UNUSED = (
    "aiohttp/_websocket/reader_py.py",
    "aiohttp/pytest_plugin.py",
    "aiohttp/test_utils.py",
    "aiohttp/web",
    "aiohttp/worker.py",
    "anyio/_backends/_trio.py",
    "anyio/_core/_fileio.py",
    "anyio/_core/_tempfile.py",
    "anyio/itertools.py",
    "anyio/pytest_plugin.py",
    "anyio/to_interpreter.py",
    "anyio/to_process.py",
    "charset_normalizer/cli/",
    "click/_termui_impl.py",
    "click/_winconsole.py",
    "click/shell_completion.py",
    "click/testing.py",
    "dotenv/cli.py",
    "google/api/",
    "google/longrunning/",
    "google/protobuf/descriptor_pb2.py",
    "google/protobuf/json_format.py",
    "google/rpc/",
    "google/type/",
    "h11/",
    "multidict/_multidict_py.py",
    "opentelemetry/exporter/otlp/proto/common/_internal/metrics_encoder/",
    "opentelemetry/exporter/otlp/proto/http/_log_exporter/",
    "opentelemetry/exporter/otlp/proto/http/metric_exporter/",
    "opentelemetry/sdk/_configuration/",
    "opentelemetry/sdk/_logs/",
    "opentelemetry/sdk/metrics/",
    "opentelemetry/sdk/trace/_sampling_experimental/",
    "opentelemetry/semconv/_incubating/attributes/gen_ai",
    "opentelemetry/semconv/_incubating/attributes/k8s",
    "opentelemetry/semconv/_incubating/metrics/hw",
    "opentelemetry/semconv/_incubating/metrics/k8s",
    "opentelemetry/semconv/_incubating/metrics/system",
    "opentelemetry/semconv/trace/",
    "prometheus_client/openmetrics/parser.py",
    "prometheus_client/parser.py",
    "pydantic/deprecated/",
    "pydantic/experimental/",
    "pydantic/mypy.py",
    "pydantic/v1/",
    "starlette/middleware/cors.py",
    "starlette/middleware/gzip.py",
    "starlette/middleware/wsgi.py",
    "starlette/testclient.py",
    "urllib3/contrib/emscripten/",
    "urllib3/contrib/pyopenssl.py",
    "urllib3/http2/connection.py",
    "uvicorn/protocols/http/h11_impl.py",
    "uvicorn/protocols/http/zttp",
    "uvicorn/protocols/websockets/",
    "uvloop/_testbase.py",
)
# A virtual environment's own, beside pyvenv.cfg.
KEPT_COMMANDS = ("python", "python3", "python3.12")


def main(environment: Path) -> None:
    (site,) = environment.glob("lib/python3.*/site-packages")
    before = _size(site)
    removed = _remove_dead(site) + _remove_commands(environment)
    libraries = [path for path in files(site) if path.suffix == ".so"]
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)
    for metadata in site.glob("*.dist-info/METADATA"):
        head, _, _ = metadata.read_text(encoding="utf-8").partition("\n\n")
        metadata.write_text(head + "\n", encoding="utf-8")
    compiled = compile_all(_used(site))
    for record in sorted(site.glob("*.dist-info/RECORD")):
        record.write_text(_corrected(record.read_text(encoding="utf-8"), site), encoding="utf-8")
    settle(environment)
    stripped = len(libraries)
    print(f"slim: {removed} removed, {stripped} stripped, {compiled} compiled: {before} -> {_size(site)} bytes")


def _remove_dead(site: Path) -> int:
    dead = {pattern: [path for path in files(site) if path.match(pattern)] for pattern in DEAD}
    if unmatched := [pattern for pattern, paths in dead.items() if not paths]:
        sys.exit(f"slim: nothing matches {', '.join(unmatched)}")
    paths = {path for some in dead.values() for path in some}
    for path in paths:
        path.unlink()
    for folder in sorted({path.parent for path in paths}, reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(paths)


def _used(site: Path) -> list[Path]:
    modules = {path.relative_to(site).as_posix(): path for path in files(site) if path.suffix == ".py"}
    if unmatched := [start for start in UNUSED if not any(name.startswith(start) for name in modules)]:
        sys.exit(f"slim: nothing begins with {', '.join(unmatched)}")
    return [path for name, path in modules.items() if not name.startswith(UNUSED)]


def _remove_commands(environment: Path) -> int:
    own = {"lib", "lib64", "bin", "pyvenv.cfg"}
    dead = [path for path in environment.iterdir() if path.name not in own]
    dead += [path for path in (environment / "bin").iterdir() if path.name not in KEPT_COMMANDS]
    for path in dead:
        path.unlink()
    return len(dead)


def _corrected(record: str, site: Path) -> str:
    """Return a RECORD without the files that are gone, and with the digests of those that changed."""
    rows = io.StringIO()
    for name, digest, size in csv.reader(io.StringIO(record)):
        path = site / name
        if path.exists() and (path.suffix == ".so" or path.name == "METADATA"):
            content = path.read_bytes()
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            csv.writer(rows, lineterminator="\n").writerow((name, f"sha256={sha256}", len(content)))
        elif path.exists():
            csv.writer(rows, lineterminator="\n").writerow((name, digest, size))
    return rows.getvalue()


def _size(root: Path) -> int:
    return sum(path.lstat().st_size for path in files(root))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

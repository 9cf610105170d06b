"""A Prometheus and an Alertmanager with the files of monitoring/, and something for Prometheus to scrape."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from monitoring.tools import MONITORING, RULES, load
from ollama_openai_proxy.observe.metrics import Metrics
from support.processes import answers, free_port, running


@contextmanager
def running_prometheus(folder: Path, metrics_url: str) -> Iterator[str]:
    """Run Prometheus with monitoring/prometheus.yml, but each second, on this URL of metrics; yields its own URL.

    The URL may be that of the tests' own server or of a proxy.
    """
    target = urlsplit(metrics_url)
    config = load(MONITORING / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    del config["alerting"]
    scraped = config["scrape_configs"][0]
    scraped["static_configs"] = [{"targets": [target.netloc]}]
    scraped["metrics_path"] = target.path
    written = _write(folder, "prometheus", config)
    port = free_port()
    options = (f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")
    with _running(folder, "prometheus", f"--config.file={written}", *options, port=port) as url:
        yield url


@contextmanager
def running_alertmanager(folder: Path) -> Iterator[str]:
    """Run Alertmanager with monitoring/alertmanager.yml, whose receivers tell nobody; yields its URL."""
    config = load(MONITORING / "alertmanager.yml")
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    written = _write(folder, "alertmanager", config)
    port = free_port()
    options = (f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}")
    alone = "--cluster.listen-address="
    with _running(folder, "prometheus-alertmanager", f"--config.file={written}", *options, alone, port=port) as url:
        yield url


@contextmanager
def serving(metrics: Metrics) -> Iterator[str]:
    """Serve these metrics; yields their URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = metrics.render(self.headers.get("Accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that http.server gives it
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join(timeout=10)


def get(url: str, path: str, **parameters: str) -> Any:
    """What one of them answers."""
    reply = httpx.get(url + path, params=parameters, timeout=10, trust_env=False)
    assert reply.status_code == 200, reply.text
    return reply.json()


def query(prometheus_url: str, expression: str) -> list[dict[str, Any]]:
    """The series that Prometheus has for an expression, now."""
    found: list[dict[str, Any]] = get(prometheus_url, "/api/v1/query", query=expression)["data"]["result"]
    return found


def _write(folder: Path, name: str, config: Any) -> Path:
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@contextmanager
def _running(folder: Path, *command: str, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, {}, lambda _log: answers(f"{url}/-/ready")):
        yield url

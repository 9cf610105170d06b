"""M3 to M6: what is private, forged or without end reaches no log, figure, description or error."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request, Response

from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.observe.log_json import MAX_LINE, JsonLines
from ollama_openai_proxy.observe.log_text import TextLines
from ollama_openai_proxy.serve.server import serving
from support.command import PROMPTLY, parsed, run, served
from support.proxy import Proxy, chat, proxied, running_proxy, sealed
from support.rawclient import RawClient
from support.replies import DONE, HI, SSE, body, finish, usage
from support.replies import text as delta
from support.scripted import Chunk, End, Upstream

KEY = "sk-canary-of-the-backend"
CLIENT = "canary-of-a-client-0123456789"
PROMPT = "canary-of-a-prompt"


@contextmanager
def written(*formatters: logging.Formatter) -> Iterator[list[str]]:
    """Collect each line that is logged, in each form."""
    lines: list[str] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.extend(formatter.format(record) for formatter in formatters)

    root, handler = logging.getLogger(), Collecting()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def test_m3_settings_show_no_key() -> None:
    """M3: neither the settings nor the application, in any form that Python prints, hold a key."""
    settings = sealed(openai_api_base_url="http://h/v1", openai_api_key=KEY, proxy_api_key=CLIENT)
    app = create_app(settings)
    parts = [settings, app, *vars(app.state).get("_state", {}).values(), *vars(settings).values()]
    shown = [text for part in parts for text in (repr(part), str(part), f"{part}")]
    shown += [str(settings.model_dump()), settings.model_dump_json(), str(settings.model_dump(mode="json"))]
    for text in shown:
        assert KEY not in text
        assert CLIENT not in text


@pytest.mark.parametrize("command", ["check", "serve"])
def test_m3_a_key_in_the_url_is_refused(tmp_path: Path, command: str) -> None:
    """M3: credentials in the base URL end the start with a line that does not hold them, nor the rest of the URL."""
    done = run(tmp_path, command, OPENAI_API_BASE_URL=f"http://user:{KEY}@127.0.0.1:1/v1", LOG_LEVEL="debug")
    assert done.returncode != 0
    assert KEY not in done.stdout + done.stderr
    assert "OPENAI_API_BASE_URL" in done.stdout + done.stderr


@pytest.mark.parametrize("status", [200, 401, 500])
async def test_m3_check_shows_no_key(tmp_path: Path, status: int) -> None:
    """M3: what `check` prints holds no key, whatever the backend answers with it in its words."""
    async with Upstream() as upstream:
        upstream.script("m", (SSE, Chunk(delta(KEY) + finish() + usage() + DONE), End()))
        if status > 200:
            upstream.script(
                "/v1/models", body({"error": {"message": f"no: {KEY} ({KEY})"}}, status, "Connection: close")
            )
        settings = {"OPENAI_API_BASE_URL": upstream.url, "OPENAI_API_KEY": KEY, "LOG_LEVEL": "debug"}
        done = await asyncio.to_thread(run, tmp_path, "check", **settings)
        assert len(upstream.posts) == (status == 200)
    assert done.returncode == (0 if status == 200 else 1)
    assert KEY not in done.stdout + done.stderr


async def test_m4_a_crash_shows_no_prompt() -> None:
    """M3, M4: of a failure of our own, the log has the place, and the client a word; nobody has what it was about."""
    settings = sealed(openai_api_base_url="http://127.0.0.1:1/v1", openai_api_key=KEY)
    app = create_app(settings)

    async def crash(request: Request) -> Response:
        prompt, secret = (await request.body()).decode(), settings.api_key
        answers: dict[str, str] = {}
        try:
            return Response(answers[prompt])
        except KeyError as error:
            raise ValueError(f"{prompt} {secret}") from error

    app.add_api_route("/crash", crash, methods=["POST"])
    with written(JsonLines(), TextLines(colour=False)) as lines:
        async with serving(app, app.state.lifecycle) as url, RawClient(url) as client:
            await client.ask("POST", "/crash", PROMPT.encode(), f"Authorization: Bearer {CLIENT}", f"Cookie: {CLIENT}")
            response = await client.response()
    assert response.status == 500
    told = "\n".join((*lines, str(response.headers), response.body.decode()))
    assert "test_canaries.py" in told
    assert "ValueError" in told
    for private in (PROMPT, KEY, CLIENT):
        assert private not in told


PAGES = ("/metrics", "/health", "/live", "/ready", "/docs", "/openapi.json", "/api/ps", "/api/version", "/nothing", "/")


async def test_m3_m4_pages_and_errors_show_nothing() -> None:
    """M3, M4: no page, no header and no error holds a key or a prompt, whatever the backend's errors quote of them."""
    quoted = {"error": {"message": f"bad key {KEY} for {KEY}: x", "metadata": {"raw": KEY, "headers": {"key": KEY}}}}
    private = (
        f"Authorization: Bearer {CLIENT}",
        f"Cookie: a={CLIENT}",
        f"X-Api-Key: {CLIENT}",
        f"X-Request-Id: {CLIENT} x",
    )
    async with Upstream() as upstream, running_proxy(upstream.url, openai_api_key=KEY, api_docs=True) as url:
        proxy, told = Proxy(url, upstream), list[str]()
        for status in (400, 401, 403, 404, 422, 429, 500, 503):
            upstream.script("m", body(quoted, status, f"X-Key: {KEY}", "Content-Type: application/json"))
            for path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"):
                given: dict[str, Any] = {
                    "model": "m",
                    "prompt": PROMPT,
                    "input": PROMPT,
                    "messages": [{"role": "user", "content": PROMPT}],
                }
                response = await proxy.ask("POST", path, given, *private)
                told.append(f"{response.headers} {response.body.decode()}")
        for page in PAGES:
            response = await proxy.ask("GET", page, None, *private)
            told.append(f"{response.headers} {response.body.decode()}")
        sent = [str(request.headers) for request in upstream.requests]
    for text in told:
        assert not [canary for canary in (KEY, PROMPT, CLIENT) if canary in text], text
    assert not [headers for headers in sent if CLIENT in headers]


HOSTILE = (
    'm\r\n{"level":"INFO","message":"forged"}',
    "m\x1b[2J\x1b]0;title\x07",
    "m\u2028\u2029\u0085{}",
    'm","outcome":"ok","x":"',
    "m\x00\x7f\u202e",
    "m" * 2**20,
)


@pytest.mark.parametrize("form", ["json", "text"])
async def test_m5_nobody_forges_a_line(tmp_path: Path, form: str) -> None:
    """M5: whatever a model, a path, a header or a backend's error holds, each line is one of ours, whole and short."""
    async with Upstream() as upstream:
        settings: dict[str, Any] = {
            "OPENAI_API_BASE_URL": upstream.url,
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": form,
            "DRAIN_DELAY": "0",
        }
        starting = served(tmp_path, "serve", **settings)
        proxy = await asyncio.to_thread(starting.__enter__)
        try:
            for text in HOSTILE:
                await provoke(proxy.url, upstream, text)
            proxy.process.terminate()
            await asyncio.to_thread(proxy.process.wait, PROMPTLY)
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
    assert "Traceback" not in proxy.out + proxy.err
    raw = (tmp_path / "out").read_bytes() + (tmp_path / "err").read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80[\xa8\xa9\xae]|\xc2\x85", raw)
    lines = raw.decode().split("\n")[:-1]
    assert max(map(len, lines)) <= MAX_LINE
    assert not [line for line in lines if line.startswith('{"level":"INFO","message":"forged"}')]
    if form == "json":
        assert not [line for line in parsed(raw.decode()) if line["message"] == "forged"]


async def provoke(url: str, upstream: Upstream, text: str) -> None:
    """Put the text wherever it may be logged."""
    upstream.script("m", body({"error": {"message": text}}, 500))
    header = re.sub(r"[\r\n\x00]", "", text)[:4000].encode("utf-8").decode("latin-1")
    path = "/" + "".join(f"%{byte:02x}" for byte in text[:500].encode())
    asked: list[tuple[str, str, object, tuple[str, ...]]] = [
        ("POST", "/api/chat", chat(text), ()),
        ("POST", "/api/chat", chat("m"), ()),
        ("POST", "/api/show", {"model": text}, ()),
        ("GET", path, None, ()),
        ("GET", "/api/version", None, (f"User-Agent: {header}", f"X-Request-Id: {header}", f"Referer: {header}")),
        ("GET", "/api/version", None, (f"Host: {header[:200]}",)),
    ]
    for method, where, content, headers in asked:
        async with RawClient(url) as client:
            await client.ask(method, where, content, *headers, "Connection: close")
            await client.read_to_end()


def series(page: bytes) -> set[str]:
    """The series on a page, without their values."""
    return {line.rpartition(" ")[0] for line in page.decode().splitlines() if line and not line.startswith("#")}


async def test_m6_figures_do_not_grow() -> None:
    """M6: after thousands of made-up models, paths, methods, hosts and agents there is no series more."""
    made = random.Random(6)  # noqa: S311  # names that nobody guesses are not what is wanted
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        methods = ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST")
        async with proxy.client() as client:

            async def round_of_all(name: str) -> None:
                for method, path, content in (
                    ("POST", "/api/chat", chat(name)),
                    ("POST", "/api/embed", {"model": name, "input": "x"}),
                    ("GET", f"/{name}/x", None),
                    (made.choice(methods), "/api/tags", None),
                    ("GET", f"/api/tags?{name}", None),
                ):
                    await client.ask(method, path, content, f"User-Agent: {name}", f"X-Request-Id: {name}")
                    await client.response()

            for _ in range(50):
                await round_of_all("n0123456789")
            before = series((await proxy.ask("GET", "/metrics")).body)
            for _ in range(400):
                await round_of_all(f"n{made.getrandbits(64):x}")
            after = series((await proxy.ask("GET", "/metrics")).body)
    assert len(after) == len(before)
    assert not [name for name in after if re.search(r"n[0-9a-f]{10}", name)]


async def test_m6_statuses_and_models_of_a_backend_are_limited() -> None:
    """M6: a backend of many models and many statuses makes no more series than there are labels for."""
    async with proxied() as proxy:
        for status in (400, 402, 418, 451, 499, 500, 520, 599):
            proxy.upstream.script("m", body({"error": "x"}, status))
            await proxy.chat()
        before = series((await proxy.ask("GET", "/metrics")).body)
        for status in range(400, 600, 7):
            proxy.upstream.script("m", body({"error": "x"}, status))
            await proxy.chat()
        after = series((await proxy.ask("GET", "/metrics")).body)
    statuses = {match[1] for name in after if (match := re.search(r'status="(\w+)"', name))}
    assert len(after) - len(before) <= 60
    assert len(statuses) <= 40


def test_m3_a_log_line_of_settings() -> None:
    """M3: settings that are logged by mistake, as an argument or as a field, are shown without the keys."""
    settings = sealed(openai_api_base_url="http://h/v1", openai_api_key=KEY, proxy_api_key=CLIENT)
    with written(JsonLines(), TextLines(colour=False)) as lines:
        logging.getLogger("ollama_openai_proxy").info("settings: %s", settings, extra={"settings": settings})
    assert len(lines) == 2
    assert not [line for line in lines if KEY in line or CLIENT in line]
    json.loads(lines[0])

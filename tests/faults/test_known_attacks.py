"""Attacks that have a number elsewhere (matrix 4.6), each tried on this proxy over the wire."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest

from support.proxy import HELLO, KEY, Proxy, chat, proxied
from support.replies import HI, body, completion
from support.scripted import Close, Send, Step

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
DIGEST = f"sha256:{'0' * 64}"


class Trap:
    """A listener that nobody has a reason to connect to."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def taken(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def trapped(**settings: Any) -> AsyncIterator[tuple[Proxy, Trap]]:
    """Serve the proxy, and check that the block lets nobody connect to anything but the backend."""
    trap = Trap()
    listener = await asyncio.start_server(trap.taken, "127.0.0.1", 0)
    trap.port = listener.sockets[0].getsockname()[1]
    async with listener, proxied(**settings) as proxy:
        proxy.upstream.script("m", HI)
        yield proxy, trap
    assert trap.connections == 0


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:11434", "127.0.0.1.evil.example", "localhost.evil.example"]
)
async def test_a9_a_name_rebound_to_this_address(host: str) -> None:
    """A9: CVE-2024-28224: a page whose name now leads here is refused, and the backend is not asked."""
    async with proxied() as proxy:
        asked = len(proxy.upstream.requests)
        for method, path, content in (
            ("GET", "/api/tags", None),
            ("POST", "/api/chat", chat()),
            ("POST", "/api/pull", {}),
        ):
            response = await proxy.ask(method, path, content, f"Host: {host}")
            assert response.status == 403
            assert response.body == b""
        assert len(proxy.upstream.requests) == asked


TRAVERSALS = [
    *("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", f"{DIGEST}/../../x", f"{DIGEST}%00"),
    *("sha256-" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "g" * 64, "sha512:" + "0" * 64, "%00", f"{DIGEST}%0a"),
    *(f"{DIGEST}\\..\\x", "sha256:" + "\u0660" * 64, f" {DIGEST}", "latest", "....//....//etc/passwd"),
]


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_b8_a_digest_that_is_a_path(method: str) -> None:
    """B8: CVE-2024-37032: whatever is no digest is refused, or is no route; nothing of a file is answered."""
    async with proxied() as proxy:
        for digest in TRAVERSALS:
            path = "/api/blobs/" + "".join(sign if sign.isascii() else "%D9%A0" for sign in digest).replace(" ", "%20")
            response = await proxy.ask(method, path, b"x" if method == "POST" else None)
            assert response.status in (307, 400, 404, 405), digest
            assert b"root:" not in response.body, digest
            if response.status == 307:  # the same path without its dots, of this server
                assert (response.header("location") or "").startswith("/"), digest
            if response.status == 400 and method == "POST":
                assert response.body == b'{"error":"invalid digest format"}', digest


def managing(url: str) -> list[tuple[str, str, dict[str, Any]]]:
    """A request to each route that manages models, with a place elsewhere in each field that could name one."""
    host = url.removeprefix("http://")
    names = [f"{url}/library/m", f"{host}/library/m:latest", f"{url}", f"http://u:p@{host}/a/b", f"{host}/a/b@{DIGEST}"]
    requests: list[tuple[str, str, dict[str, Any]]] = []
    for name in names:
        given = {"model": name, "name": name, "insecure": True, "username": "u", "password": "p", "registry": url}
        requests += [("POST", path, given) for path in ("/api/pull", "/api/push", "/api/show", "/api/create")]
        requests += [("DELETE", "/api/delete", given), ("POST", "/api/copy", {"source": name, "destination": name})]
        requests += [
            ("POST", "/api/create", {"model": "x", key: name}) for key in ("from", "path", "modelfile", "remote_host")
        ]
        more = {"remote_host": url, "adapters": {url: DIGEST}, "files": {"a": name}, "path": name}
        requests.append(("POST", "/api/create", {"model": "x", "from": "m", **more}))
        requests.append(("POST", "/api/create", {"model": "x", "from": name, "template": url, "license": url}))
    return requests


@pytest.mark.parametrize("enabled", [True, False])
async def test_b9_management_reaches_nobody(enabled: bool) -> None:
    """B9: CVE-2026-5530, CVE-2026-7482: no field of any route that manages models makes the proxy connect anywhere."""
    async with trapped(management_enabled=enabled) as (proxy, trap):
        for method, path, given in managing(trap.url):
            response = await proxy.ask(method, path, given)
            last = json.loads(response.body.splitlines()[-1])
            assert "error" in last, (path, given)
        await proxy.ask("POST", f"/api/blobs/{DIGEST}", b"weights")


# What LiteLLM, its clients and OpenAI's SDK call where to go, and with which key.
ELSEWHERE = (
    *("api_base", "base_url", "api_key", "azure_endpoint", "endpoint", "host", "proxy", "url", "registry", "key"),
    *("custom_llm_provider", "user_config", "litellm_params", "extra_headers", "headers", "extra_body", "extra_query"),
    *("organization", "deployment_id", "aws_bedrock_runtime_endpoint", "vertex_location", "callbacks", "fallbacks"),
)


async def test_b10_a_request_names_its_own_backend() -> None:
    """B10: CVE-2024-6587: wherever a request wants to go, it goes to the backend, with the backend's key."""
    async with trapped() as (proxy, trap):
        values = (trap.url, {"api_base": trap.url, "Authorization": "stolen"})
        for field, value in product(ELSEWHERE, values):
            for given in ({field: value}, {"options": {field: value}}):
                response = await proxy.chat(**given)
                assert response.status in (200, 400), given
        for request in proxy.upstream.posts:
            assert request.headers["authorization"] == f"Bearer {KEY}"
            assert str(trap.port).encode() not in request.body
            assert "stolen" not in str(request.headers)


def places(url: str) -> list[str]:
    port = url.rpartition(":")[2]
    return [
        *(
            f"{url}/x.png",
            f"http://0x7f000001:{port}/",
            f"http://2130706433:{port}/",
            f"http://[::ffff:127.0.0.1]:{port}/",
        ),
        *(f"http://a@127.0.0.1:{port}/", f"http://127.0.0.1:{port}\\@good.example/", f"//127.0.0.1:{port}/"),
        *("file:///etc/passwd", "gopher://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "ftp://h/x"),
        *(f"data:text/uri-list;base64,{base64.b64encode(url.encode()).decode()}", f" {url}", f"{url}#data:image/png"),
    ]


async def test_b11_an_image_that_is_a_url() -> None:
    """B11: CVE-2026-24779: an image by URL, in whatever spelling and field, is refused: neither fetched nor sent on."""
    async with trapped() as (proxy, trap):
        for place in places(trap.url):
            for content in ({"images": [place]}, {"images": [PNG, place]}):
                response = await proxy.ask(
                    "POST", "/api/chat", {"model": "m", "messages": [{"role": "user", **content}]}
                )
                assert response.status == 400, (place, content)
            parts = [{"type": "image_url", "image_url": {"url": place}}]
            response = await proxy.ask(
                "POST", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": parts}]}
            )
            assert response.status == 400
            response = await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "x", "images": [place]})
            assert response.status == 400
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("kind", ["video/jpeg", "video/mp4", "image/png", "application/octet-stream"])
async def test_b12_frames_without_end(kind: str) -> None:
    """B12: CVE-2026-5497: a `data:` URL of many frames is no base64, and is refused before anything is decoded."""
    frames = ",".join([PNG] * 10_000)
    async with proxied() as proxy:
        message = {"role": "user", "content": "x", "images": [f"data:{kind};base64,{frames}"]}
        assert (await proxy.ask("POST", "/api/chat", {"model": "m", "messages": [message]})).status == 400
        assert proxy.upstream.posts == []


async def test_a15_a_bomb_of_zeros() -> None:
    """A15: GO-2025-3548: a packed body larger than the limit once unpacked is refused, whatever it weighs packed."""
    async with proxied(max_body_size=1024 * 1024) as proxy:
        packed = gzip.compress(json.dumps(chat()).encode() + bytes(64 * 1024 * 1024))
        assert len(packed) < 100_000
        response = await proxy.ask("POST", "/api/chat", packed, "Content-Encoding: gzip")
        assert response.status in (400, 413, 415)
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("status", [401, 407, 403])
async def test_e11_e17_a_realm_that_asks_for_the_key(status: int) -> None:
    """E11, E17: GO-2025-3824: where a backend says that tokens are to be had, nobody goes, and no client is told."""
    async with trapped() as (proxy, trap):
        realm = f'WWW-Authenticate: Bearer realm="{trap.url}/token",service="x",scope="repository:m:pull"'
        more = (f"Proxy-Authenticate: Basic realm={trap.url}", f"Location: {trap.url}", f"Link: <{trap.url}>; rel=next")
        proxy.upstream.script("m", body({"error": "no"}, status, realm, *more))
        response = await proxy.chat()
        assert response.status >= 400
        assert str(trap.port) not in str(response.headers)
        assert len(proxy.upstream.posts) == 1


REACHES = [
    *(
        "{{ .Messages.__class__ }}",
        "{{ .__init__.__globals__ }}",
        "{{ .System.format }}",
        "{{ (index .Messages 0).Role.__class__ }}",
    ),
    *(
        "{{ .Prompt.__class__.__mro__ }}",
        "{{ $.__dict__ }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    ),
    *(
        '{{ eval "1" }}',
        '{{ open "/etc/passwd" }}',
        '{{ import "os" }}',
        "${7777*7777}",
        "{0.__class__}",
        "#{7777*7777}",
        "%(a)s",
    ),
]


async def test_templates_reach_nothing() -> None:
    """CVE-2026-42203, PYSEC-2026-387: a template reaches the fields that it is given, nothing of Python."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"choices": [{"text": "ok", "finish_reason": "stop"}]}))
        for template in REACHES:
            given = {"model": "m", "prompt": "hello", "template": template, "stream": False}
            response = await proxy.ask("POST", "/api/generate", given)
            sent = b"".join(request.body for request in proxy.upstream.posts)
            for word in (b"<class", b"built-in", b"root:", b"60481729", b"<function", b"object at"):
                assert word not in sent, template
                assert word not in response.body, template


CONFIGURING = [
    *(
        "/config",
        "/config/update",
        "/api/config",
        "/model/new",
        "/model/update",
        "/key/generate",
        "/settings",
        "/admin",
    ),
    *("/get/config/callbacks", "/config/yaml", "/reload", "/debug", "/debug/pprof/", "/actuator/env", "/server-status"),
    *("/v1/load_lora_adapter", "/v1/models/..;/", "/.env", "/test", "/utils/transform_request", "/cache/flushall"),
]


async def test_nothing_is_configured_at_run_time() -> None:
    """CVE-2026-35029, CVE-2026-114612: there is no route that tells or changes a setting."""
    async with proxied() as proxy:
        for path, method in product(CONFIGURING, ("GET", "POST", "PUT", "PATCH", "DELETE")):
            response = await proxy.ask(method, path, {"general_settings": {}} if method != "GET" else None)
            assert response.status in (404, 405), path
            assert KEY.encode() not in response.body, path


# Fields of a response's head in which a backend tries to begin another one (M11).
SPLITS: list[list[bytes]] = [
    [b"X-Request-Id: a\rSet-Cookie: evil=1"],
    [b"X-Request-Id: a\x0bSet-Cookie: evil=1", b"Set-Cookie: evil=1"],
    [b"Retry-After: 1\rSet-Cookie: evil=1"],
    [b"Retry-After: 1;\x85Set-Cookie: evil=1"],
    [b"Content-Type: text/event-stream\rSet-Cookie: evil=1"],
    [b"X-Request-Id: \xc4\x8d\xc4\x8aSet-Cookie: evil=1"],
    [b"Set-Cookie: evil=1", b"X-Proxy-Added-Ms: evil", b"Access-Control-Allow-Origin: *"],
    [b"X-A: a\r\n Set-Cookie: evil=1"],
]


@pytest.mark.parametrize("status", [200, 429, 503])
async def test_m11_a_head_within_a_head(status: int) -> None:
    """M11: nothing of what a backend puts into its head begins a line in ours, or makes the proxy fail."""
    data = json.dumps(completion()).encode()
    async with proxied() as proxy:
        for lines in SPLITS:
            head = b"\r\n".join([b"HTTP/1.1 %d OK" % status, *lines, b"Content-Length: %d" % len(data), b"", b""])
            steps: list[Step] = [Send(head + data), Close()]
            proxy.upstream.script("m", steps)
            response = await proxy.ask("POST", "/api/chat", {"model": "m", "messages": HELLO, "stream": False})
            assert response.status in ({200, 502} if status == 200 else {status, 502}), lines
            assert "evil" not in str(response.headers), lines
            assert not {"set-cookie", "access-control-allow-origin"} & {name for name, _ in response.headers}, lines
            if retry := response.header("retry-after"):
                assert retry.isdecimal(), lines

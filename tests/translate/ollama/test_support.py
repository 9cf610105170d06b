"""The table of routes (contract 1.1)."""

from __future__ import annotations

from typing import get_args

import pytest

from ollama_openai_proxy.translate.ollama.answers import Support
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS, Endpoint

# Contract 1.1, all that is not below /v1; parameters as FastAPI writes them, with their section.
CONTRACT = {
    "/": ("GET HEAD", "5.1"),
    "/api/version": ("GET HEAD", "5.2"),
    "/api/status": ("GET", "5.3"),
    "/api/tags": ("GET HEAD", "5.4"),
    "/api/ps": ("GET", "5.5"),
    "/api/show": ("POST", "5.6"),
    "/api/generate": ("POST", "5.7"),
    "/api/chat": ("POST", "5.8"),
    "/api/embed": ("POST", "5.9"),
    "/api/embeddings": ("POST", "5.10"),
    "/api/pull": ("POST", "5.11"),
    "/api/push": ("POST", "5.12"),
    "/api/create": ("POST", "5.13"),
    "/api/copy": ("POST", "5.14"),
    "/api/delete": ("DELETE", "5.15"),
    "/api/blobs/{digest}": ("HEAD POST", "5.16"),
    "/api/me": ("POST", "5.17"),
    "/api/signout": ("POST", "5.17"),
    "/api/user/keys/{key}": ("DELETE", "5.17"),
    "/api/experimental/web_search": ("POST", "5.18"),
    "/api/experimental/web_fetch": ("POST", "5.18"),
    "/api/experimental/model-recommendations": ("GET", "5.18"),
}


def test_every_route_of_the_contract_has_one_row() -> None:
    """Contract 1.1: exactly these pairs of method and path are there."""
    found = [(route.path, (" ".join(sorted(route.methods)), route.section)) for route in ENDPOINTS]
    assert sorted(found) == sorted(CONTRACT.items())


@pytest.mark.parametrize("route", ENDPOINTS, ids=lambda route: route.path)
def test_a_row_says_what_a_reader_needs(route: object) -> None:
    """Each row has a class from the closed list, and a note that is a short phrase without a full stop."""
    (row,) = (row for row in ENDPOINTS if row is route)
    assert row.support in get_args(Support)
    assert 0 < len(row.note) <= 100
    assert row.note[-1] not in ". "


def test_what_is_refused_fails() -> None:
    """A route that is refused has a status to fail with; one with a body may get a bad one (contract 1.7)."""
    assert all(route.errors for route in ENDPOINTS if route.support == "refused" or route.body)


@pytest.mark.parametrize("endpoint", [row for row in ENDPOINTS if row.body], ids=lambda row: row.path)
def test_what_a_body_may_fail_with(endpoint: Endpoint) -> None:
    """A body may be malformed, come too slowly, or be too large (RFC 9110: 400, 408, 413): each is described."""
    assert {"400", "408", "413"} <= {*endpoint.errors} or "4XX" in endpoint.errors

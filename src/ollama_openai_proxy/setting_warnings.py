"""What is not wrong with the settings, and yet is probably not what was meant."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from urllib.parse import urlsplit

from ollama_openai_proxy.settings import Settings

# How alike a name must be to a setting's: one letter of eight may be another, or be missing.
_ALIKE = 0.87
_NEAR = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".cluster.local")


def warnings(loaded: Settings, environment: Iterable[str]) -> Iterator[str]:
    """Yield a line for each thing that an operator should know. `environment`: the names of all variables."""
    if loaded.base_url and not loaded.is_loopback and not loaded.client_keys:
        yield "no PROXY_API_KEY is set: whoever reaches the port uses the backend"
    if loaded.api_key and _is_exposed(loaded.base_url):
        yield "OPENAI_API_BASE_URL is plain HTTP: whoever is between here and the backend reads the key"
    known = {name.upper() for name in Settings.model_fields}
    given = {name.upper() for name in loaded.model_fields_set}
    for name in sorted({*environment} - known):
        for meant in get_close_matches(name.upper(), known - given, n=1, cutoff=_ALIKE):
            yield f"{name} is no setting; is {meant} meant?"


def _is_exposed(url: str) -> bool:
    """Whether what is sent there crosses, unencrypted, networks that are not one's own."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_NEAR)

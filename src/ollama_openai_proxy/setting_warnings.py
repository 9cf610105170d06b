"""What is not wrong with the settings, and yet is probably not what was meant."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from urllib.parse import urlsplit

from ollama_openai_proxy.settings import Settings

# How alike a name must be to a setting's: one letter of eight may be another, or be missing.
_ALIKE = 0.87
# Names that no public name server answers for (RFC 6761, 6762, 8375; ICANN for `internal`), and Kubernetes' Services.
_NEAR = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".svc")


def warnings(loaded: Settings, environment: Iterable[str]) -> Iterator[str]:
    """Yield a line for each thing that an operator should know. `environment`: the names of all variables."""
    if loaded.base_url and not loaded.is_loopback and not loaded.client_keys:
        yield (
            "PROXY_API_KEY is not set, and others than this machine may reach the port: "
            "whoever does uses the backend with its key, and learns its models"
        )
    if loaded.api_key and is_exposed(loaded.base_url):
        yield "OPENAI_API_BASE_URL begins with http: the key and all prompts can be read on their way to the backend"
    known = {name.upper() for name in Settings.model_fields}
    given = {name.upper() for name in loaded.model_fields_set}
    for name in sorted({*environment} - known):
        for meant in get_close_matches(name.upper(), known - given, n=1, cutoff=_ALIKE):
            yield f"{name} is no setting; is {meant} meant?"


def is_exposed(base_url: str) -> bool:
    """Whether the URL is plain HTTP to a host that is neither this machine nor, by its name or address, near it."""
    url = urlsplit(base_url)
    if url.scheme != "http" or not url.hostname:
        return False
    host = url.hostname.removesuffix(".")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." in host and not host.endswith(_NEAR)
    return (getattr(address, "ipv4_mapped", None) or address).is_global

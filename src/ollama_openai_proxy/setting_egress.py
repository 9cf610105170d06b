"""Which outgoing proxy leads to the backend, by the variables that programs have in common for that.

Its errors are ValueErrors whose messages hold nothing of the value: it may hold a password.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from ollama_openai_proxy.upstream.egress import Egress


def named(base_url: str) -> Egress | None:
    """Return the proxy that `HTTPS_PROXY`, `HTTP_PROXY` or else `ALL_PROXY` names for the URL, None if there is none,
    or if `NO_PROXY` excepts the host. The same names in lower case count for more."""
    url = urlsplit(base_url)
    name = next(filter(_variable, (f"{url.scheme}_proxy", "all_proxy")), "")
    port = url.port or (443 if url.scheme == "https" else 80)
    if not name or _is_excepted((url.hostname or "").removesuffix("."), port, _variable("no_proxy")):
        return None
    try:
        return _read(_variable(name))
    except ValueError:  # its message may hold the value
        raise ValueError(
            f"UPSTREAM_PROXY_FROM_ENV is true, and {name.upper()} is no URL such as http://proxy.example:3128"
        ) from None


def _variable(name: str) -> str:
    return os.environ.get(name, os.environ.get(name.upper(), "")).strip()


def _read(text: str) -> Egress:
    url = urlsplit(text)
    host = url.hostname or ""
    if url.scheme != "http" or not host or not text.isprintable() or " " in text:
        raise ValueError
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError
    authorization = None
    if url.username or url.password:
        credentials = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
        authorization = b"Basic " + base64.b64encode(credentials.encode())
    return Egress(host, url.port or 80, authorization)


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether the host is one of these, or below one, with any port or with this, or an address of these networks."""
    for given in map(str.strip, exceptions.lower().split(",")):
        name = given.removeprefix("*").lstrip(".").removesuffix(f":{port}")
        if given == "*" or (name and f".{host}".endswith(f".{name}")):
            return True
        with suppress(ValueError):  # one of them is a name
            if ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False):
                return True
    return False

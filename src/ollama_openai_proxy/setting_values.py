"""Values of settings that have a form of their own: durations, addresses, files.

Their errors are ValueErrors whose messages hold nothing of the value.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.modelsfile import MAX_FILE, ModelsFile, parse
from ollama_openai_proxy.translate.ollama.golang import parse_duration

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_SECRET_FILE = 64 * 1024
# Labels of a host name, the last with a dot after it or not; `*` for the first, or alone.
_HOST = re.compile(r"\*|(\*\.)?([\w-]{1,63}\.)*[\w-]{1,63}\.?", re.ASCII)


def read_secret(path: Path, name: str = "OPENAI_API_KEY_FILE") -> str:
    """Return what the file that the setting `name` names holds, without the end of its line."""
    try:
        with path.open("rb") as file:
            secret = file.read(_MAX_SECRET_FILE + 1)
    except OSError as error:
        raise ValueError(f"{name} can't be read: {error.strerror}") from None
    text = secret.decode("ascii", "replace").removesuffix("\n").removesuffix("\r")
    if not text or len(secret) > _MAX_SECRET_FILE:
        raise ValueError(f"{name} is empty or too large")
    return text


def client_keys(text: str, name: str, separator: str) -> tuple[str, ...]:
    """Return the keys of clients that the setting `name` holds, without what is empty or blank between them."""
    keys = tuple(filter(None, (key.strip(" \t\r") for key in text.split(separator))))
    if not keys:
        raise ValueError(f"{name} holds no key")
    if any(not 33 <= ord(char) < 127 for key in keys for char in key):
        raise ValueError(f"{name} holds characters that no key has")
    return keys


def networks(value: str) -> tuple[Network, ...]:
    """Return the addresses and networks of `TRUSTED_PROXIES`."""
    try:
        found = tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:  # its message holds the value
        found = ()
    if not found:
        raise ValueError("must hold addresses such as 10.0.0.1, or networks such as 10.0.0.0/8 or fd00::/8")
    return found


def read_models(path: Path) -> ModelsFile:
    """Return what the file `MODELS_FILE` says of models."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"MODELS_FILE can't be read: {error.strerror}") from None
    if len(content) > MAX_FILE:
        raise ValueError(f"MODELS_FILE has more than {MAX_FILE} bytes")
    try:
        return parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError:  # its message holds the content
        raise ValueError("MODELS_FILE is not text in UTF-8") from None
    except ValueError as error:
        raise ValueError(f"MODELS_FILE {error}") from None


def keep_alive(value: str) -> float:
    """Return the seconds of `OLLAMA_KEEP_ALIVE`; infinity is for ever (contract 9.3)."""
    try:
        seconds = float(value) if value.lstrip("+-").isdecimal() else parse_duration(value)
    except (InvalidRequest, ValueError):  # their messages hold the value
        raise ValueError("must be a duration such as 10m, or a number of seconds") from None
    return seconds if seconds >= 0 else float("inf")


def hosts(value: str) -> tuple[str, ...]:
    """Return the names of `ALLOWED_HOSTS`: host names, `*.` and a name, `*` alone, or addresses."""
    names = tuple(filter(None, map(str.strip, value.split(","))))
    if not names or not all(_HOST.fullmatch(name) or _is_address(name) for name in names):
        raise ValueError("must hold names such as models.example.com or *.example.com, without scheme, port or path")
    return names


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def host_and_port(value: str) -> tuple[str, int]:
    """Return host and port, as Ollama reads `OLLAMA_HOST` (contract 9.2)."""
    scheme, _, rest = value.rpartition("://")
    default = {"http": 80, "https": 443}.get(scheme, 11434)
    rest = rest.partition("/")[0]
    if rest.count(":") > 1 and not rest.startswith("["):
        return rest, default
    host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon:
        host = host or port
        port = ""
    if port and not (port.isdecimal() and int(port) <= 65535):
        raise ValueError("has a port that is none")
    return host.strip("[]") or ("0.0.0.0" if colon else "127.0.0.1"), int(port) if port else default  # noqa: S104  # what ":1234" means

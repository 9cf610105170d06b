"""Write the pages that are made of the code: docs/configuration.md and .env.example, of the settings;
docs/compatibility.md, of the tables of what is supported.

    scripts/generate.py [--check]

With --check nothing is written, and the exit status tells whether the pages are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from ollama_openai_proxy.setting_access import Access
from ollama_openai_proxy.setting_limits import Limits
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.translate.ollama.answers import Error, Shape
from ollama_openai_proxy.translate.ollama.options import OPTIONS
from ollama_openai_proxy.translate.ollama.schemas import answers
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS
from ollama_openai_proxy.translate.ollama.support_fields import FIELDS, Row
from ollama_openai_proxy.translate.ollama.support_fields import OPTIONS as OPTION_ROWS
from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.profiles import PROFILES

ROOT = Path(__file__).resolve().parent.parent
_PAGE = """# Configuration

<!-- Made by scripts/generate.py from src/ollama_openai_proxy/settings.py: change it there. -->

Settings come from the environment and, below it, from a file `.env` in the current directory. Whatever is not set has
its default. A value that is empty or malformed stops the start with one line that names the variable.
[limits.md](limits.md) says what happens when a limit is reached.

{groups}

`ollama-openai-proxy check` tells whether the settings are valid and the backend answers.
"""
_EXAMPLE = """# Settings of ollama-openai-proxy, with their defaults. Copy to .env and uncomment what you change.
# Made by scripts/generate.py from src/ollama_openai_proxy/settings.py.

{entries}
"""
_COMPATIBILITY = """# Compatibility

<!-- Made by scripts/generate.py from src/ollama_openai_proxy/translate/: change it there. -->

What this server does of Ollama's API: route by route, field by field. Each is

- **forwarded**: sent to the backend, or to the client, as it is;
- **translated**: sent in the other side's words;
- **answered** by the proxy itself;
- **ignored**: read and, where Ollama checks it, checked; nothing follows from it;
- **refused**, in Ollama's words where it has any.

Fields that are not listed are ignored, as Ollama ignores what it does not know. Below `/v1` there is nothing: whoever
speaks OpenAI's API can ask the backend itself. With `API_DOCS=true` the same is told by the server: `/openapi.json`
describes all routes, and `/docs` shows it; that page loads its scripts from a public CDN, cdn.jsdelivr.net.

## Routes

| route | methods | | what it does |
|---|---|---|---|
{routes}

With `MANAGEMENT_ENABLED=false` nothing can be changed: `/api/push`, `/api/create`, `/api/copy`, `/api/delete` and the
upload of blobs are 403. Every other path is 404, as with Ollama, but for what the host asks: `/live`, `/ready`,
`/health` and `/metrics` (operations.md).

## Requests

{requests}

### `options`

Values of a wrong type are refused with status 500, as Ollama does; unknown options are ignored.

| option | type | | what becomes of it |
|---|---|---|---|
{options}

## Answers

Members without a value are left out; nothing is null.

{answers}

## Backends

`UPSTREAM_PROFILE` names what the backend takes beyond OpenAI's API; `auto` tells it from the URL and the models. What a
profile does not have is not sent.

| profile | options beyond OpenAI's | `think` | `suffix` | past thinking | cuts embeddings |
|---|---|---|---|---|---|
{profiles}
"""
_ANSWERS: list[type[Shape]] = [*{route.answer: None for route in ENDPOINTS if route.answer}, Error]
_GROUPS = {
    "Backend and process": Settings.__annotations__,
    "Who may use it": Access.__annotations__,
    "Limits": Limits.__annotations__,
}
# What a reader can copy, where the default says nothing. Each is valid, as is every default.
_EXAMPLES = {
    "openai_api_base_url": "https://api.openai.com/v1",
    "openai_api_key": "sk-...",
    "openai_api_key_file": "/run/secrets/openai_api_key",
    "models_file": "/etc/ollama-openai-proxy/models.toml",
    "data_dir": "/var/lib/ollama-openai-proxy",
    "allowed_hosts": "ollama.example.com",
    "ollama_origins": "https://chat.example.com",
    "proxy_api_key": "a-long-random-key",
    "proxy_api_key_file": "/run/secrets/proxy_api_key",
    "trusted_proxies": "10.0.0.0/8",
    "proxy_host": "127.0.0.1",
    "proxy_port": "11434",
    "drain_delay": "5",
    "metrics_port": "9464",
    "log_file": "/var/log/ollama-openai-proxy/proxy.log",
}


def main() -> int:
    stale = []
    pages = {
        "docs/configuration.md": configuration(),
        ".env.example": env_example(),
        "docs/compatibility.md": compatibility(),
    }
    for path, text in pages.items():
        target = ROOT / path
        if target.exists() and target.read_text() == text:
            continue
        stale.append(path)
        if "--check" not in sys.argv[1:]:
            target.write_text(text)
            print("wrote", path)
    if stale and "--check" in sys.argv[1:]:
        print("not current, run scripts/format:", *stale)
        return 1
    return 0


def configuration() -> str:
    return _PAGE.format(groups="\n\n".join(f"## {title}\n\n{_rows(names)}" for title, names in _GROUPS.items()))


def _rows(names: Iterable[str]) -> str:
    rows = [
        f"| `{name.upper()}` | {_default(field)} | {field.description}{_choices(field)} |"
        for name, field in Settings.model_fields.items()
        if name in names
    ]
    return "\n".join(("| variable | default | meaning |", "|---|---|---|", *rows))


def env_example() -> str:
    return _EXAMPLE.format(entries="\n\n".join(_entry(*item) for item in Settings.model_fields.items()))


def compatibility() -> str:
    routes = [
        f"| `{route.path}` | {', '.join(route.methods)} | {route.support} | {route.note} |" for route in ENDPOINTS
    ]
    options = [f"| `{option.key}` | {option.type} | {_row(OPTION_ROWS[option.key])} |" for option in OPTIONS]
    return _COMPATIBILITY.format(
        routes="\n".join(routes),
        requests="\n\n".join(_fields(kind.__name__, rows) for kind, rows in FIELDS.items()),
        options="\n".join(options),
        answers="\n\n".join(_members(name, schema) for name, schema in answers(_ANSWERS).items()),
        profiles="\n".join(map(_profile, PROFILES.values())),
    )


def _fields(name: str, rows: Mapping[str, Row]) -> str:
    lines = [f"| `{field}` | {_row(row)} |" for field, row in rows.items()]
    return "\n".join((f"### {_title(name)}", "", "| field | | what becomes of it |", "|---|---|---|", *lines))


def _members(name: str, schema: Mapping[str, Any]) -> str:
    lines = []
    for member, described in schema["properties"].items():
        support, _, note = described["description"].partition(": ")
        lines.append(f"| `{member}` | {support} | {note} |")
    return "\n".join((f"### {_title(name)}", "", "| member | | where it comes from |", "|---|---|---|", *lines))


def _title(name: str) -> str:
    """Return a heading: the routes of a request or an answer, the name of what is only a part."""
    paths = [route.path for route in ENDPOINTS if name in (_name(route.body), _name(route.answer))]
    return ", ".join(f"`{path}`" for path in paths) or {"Error": "Errors"}.get(name, f"Within these: {name}")


def _name(kind: type[Any] | None) -> str:
    return kind.__name__ if kind else ""


def _row(row: Row) -> str:
    return f"{row.support} | {row.note}"


def _profile(profile: Profile) -> str:
    extensions = [key if key == name else f"{key}` as `{name}" for key, name in profile.extensions.items()]
    think = dict.fromkeys(filter(None, (*profile.thinking.on, profile.thinking.level)))
    cells = ([profile.name], extensions, think, [profile.insert], [profile.thoughts], [profile.truncation])
    written = (", ".join(f"`{text}`" for text in cell if text) for cell in cells)
    return f"| {' | '.join(written)} |"


def _entry(name: str, field: FieldInfo) -> str:
    # Without an example None would be written, which is valid for no setting.
    value = _EXAMPLES[name] if field.default is None else _plain(field.default)
    return f"# {(field.description or '').replace('`', '')}\n#{name.upper()}={value}"


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else f"`{_plain(field.default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _choices(field: FieldInfo) -> str:
    choices = getattr(field.annotation, "__args__", ())
    words = [choice for choice in choices if isinstance(choice, str)]
    return f" One of {', '.join(f'`{word}`' for word in words)}." if words else ""


if __name__ == "__main__":
    sys.exit(main())

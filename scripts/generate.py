"""Write the pages that are made from the settings: docs/configuration.md and .env.example.

    scripts/generate.py [--check]

With --check nothing is written, and the exit status tells whether the pages are current.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from ollama_openai_proxy.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
_PAGE = """# Configuration

<!-- Made by scripts/generate.py from src/ollama_openai_proxy/settings.py: change it there. -->

Settings come from the environment and, below it, from a file `.env` in the current directory. Whatever is not set has
its default. A value that is empty or malformed stops the start with one line that names the variable.

| variable | default | meaning |
|---|---|---|
{rows}

`ollama-openai-proxy check` tells whether the settings are valid and the backend answers.
"""
_EXAMPLE = """# Settings of ollama-openai-proxy, with their defaults. Copy to .env and uncomment what you change.
# Made by scripts/generate.py from src/ollama_openai_proxy/settings.py.

{entries}
"""
# What a reader can copy, where the default says nothing. Each is valid, as is every default.
_EXAMPLES = {
    "openai_api_base_url": "https://api.openai.com/v1",
    "openai_api_key": "sk-...",
    "openai_api_key_file": "/run/secrets/openai_api_key",
    "models_file": "/etc/ollama-openai-proxy/models.toml",
    "data_dir": "/var/lib/ollama-openai-proxy",
    "allowed_hosts": "ollama.example.com",
    "ollama_origins": "https://chat.example.com",
    "proxy_host": "127.0.0.1",
    "proxy_port": "11434",
    "drain_delay": "5",
    "metrics_port": "9464",
    "log_file": "/var/log/ollama-openai-proxy/proxy.log",
}


def main() -> int:
    stale = []
    for path, text in {"docs/configuration.md": configuration(), ".env.example": env_example()}.items():
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
    rows = [
        f"| `{name.upper()}` | {_default(field)} | {field.description}{_choices(field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return _PAGE.format(rows="\n".join(rows))


def env_example() -> str:
    return _EXAMPLE.format(entries="\n\n".join(_entry(*item) for item in Settings.model_fields.items()))


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

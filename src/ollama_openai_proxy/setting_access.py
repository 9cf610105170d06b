"""The options that say who may use the proxy: which keys, which web pages, under which names."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from ollama_openai_proxy import setting_values

_SCHEMES = ("http", "https", "chrome-extension", "safari-extension", "moz-extension", "ms-browser-extension")


class Access(BaseSettings):
    """The options, under the names of their environment variables in lower case."""

    proxy_api_key: SecretStr | None = Field(
        None,
        description="What clients must send as `Authorization: Bearer`: one key, or several separated by commas. "
        "Without one, whoever reaches the port is served.",
    )
    proxy_api_key_file: Path | None = Field(
        None, description="A file that holds these keys, one on each line, instead of the keys themselves."
    )
    require_auth: bool = Field(False, description="Whether a start without keys for clients fails.")
    trusted_proxies: str | None = Field(
        None,
        description="Addresses or networks of reverse proxies, by commas. Their `X-Forwarded-For` is believed.",
    )
    ollama_origins: str | None = Field(
        None,
        description="Origins of web pages that may use the proxy, separated by commas, beside those of this machine. "
        "One `*` in each stands for anything.",
    )
    allowed_hosts: str | None = Field(
        None,
        description="Names under which the proxy may be asked, separated by commas, beside those of this machine and "
        "names without a dot. `*.example.com` stands for all below it, `*` for any.",
    )

    @field_validator("ollama_origins")
    @classmethod
    def _are_origins(cls, value: str | None) -> str | None:
        for origin in map(str.strip, value.split(",") if value else ()):
            scheme, separator, _ = origin.partition("://")
            if origin.count("*") > 1 or ("*" not in origin and not (separator and scheme in _SCHEMES)):
                raise ValueError("each origin needs a scheme such as https:// or one *")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: str | None) -> str | None:
        if value is not None:
            setting_values.hosts(value)
        return value

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(filter(None, map(str.strip, (self.ollama_origins or "").split(","))))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The names under which the proxy may be asked, beside its own."""
        return setting_values.hosts(self.allowed_hosts) if self.allowed_hosts else ()

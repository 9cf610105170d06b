"""The options that say who may use the proxy: which keys, which web pages, under which names."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
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
        "One `*` in each stands for anything; `null` for pages without an origin, such as sandboxed frames.",
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
            if origin == "null":  # who wants it has no other way to name it
                continue
            if origin.count("*") > 1 or ("*" not in origin and not (separator and scheme in _SCHEMES)):
                raise ValueError("each origin needs a scheme such as https:// or one *")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: str | None) -> str | None:
        if value is not None:
            setting_values.hosts(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str | None) -> str | None:
        if value is not None:
            setting_values.networks(value)
        return value

    @model_validator(mode="after")
    def _clients_keys(self) -> Self:
        if self.proxy_api_key and self.proxy_api_key_file:
            raise ValueError("PROXY_API_KEY and PROXY_API_KEY_FILE are both set; give one")
        if not self.client_keys and self.require_auth:
            raise ValueError("REQUIRE_AUTH is true, and neither PROXY_API_KEY nor PROXY_API_KEY_FILE is set")
        return self

    @property
    def client_keys(self) -> tuple[str, ...]:
        """The keys that let clients in, none for whoever comes. Raises ValueError when their file can't be used."""
        if self.proxy_api_key:
            return setting_values.client_keys(self.proxy_api_key.get_secret_value(), "PROXY_API_KEY", ",")
        if not self.proxy_api_key_file:
            return ()
        name = "PROXY_API_KEY_FILE"
        return setting_values.client_keys(setting_values.read_secret(self.proxy_api_key_file, name), name, "\n")

    @property
    def trusted(self) -> tuple[setting_values.Network, ...]:
        """Whose word on addresses is taken."""
        return setting_values.networks(self.trusted_proxies) if self.trusted_proxies else ()

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(filter(None, map(str.strip, (self.ollama_origins or "").split(","))))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The names under which the proxy may be asked, beside its own."""
        return setting_values.hosts(self.allowed_hosts) if self.allowed_hosts else ()

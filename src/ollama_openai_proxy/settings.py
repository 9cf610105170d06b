"""Every option: its name, default, check and help. The only reader of the environment.

A setting comes from the environment or, in development, from `.env`; any secret also as `NAME_FILE`,
the path of a file that holds it. An empty or malformed value is an error.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from ollama_openai_proxy import setting_egress, setting_values
from ollama_openai_proxy.setting_access import Access
from ollama_openai_proxy.setting_limits import Limits, Seconds
from ollama_openai_proxy.translate.modelsfile import NO_MODELS_FILE, ModelsFile
from ollama_openai_proxy.translate.openai.profiles import ProfileName, wants_key
from ollama_openai_proxy.upstream.egress import Egress

DEFAULT_CONTEXT_LENGTH = 32768


class SettingsError(Exception):
    """The settings can't be used; the message names the variable and holds no value."""


class Settings(Access, Limits):
    """The options, under the names of their environment variables in lower case."""

    model_config = SettingsConfigDict(env_file=".env", frozen=True, extra="ignore", env_ignore_empty=False)

    openai_api_base_url: str | None = Field(
        None,
        description="The backend: the URL before `/chat/completions`, such as `https://api.openai.com/v1`. "
        "Without a path, `/v1` is added.",
    )
    openai_api_key: SecretStr | None = Field(None, description="The key that the backend wants, if it wants one.")
    openai_api_key_file: Path | None = Field(None, description="A file that holds the key, instead of the key itself.")
    upstream_profile: Literal["auto", ProfileName] = Field(
        "auto",
        description="What the backend takes beyond OpenAI's API and how it spells it. "
        "`auto` tells it from the URL and the list of models.",
    )
    upstream_proxy_from_env: bool = Field(
        False,
        description="Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say how to reach the backend. "
        "A proxy's URL begins with `http://`.",
    )
    forward_unknown_models: bool = Field(
        False, description="Ask the backend for models that its list does not hold, instead of refusing them."
    )
    models_refresh: Annotated[float, Field(ge=1, le=86400)] = Field(
        60.0, description="Seconds between two looks at the backend's list of models."
    )
    models_file: Path | None = Field(
        None, description="A file in TOML that tells of models what the backend does not: see docs/models.md."
    )
    ollama_context_length: Annotated[int, Field(ge=0, le=2**31)] = Field(
        DEFAULT_CONTEXT_LENGTH, description="The context length of models of which nobody tells it. 0: the default."
    )
    management_enabled: bool = Field(True, description="Whether clients may make, copy and delete aliases of models.")
    data_dir: Path | None = Field(
        None, description="A folder that keeps the aliases. Without one they are forgotten when the proxy ends."
    )
    proxy_host: str | None = Field(None, description="The address to listen on. Default: that of `OLLAMA_HOST`.")
    proxy_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="The port to listen on, 0 for any that is free. Default: that of `OLLAMA_HOST`."
    )
    ollama_host: str = Field(
        "127.0.0.1:11434", description="The address and port to listen on, in any form that Ollama takes."
    )
    ollama_keep_alive: str = Field(
        "5m",
        description="How long a used model counts as loaded: a duration such as `10m`, or seconds; negative: for ever.",
    )
    ollama_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        "0.14.0", description="The Ollama version to report. Some clients refuse old ones."
    )
    api_docs: bool = Field(False, description="Whether `/openapi.json` describes the API, and `/docs` shows it.")
    drain_delay: Seconds | None = Field(
        None,
        description="Seconds for which a proxy that is being stopped still takes requests, while `/ready` says 503. "
        "Default: 5, and 0 if nothing was asked in the last 5.",
    )
    drain_timeout: Seconds = Field(
        60.0, description="Seconds from the signal until what still runs is ended with an error. Holds the delay."
    )
    ready_needs_upstream: bool = Field(
        False, description="Whether `/ready` says 503 while the backend is seen to fail, too."
    )
    metrics_enabled: bool = Field(True, description="Whether `/metrics` is served.")
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="The port to serve `/metrics` on. Default: that of the proxy."
    )
    added_time_header: bool = Field(
        False, description="Name in each reply, as `X-Proxy-Added-Ms`, the milliseconds that the proxy itself took."
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="How many processes serve. One is right in a container: scale by containers."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines to write."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="How lines are written: for machines, or for people (in colour on a terminal)."
    )
    log_file: Path | None = Field(
        None, description="A file that the lines go to as well, without colour. Its folder must exist and be writable."
    )
    log_file_size: Annotated[int, Field(ge=64 * 1024, le=2**30)] = Field(
        10 * 1024 * 1024,
        description="The most bytes of that file. A full one gets the suffix `.1`, and the five last ones are kept.",
    )
    env: Literal["development", "test", "production"] = Field(
        "production", description="Where the proxy runs; for people."
    )

    _models: ModelsFile = NO_MODELS_FILE

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        value = value.strip().strip("\"'")  # as Ollama does (contract 9.1)
        if not value.strip():
            raise ValueError("is empty; unset it or give it a value")
        return value

    @field_validator("openai_api_base_url")
    @classmethod
    def _is_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            _ = url.port  # raises ValueError for one that is no number
        except ValueError:  # its message may hold the value
            raise ValueError("has a host or port that is none") from None
        if url.scheme not in ("http", "https") or not url.hostname or not value.isprintable() or " " in value:
            raise ValueError("must be a URL that begins with http:// or https://")
        if "@" in url.netloc or "?" in value or "#" in value:
            raise ValueError("must not hold a user, password, query or fragment")
        return value.rstrip("/") + ("" if url.path.strip("/") else "/v1")

    @field_validator("log_level", "log_format", "upstream_profile", "env", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("openai_api_key_file", "proxy_api_key_file", "log_file", "models_file", "data_dir")
    @classmethod
    def _is_path(cls, value: Path | None) -> Path | None:
        if "\0" in str(value):
            raise ValueError("holds a character that no path has")
        return value

    @field_validator("ollama_keep_alive")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        setting_values.keep_alive(value)
        return value

    @field_validator("ollama_host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        setting_values.host_and_port(value)
        return value

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.openai_api_key and self.openai_api_key_file:
            raise ValueError("OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set; give one")
        name = "OPENAI_API_KEY_FILE" if self.openai_api_key_file else "OPENAI_API_KEY"
        if (self.openai_api_key or self.openai_api_key_file) and not self.openai_api_base_url:
            raise ValueError(f"{name} is set and OPENAI_API_BASE_URL is not; give the URL of the backend")
        if not self.api_key and wants_key(urlsplit(self.base_url).hostname or ""):
            raise ValueError("OPENAI_API_KEY is not set, and the backend that OPENAI_API_BASE_URL names wants one")
        if any(not 33 <= ord(char) < 127 for char in self.api_key):
            raise ValueError(f"{name} holds characters that no key has")
        return self

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        _ = self.egress  # raises ValueError
        return self

    @model_validator(mode="after")
    def _read_models(self) -> Self:
        if self.models_file:
            self._models = setting_values.read_models(self.models_file)
        return self

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.drain_timeout < (self.drain_delay or 0):
            raise ValueError("DRAIN_TIMEOUT is shorter than DRAIN_DELAY, which it holds")
        if self.metrics_port and not self.metrics_enabled:
            raise ValueError("METRICS_PORT is set and METRICS_ENABLED is false; give one")
        if self.metrics_port and self.metrics_port == self.port:
            raise ValueError("METRICS_PORT is the proxy's own port; unset it, or give another")
        return self

    @property
    def base_url(self) -> str:
        """The backend's base URL, "" without one."""
        return self.openai_api_base_url or ""

    @property
    def api_key(self) -> str:
        """The backend's key, "" without one. Raises ValueError when its file can't be used."""
        if self.openai_api_key:
            return self.openai_api_key.get_secret_value()
        return setting_values.read_secret(self.openai_api_key_file) if self.openai_api_key_file else ""

    @property
    def egress(self) -> Egress | None:
        """The outgoing proxy on the way to the backend. Raises ValueError when its variable can't be used."""
        return setting_egress.named(self.base_url) if self.upstream_proxy_from_env and self.base_url else None

    @property
    def models(self) -> ModelsFile:
        """What `MODELS_FILE` said at the start."""
        return self._models

    @property
    def context_length(self) -> int:
        """Tokens, for models of which nobody tells it."""
        return self.ollama_context_length or DEFAULT_CONTEXT_LENGTH

    @property
    def host(self) -> str:
        return self.proxy_host.strip("[]") if self.proxy_host else setting_values.host_and_port(self.ollama_host)[0]

    @property
    def port(self) -> int:
        return setting_values.host_and_port(self.ollama_host)[1] if self.proxy_port is None else self.proxy_port

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the proxy."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def keep_alive(self) -> float:
        """Seconds; infinity is for ever."""
        return setting_values.keep_alive(self.ollama_keep_alive)


def load(**overrides: Any) -> Settings:
    """Return the settings. Raises SettingsError with one line for all that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(map(_explain, error.errors(include_input=False, include_url=False)))) from None
    except (OSError, UnicodeDecodeError):
        raise SettingsError(".env can't be read as text") from None


def _explain(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    name = "_".join(map(str, problem["loc"][:1])).upper()
    return f"{name} {message[:1].lower()}{message[1:]}" if name else message

"""The options that limit what clients and the backend may take: time, bytes, places.

Their defaults hold for one process in front of one backend; docs/limits.md says how they work together.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.limits import (
    AdmissionLimits,
    BodyLimits,
    BreakerLimits,
    ClientLimits,
    ReplyLimits,
    RetryLimits,
    UpstreamLimits,
)

Seconds = Annotated[float, Field(ge=0, le=86400)]
Bytes = Annotated[int, Field(ge=1024, le=2**31)]
_MIB = 1024 * 1024


class Limits(BaseSettings):
    """The options, under the names of their environment variables in lower case."""

    connect_timeout: Seconds = Field(5.0, gt=0, description="Seconds to reach the backend, name and TLS included.")
    first_byte_timeout: Seconds = Field(300.0, gt=0, description="Seconds until the first byte of a streamed reply.")
    idle_timeout: Seconds = Field(
        120.0, gt=0, description="Seconds between two reads of a reply. Twice as long an event may take to be whole."
    )
    progress_timeout: Seconds = Field(
        600.0, gt=0, description="Seconds between two events of a stream, whatever else keeps it alive meanwhile."
    )
    request_timeout: Seconds = Field(600.0, description="Seconds for a reply that is not streamed. 0: no limit.")
    stream_timeout: Seconds = Field(0.0, description="Seconds for a streamed reply. 0: no limit.")
    upstream_keep_alive: Seconds = Field(
        2.0, description="Seconds for which an idle connection to the backend is kept: fewer than the backend keeps it."
    )
    max_event_size: Bytes = Field(16 * _MIB, description="The most bytes of one event of a streamed reply.")
    max_response_size: Bytes = Field(64 * _MIB, description="The most bytes of a reply, streamed or not.")
    max_error_size: Bytes = Field(64 * 1024, description="How many bytes of a backend's error are read.")
    error_timeout: Seconds = Field(5.0, gt=0, description="For how many seconds a backend's error is read.")
    connect_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="How often a call is repeated that found no connection."
    )
    status_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        0, description="How often a call is repeated that the backend answered with 429, 502, 503, 504 or 529."
    )
    retry_budget: Annotated[float, Field(ge=0, le=1)] = Field(
        0.2, description="The share of all calls that repeats may add, beside three in ten seconds."
    )
    breaker_failures: Annotated[int, Field(ge=0, le=1000)] = Field(
        5, description="After how many failed connections in a row requests are refused at once. 0: never."
    )
    breaker_pause: Seconds = Field(15.0, gt=0, description="Seconds until the backend is tried again after that.")
    max_active_requests: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000, description="How many requests the backend is asked at a time. More wait."
    )
    ollama_max_queue: Annotated[int, Field(ge=0, le=100_000)] = Field(
        512, description="How many requests may wait. More are refused, with the words and the status of Ollama."
    )
    queue_timeout: Seconds = Field(30.0, gt=0, description="Seconds that a request waits at most.")
    max_active_per_client: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0,
        description="How many requests of one key, or of one address without keys, run at a time. More are refused. "
        "0: as many as of all.",
    )
    memory_limit_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        90, description="The share of a container's memory above which new requests are refused. 0: never."
    )
    max_body_size: Bytes = Field(
        32 * _MIB, description="The most bytes that a request may have, images included, and unpacked if it is packed."
    )
    body_timeout: Seconds = Field(60.0, gt=0, description="Seconds between two parts of a request's body.")
    body_min_rate: Annotated[int, Field(ge=0, le=2**31)] = Field(
        1024, description="Bytes per second that a body must make on average after the first `BODY_TIMEOUT`. 0: none."
    )
    header_timeout: Seconds = Field(10.0, gt=0, description="Seconds until a request's head is whole.")
    max_header_size: Bytes = Field(64 * 1024, description="The most bytes of a request's head.")
    max_headers: Annotated[int, Field(ge=10, le=10_000)] = Field(100, description="The most headers of a request.")
    max_url_size: Annotated[int, Field(ge=256, le=64 * 1024)] = Field(
        8 * 1024, description="The most bytes of a request's URL."
    )
    write_timeout: Seconds = Field(
        60.0, gt=0, description="Seconds for which a client may take nothing of what it is sent."
    )
    client_keep_alive: Seconds = Field(
        75.0, gt=0, description="Seconds for which an idle connection of a client is kept."
    )
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        4096, description="The most connections of clients; fewer if the system allows fewer open files."
    )

    @property
    def timeouts(self) -> Timeouts:
        """How long a call to the backend may take."""
        return Timeouts(
            connect=self.connect_timeout,
            first_byte=self.first_byte_timeout,
            idle=self.idle_timeout,
            whole=self.request_timeout,
            stream=self.stream_timeout,
            progress=self.progress_timeout,
        )

    @property
    def upstream_limits(self) -> UpstreamLimits:
        return UpstreamLimits(
            ReplyLimits(self.max_event_size, self.max_response_size, self.max_error_size, self.error_timeout),
            RetryLimits(self.connect_retries, self.status_retries, self.retry_budget),
            BreakerLimits(self.breaker_failures, self.breaker_pause),
            self.upstream_keep_alive,
        )

    @property
    def admission_limits(self) -> AdmissionLimits:
        return AdmissionLimits(
            self.max_active_requests,
            self.ollama_max_queue,
            self.queue_timeout,
            self.max_active_per_client,
            self.memory_limit_percent,
        )

    @property
    def body_limits(self) -> BodyLimits:
        return BodyLimits(self.max_body_size, self.body_timeout, self.body_min_rate)

    @property
    def client_limits(self) -> ClientLimits:
        return ClientLimits(
            self.header_timeout,
            self.max_header_size,
            self.max_headers,
            self.max_url_size,
            self.client_keep_alive,
            self.write_timeout,
            self.max_connections,
        )

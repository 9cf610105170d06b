"""What an operator is told at the start, though nothing is wrong."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.setting_warnings import warnings
from support.proxy import KEY, sealed

ALL = "0.0.0.0"  # noqa: S104  # nothing is bound to it
URL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REQUEST_TIMOUT", "REQUEST_TIMEOUT"),
        ("CONECT_TIMEOUT", "CONNECT_TIMEOUT"),
        ("OPENAI_BASE_URL", "OPENAI_API_BASE_URL"),
        ("MAX_BODYSIZE", "MAX_BODY_SIZE"),
        ("LOGLEVEL", "LOG_LEVEL"),
    ],
)
def test_l11_misspelled(name: str, meant: str) -> None:
    """L11: a variable that is almost a setting is told, with the setting that is meant."""
    assert [*warnings(sealed(), [name, "PATH"])] == [f"{name} is no setting; is {meant} meant?"]


def test_l11_nothing_to_tell() -> None:
    """L11: variables of other programs and of Ollama are no news, nor are settings, nor what is set under its name."""
    names = ["PATH", "HOME", "HTTP_PROXY", "OLLAMA_NUM_PARALLEL", "OTEL_SERVICE_NAME", "LOG_LEVEL", "OLLAMA_HOST"]
    assert [*warnings(sealed(), names)] == []
    assert [*warnings(sealed(openai_api_base_url=URL), ["OPENAI_BASE_URL"])] == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://vllm.example.com/v1", True),
        ("http://8.8.8.8:8000/v1", True),
        ("http://[2606:4700::1]/v1", True),
        ("https://vllm.example.com/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("http://10.1.2.3/v1", False),
        ("http://192.168.1.7/v1", False),
        ("http://vllm:8000/v1", False),
        ("http://vllm.models.svc/v1", False),
        ("http://host.docker.internal:8000/v1", False),
        ("http://LOCALHOST.:8000/v1", False),
        ("http://[::ffff:10.0.0.1]/v1", False),
        ("http://[::ffff:8.8.8.8]/v1", True),
        ("http://[fe80::1]/v1", False),
        ("http://vllm.ai.svc.cluster.local/v1", False),
    ],
)
def test_l9_key_over_plain_http(url: str, told: bool) -> None:
    """L9: a key that would cross a public network unencrypted is told, and not shown; without one nothing is."""
    lines = [*warnings(sealed(openai_api_base_url=url, openai_api_key=KEY), [])]
    assert [line.startswith("OPENAI_API_BASE_URL begins with http") for line in lines] == [True] * told
    assert KEY not in str(lines)
    assert [*warnings(sealed(openai_api_base_url=url), [])] == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"proxy_host": ALL}, True),
        ({"proxy_host": "::"}, True),
        ({"proxy_host": ALL, "proxy_api_key": KEY}, False),
        ({}, False),
    ],
)
def test_l15_open_to_everybody(given: dict[str, str], told: bool) -> None:
    """L15: an address that others reach, without keys, is told."""
    lines = [*warnings(sealed(openai_api_base_url=URL, **given), [])]
    assert ["PROXY_API_KEY" in line for line in lines] == [True] * told

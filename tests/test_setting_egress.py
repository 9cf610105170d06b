"""Which outgoing proxy leads to the backend: none, unless the operator says so."""

from __future__ import annotations

import os
import pickle

import pytest

from ollama_openai_proxy.setting_egress import named
from ollama_openai_proxy.settings import SettingsError, load
from ollama_openai_proxy.upstream.egress import Egress

PROXY = Egress("proxy.example", 3128)
URL = "http://proxy.example:3128"
HTTPS = "https://backend.example/v1"
DOTTED = "https://backend.example./v1"
HTTP = "http://backend.example:8000/v1"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of whoever runs the tests counts."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


CHOICES: dict[str, tuple[dict[str, str], str, Egress | None]] = {
    "none": ({}, HTTPS, None),
    "of its scheme": ({"HTTPS_PROXY": URL, "HTTP_PROXY": "http://other"}, HTTPS, PROXY),
    "of http": ({"HTTP_PROXY": URL, "HTTPS_PROXY": "http://other"}, HTTP, PROXY),
    "of another scheme": ({"HTTP_PROXY": URL}, HTTPS, None),
    "of all": ({"ALL_PROXY": URL}, HTTPS, PROXY),
    "its scheme before all": ({"ALL_PROXY": "http://other", "HTTPS_PROXY": URL}, HTTPS, PROXY),
    "lower case": ({"https_proxy": URL}, HTTPS, PROXY),
    "lower case counts for more, empty too": ({"https_proxy": "", "HTTPS_PROXY": URL}, HTTPS, None),
    "lower case counts for more": ({"https_proxy": URL, "HTTPS_PROXY": "http://other"}, HTTPS, PROXY),
    "empty": ({"HTTPS_PROXY": ""}, HTTPS, None),
    "a scheme in capitals": ({"HTTPS_PROXY": URL}, "HTTPS://Backend.Example/v1", PROXY),
    "a slash at the end": ({"HTTPS_PROXY": f" {URL}/ "}, HTTPS, PROXY),
    "without a port": ({"HTTPS_PROXY": "HTTP://Proxy.Example"}, HTTPS, Egress("proxy.example", 80)),
    "IPv6": ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, HTTPS, Egress("fd00::1", 3128)),
    "excepted": ({"HTTPS_PROXY": URL, "NO_PROXY": "other, backend.example"}, HTTPS, None),
    "excepted, lower case": ({"HTTPS_PROXY": URL, "no_proxy": "Backend.Example"}, HTTPS, None),
    "excepted with all below": ({"HTTPS_PROXY": URL, "NO_PROXY": ".example"}, HTTPS, None),
    "excepted like each": ({"HTTPS_PROXY": URL, "NO_PROXY": "*"}, HTTPS, None),
    "excepted with all below, as some write it": ({"HTTPS_PROXY": URL, "NO_PROXY": "*.example"}, HTTPS, None),
    "excepted with a dot at the end": ({"HTTPS_PROXY": URL, "NO_PROXY": "backend.example"}, DOTTED, None),
    "below the exception": ({"HTTPS_PROXY": URL, "NO_PROXY": "sub.backend.example,,"}, HTTPS, PROXY),
    "excepted with the usual port": ({"HTTPS_PROXY": URL, "NO_PROXY": "backend.example:443"}, HTTPS, None),
    "excepted with its port": ({"HTTP_PROXY": URL, "NO_PROXY": "backend.example:8000"}, HTTP, None),
    "excepted with another port": ({"HTTP_PROXY": URL, "NO_PROXY": "backend.example:80"}, HTTP, PROXY),
    "only the end of a name": ({"HTTPS_PROXY": URL, "NO_PROXY": "ckend.example"}, HTTPS, PROXY),
    "an address": ({"HTTP_PROXY": URL, "NO_PROXY": "10.1.2.3"}, "http://10.1.2.3:8000/v1", None),
    "a network": ({"HTTP_PROXY": URL, "NO_PROXY": "x.example,10.0.0.0/8"}, "http://10.1.2.3:8000/v1", None),
    "another network": ({"HTTP_PROXY": URL, "NO_PROXY": "fd00::/8, 192.168.0.0/16"}, "http://10.1.2.3/v1", PROXY),
    "the end of an address": ({"HTTP_PROXY": URL, "NO_PROXY": "2.3"}, "http://10.1.12.3:8000/v1", PROXY),
    "an IPv6 address": ({"HTTP_PROXY": URL, "NO_PROXY": "::1"}, "http://[::1]:8000/v1", None),
    "a network is none of names": ({"HTTPS_PROXY": URL, "NO_PROXY": "0.0.0.0/0"}, HTTPS, PROXY),
}


@pytest.mark.parametrize(("variables", "url", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_d11_choice(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, expected: Egress | None
) -> None:
    """D11: where it is asked for, the common variables decide as they do for other programs; networks count, too."""
    set_all(monkeypatch, variables)
    assert load(openai_api_base_url=url, upstream_proxy_from_env=True).egress == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("user:secret", b"Basic dXNlcjpzZWNyZXQ="),
        ("user", b"Basic dXNlcjo="),
        ("us%40er:se%3Acr%0D%0Aet", b"Basic dXNAZXI6c2U6Y3INCmV0"),
        ("bücher:ß", b"Basic YsO8Y2hlcjrDnw=="),
    ],
)
def test_d11_credentials(monkeypatch: pytest.MonkeyPatch, user: str, expected: bytes) -> None:
    """D11: the user and the password of a proxy's URL become what its header wants (RFC 7617), in one line always."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{user}@proxy.example:3128")
    assert named(HTTPS) == Egress("proxy.example", 3128, expected)


@pytest.mark.parametrize("variables", [{}, {"UPSTREAM_PROXY_FROM_ENV": "false"}], ids=["unset", "false"])
def test_d11_off(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """D11: unless it is asked for no variable names a proxy, not even a malformed one."""
    set_all(monkeypatch, {"HTTPS_PROXY": URL, "ALL_PROXY": "canary", **variables})
    assert load(openai_api_base_url=HTTPS).egress is None
    assert load(openai_api_base_url=HTTP).egress is None


def test_without_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a backend there is no way to one."""
    monkeypatch.setenv("ALL_PROXY", URL)
    assert load(upstream_proxy_from_env=True).egress is None


@pytest.mark.parametrize(
    "value",
    [
        "canary.example:3128",
        "https://canary.example",
        "socks5://user:canary@proxy.example:1080",
        "http://",
        "http://user:canary@",
        "http://canary.example:66000",
        "http://canary.example:port",
        "http://[canary",
        "http://canary.example/path",
        "http://canary.example?query",
        "http://canary.example#fragment",
        "http://canary example",
        "http://can\tary.example",
        "http://can\x1fary.example",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_d11_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """D11: what is no URL of a proxy in plain HTTP stops the start with the variable's name, and nothing of its value:
    it may hold a password."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(openai_api_base_url=HTTPS, upstream_proxy_from_env=True)
    expected = f"UPSTREAM_PROXY_FROM_ENV is true, and {name.upper()} is no URL such as http://proxy.example:3128"
    assert str(caught.value) == expected


def test_m3_credentials_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """M3: the password of a proxy is in no representation of the settings."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@proxy.example:3128")
    settings = load(openai_api_base_url=HTTPS, upstream_proxy_from_env=True)
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {vars(settings)} {settings.egress!r}"
    assert "canary" not in shown
    assert "dXNlcjpjYW5hcnk" not in shown
    assert pickle.loads(pickle.dumps(settings.egress)) == settings.egress  # noqa: S301  # our own

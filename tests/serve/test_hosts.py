"""The rule on hosts: Ollama's on loopback (contract 1.6), and one against rebound names on every other socket."""

from __future__ import annotations

import logging
import socket

import pytest

from ollama_openai_proxy.serve.hosts import Hosts, address_of

LOGGER = "ollama_openai_proxy.serve.hosts"
ME = socket.gethostname()
LAN = "192.0.2.10"

# Host header: whether it is answered on a loopback socket, and whether on any other.
HOSTS: dict[str, tuple[bool, bool]] = {
    "": (True, True),
    "localhost": (True, True),
    "LocalHost:11434": (True, True),
    "localhost.": (True, True),
    "localhost.:11434": (True, True),
    "127.0.0.1:11434": (True, True),
    "127.9.9.9": (True, True),
    "::1": (True, True),
    "[::1]": (True, True),
    "[::1]:11434": (True, True),
    "[::ffff:127.0.0.1]:11434": (True, True),
    "[::]:11434": (True, True),
    "0.0.0.0:11434": (True, True),
    "10.1.2.3": (True, True),
    "172.16.0.1:80": (True, True),
    "172.31.255.255": (True, True),
    "192.168.1.20:11434": (True, True),
    "[fd00::1]:11434": (True, True),
    "proxy.localhost": (True, True),
    "printer.local:11434": (True, True),
    "proxy.default.svc.cluster.local:11434": (True, True),
    "host.docker.internal:11434": (True, True),
    "HOST.Docker.Internal.": (True, True),
    f"{ME.upper()}:11434": (True, True),
    # Any address can be asked for as such, but none can be rebound.
    "8.8.8.8": (False, True),
    "172.32.0.1": (False, True),
    "169.254.169.254:80": (False, True),
    "192.0.2.1": (False, True),
    "[2001:db8::1]:11434": (False, True),
    "[fe80::1%eth9]:11434": (False, True),
    "[::%1.evil.example]:11434": (False, False),
    "224.0.0.1": (False, True),
    "255.255.255.255": (False, True),
    # The names of neighbours: compose and Kubernetes services.
    "ollama:11434": (False, True),
    "ollama-openai-proxy": (False, True),
    "my_stack_proxy:80": (False, True),
    "notlocalhost": (False, True),
    # What somebody else's DNS server may answer for.
    "evil.example": (False, False),
    "evil.example:11434": (False, False),
    "evil.example.": (False, False),
    "localhost.evil.example": (False, False),
    "evil.local.example": (False, False),
    "127.0.0.1.evil.example": (False, False),
    "127.0.0.1.": (True, True),
    "192.168.1.999": (False, False),
    "ollama.default": (False, False),
    "a:b:c": (False, False),
    "evil/x": (False, False),
    "a b": (False, False),
    "[evil.example]:80": (False, False),
    "évil": (False, False),
}


@pytest.mark.parametrize(("host", "allowed"), HOSTS.items(), ids=lambda value: str(value) or "empty")
def test_a9_host(host: str, allowed: tuple[bool, bool]) -> None:
    """Contract 1.6 on loopback; elsewhere every address, names without a dot, and the same local names."""
    on_loopback = Hosts("127.0.0.1", loopback=True).allows(host)
    elsewhere = Hosts(LAN, loopback=False).allows(host)
    assert (on_loopback, elsewhere) == allowed


ALLOWED = ("ollama.example.com", "*.Models.example", " 203.0.113.9 ".strip(), "[2001:db8::7]", "full.example.")
LISTED: dict[str, bool] = {
    "ollama.example.com": True,
    "OLLAMA.example.com:443": True,
    "ollama.example.com.": True,
    "x.ollama.example.com": False,
    "example.com": False,
    "a.models.example": True,
    "b.a.models.example:11434": True,
    "models.example": False,
    "notmodels.example": False,
    "203.0.113.9:80": True,
    "[2001:db8::7]:80": True,
    "full.example": True,
    "evil.example": False,
}


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(("host", "allowed"), LISTED.items())
def test_a9_allow_list(host: str, allowed: bool, loopback: bool) -> None:
    """ALLOWED_HOSTS adds names, all names below one, and addresses; ports and case do not count."""
    assert Hosts("127.0.0.1", loopback=loopback, allowed=ALLOWED).allows(host) is allowed


@pytest.mark.parametrize("loopback", [True, False])
def test_any(loopback: bool) -> None:
    """`*` in ALLOWED_HOSTS turns the rule off."""
    assert Hosts("127.0.0.1", loopback=loopback, allowed=("*",)).allows("evil.example")


def test_name_that_is_bound() -> None:
    """The name that OLLAMA_HOST gives is the proxy's own."""
    hosts = Hosts("Ollama.LAN", loopback=False)
    assert hosts.allows("ollama.lan:11434")
    assert not hosts.allows("other.lan")


def test_refusals_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each refused name is one warning, which names the setting; it is cut, and holds nothing that does not print."""
    hosts = Hosts(LAN, loopback=False)
    for host in ("evil.example:1", "EVIL.example:2", "b.example", "x." * 100, "a\x1b[31m.example"):
        hosts.tell(host)
        hosts.tell(host)
    told = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(told) == 4
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert "'evil.example'" in told[0]
    assert "ALLOWED_HOSTS" in told[0]
    assert "x." * 50 + "'" in told[2]
    assert "'a[31m.example'" in told[3]


def test_refusals_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Made-up names are told of up to a number, and what is kept of them does not grow."""
    hosts = Hosts(LAN, loopback=False)
    for number in range(1000):
        hosts.tell(f"{number}.example")
    assert len([record for record in caplog.records if record.name == LOGGER]) == 100


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1:80", "127.0.0.1"), ("[::ffff:10.0.0.1]:80", "10.0.0.1"), ("[::1]", "::1"), ("a.example", None)],
)
def test_address(host: str, address: str | None) -> None:
    """A Host header is an address or a name; an IPv4 address within IPv6 is the IPv4 one."""
    found = address_of(host)
    assert (str(found) if found else None) == address


@pytest.mark.parametrize("loopback", [True, False])
def test_asked_again(loopback: bool) -> None:
    """A host has the same answer however often it is asked for, and however many others are."""
    hosts = Hosts("127.0.0.1", loopback=loopback, allowed=("*.example.com",))
    once = {host: hosts.allows(host) for host in HOSTS}
    for number in range(500):
        assert hosts.allows(f"{number}.example.com")
    assert {host: hosts.allows(host) for host in HOSTS} == once


def test_what_is_kept_has_a_limit() -> None:
    """Whoever asks for many hosts, or long ones, takes no memory."""
    hosts = Hosts("127.0.0.1", loopback=True, allowed=("*",))
    for number in range(1000):
        assert hosts.allows(f"{number}.example.com")
        assert hosts.allows("x" * 10_000 + str(number))
    assert sum(map(len, hosts._asked)) < 10_000  # nothing else shows it

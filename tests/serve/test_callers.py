"""Who a request is from."""

from __future__ import annotations

import ipaddress

import pytest

from ollama_openai_proxy.serve.callers import Callers

TRUSTED = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "192.0.2.1", "fd00::/8")))
CLIENT, SPOOFED = "203.0.113.9", "198.51.100.66"

# Peer, values of X-Forwarded-For in their order, and who it is.
ROWS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "not trusted": (CLIENT, (SPOOFED,), CLIENT),
    "not trusted, without": (CLIENT, (), CLIENT),
    "trusted, without": ("10.1.2.3", (), "10.1.2.3"),
    "trusted": ("10.1.2.3", (CLIENT,), CLIENT),
    "an address alone is trusted": ("192.0.2.1", (CLIENT,), CLIENT),
    "its neighbour is not": ("192.0.2.2", (CLIENT,), "192.0.2.2"),
    "what the client wrote before": ("10.1.2.3", (f"{SPOOFED}, {CLIENT}",), CLIENT),
    "in a header of its own": ("10.1.2.3", (SPOOFED, CLIENT), CLIENT),
    "several proxies": ("10.1.2.3", (f"{SPOOFED},{CLIENT} ,10.9.9.9,\t192.0.2.1",), CLIENT),
    "the client claims to be a proxy": ("10.1.2.3", (f"10.5.5.5, {CLIENT}",), CLIENT),
    "none but proxies": ("10.1.2.3", ("10.5.5.5, 10.6.6.6",), "10.5.5.5"),
    "nonsense": ("10.1.2.3", ("x",), "10.1.2.3"),
    "nonsense before a proxy": ("10.1.2.3", (f"{SPOOFED}, unknown, 10.7.7.7",), "10.7.7.7"),
    "nothing between commas": ("10.1.2.3", (f"{SPOOFED},,",), "10.1.2.3"),
    "empty": ("10.1.2.3", ("",), "10.1.2.3"),
    "with a port": ("10.1.2.3", (f"{CLIENT}:4711",), CLIENT),
    "IPv6": ("fd00::1", ("2001:DB8:0:0::9",), "2001:db8::9"),
    "IPv6 in brackets": ("10.1.2.3", ("[2001:db8::9]",), "2001:db8::9"),
    "IPv6 with a port": ("10.1.2.3", ("[2001:db8::9]:4711",), "2001:db8::9"),
    "IPv4 on a socket for both": ("::ffff:10.1.2.3", (CLIENT,), CLIENT),
    "IPv4 within IPv6": ("10.1.2.3", (f"::ffff:{CLIENT}",), CLIENT),
    "not trusted on a socket for both": (f"::ffff:{CLIENT}", (SPOOFED,), CLIENT),
    "not ascii": ("10.1.2.3", ("\u0661.\u0661.\u0661.\u0661",), "10.1.2.3"),
    "many": ("10.1.2.3", (",".join([SPOOFED] * 5000 + [CLIENT]),), CLIENT),
}


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    headers = [(b"forwarded", b"for=198.51.100.66"), (b"x-real-ip", b"198.51.100.66")]
    return {"client": (peer, 1), "headers": headers + [(b"x-forwarded-for", value.encode()) for value in forwarded]}


@pytest.mark.parametrize(("peer", "forwarded", "client"), ROWS.values(), ids=ROWS.keys())
def test_a20_whose_word_counts(peer: str, forwarded: tuple[str, ...], client: str) -> None:
    """A20: only a trusted proxy is believed, and only what it wrote itself: the last address that is no proxy's."""
    assert Callers(TRUSTED).of(scope(peer, *forwarded)) == client


@pytest.mark.parametrize("forwarded", [(), (SPOOFED,), ("127.0.0.1",)])
def test_a20_nobody_is_trusted(forwarded: tuple[str, ...]) -> None:
    """A20: by default what a client says of its address counts for nothing."""
    assert Callers().of(scope(CLIENT, *forwarded)) == CLIENT


def test_key_counts_for_more() -> None:
    """J13: who has a key is known by it, wherever it asks from."""
    assert Callers(TRUSTED).of({**scope("10.1.2.3", CLIENT), "caller": "key 1"}) == "key 1"


@pytest.mark.parametrize("client", [None, ("", 0), ("socket", 0)])
def test_no_address(client: tuple[str, int] | None) -> None:
    """A peer that has no address, on a socket of another kind, is one client, and nothing fails."""
    assert isinstance(Callers(TRUSTED).of({"client": client, "headers": []}), str)

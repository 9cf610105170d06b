"""Which names the proxy may be asked under: a web page must not reach it by a name rebound to its address."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_BROADCAST = ipaddress.ip_address("255.255.255.255")
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_CLUSTER_SUFFIX = ".svc"  # of a Service of Kubernetes; no public name ends so
_PORT = re.compile(r":\d*$")
_DOTLESS = re.compile(r"[\w-]+", re.ASCII)
_MAX_TOLD = 100  # names: whoever sends made-up ones shall not fill the log
_MAX_NAME = 100  # characters of one that are told
_MAX_ASKED = 100  # headers that are known again
_log = logging.getLogger(__name__)


class Hosts:
    """The rule on Host headers (contract 1.6), for a socket bound to `bound`.

    Bound to loopback it is Ollama's: addresses that mean this machine or its network, and names that
    no public DNS server answers for. Ollama has no rule for other sockets. Here they have one, for a
    page can reach them too, from a browser in the same network: any address, for none can be rebound;
    names without a dot or below `.svc`, which are those of neighbours; and the same names as above. `allowed` adds to
    both: exact names or addresses, `*.example.com` for all below that, `*` for any.
    """

    def __init__(self, bound: str, *, loopback: bool, allowed: tuple[str, ...] = ()) -> None:
        self.loopback = loopback
        names = [_name(name) for name in allowed]
        self._any = "*" in names
        self._below = tuple(name[1:] for name in names if name.startswith("*."))
        self._names = {"", "localhost", _name(socket.gethostname()), _name(bound), *names}
        self._told: set[str] = set()
        self._asked: set[str] = set()  # headers that were allowed, and always will be

    def allows(self, host: str) -> bool:
        """Whether the Host header, with or without a port, is one to answer."""
        if host in self._asked:
            return True
        name = _name(host)
        if not self._is_always_ours(name, address := address_of(host)):
            return address is not None and self.loopback and _is_own(address)
        if len(self._asked) < _MAX_ASKED and len(host) <= _MAX_NAME:
            self._asked.add(host)
        return True

    def _is_always_ours(self, name: str, address: Address | None) -> bool:
        """Whether it is one to answer, whatever addresses this machine has at the moment."""
        if self._any or name in self._names:
            return True
        if address:
            return not self.loopback or _is_near(address)
        if name.endswith((*_LOCAL_SUFFIXES, *self._below)):
            return True
        return not self.loopback and (name.endswith(_CLUSTER_SUFFIX) or _DOTLESS.fullmatch(name) is not None)

    def tell(self, host: str) -> None:
        """Log a host that is refused: each once, so that an operator learns what to allow."""
        name = "".join(filter(str.isprintable, _name(host)))[:_MAX_NAME]
        if name not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(name)
            _log.warning("refused a request for the host %r: if that is this proxy, ALLOWED_HOSTS must name it", name)


def address_of(host: str) -> Address | None:
    """Return the address that a Host header is, None for a name."""
    if "." in host.partition("%")[2]:  # a name after an address: anything is taken for a zone
        return None
    try:
        address = ipaddress.ip_address(_name(host))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _name(host: str) -> str:
    """Return the host without its port, without the dot that ends a full name, in lower case."""
    if host.count(":") > 1 and not host.startswith("["):
        return host.lower()  # an IPv6 address without brackets
    return _PORT.sub("", host).strip("[]").removesuffix(".").lower()


def _is_near(address: Address) -> bool:
    """Whether the address means this machine, or is of a private network."""
    if address.is_loopback or address.is_unspecified:
        return True
    return any(address in network for network in _PRIVATE if network.version == address.version)


def _is_own(address: Address) -> bool:
    """Whether an interface of this machine has the address: nothing else can be bound to. Nothing is sent."""
    if address.is_multicast or address == _BROADCAST:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True

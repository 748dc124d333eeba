"""Which servers a source may lead to: a redirect or a playlist must not reach into networks that its sender cannot see.

The address that the user gave is always allowed. What it points to from there, by a redirect or in a playlist, is
allowed when it lies in the public Internet, on the same host, or on a host that the user named.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ..credentials.redact import redact
from ..errors import InputError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(OSError):
    """An address that may not be opened. An OSError, so that it passes through FFmpeg; carries the error to raise."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: its host as written, its port, and the addresses that the host has now."""

    host: str
    port: int
    addresses: tuple[str, ...]


class Guard:
    """Decides for one source. origin: the URL that the user gave; allowed: hosts, addresses or networks (10.0.0.0/8)
    that it may lead to as well. Raises InputError for an `allowed` that is none of these."""

    def __init__(self, origin: str, allowed: Sequence[str] = ()) -> None:
        parts = urlsplit(origin)
        self._host, self._port = (parts.hostname or "").lower(), port_of(parts)
        self._origin: set[IPAddress] = set()
        self._hosts, self._networks = _allowed(allowed)

    def place(self, url: str) -> Place:
        """Resolve the host of a URL. Raises Refused, or OSError when there is no such host."""
        parts = urlsplit(url)
        check_protocol(url)
        host, port = (parts.hostname or "").lower(), port_of(parts)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if (host, port) == (self._host, self._port):
            self._origin |= {_plain(address) for address in addresses}
            return Place(host, port, addresses)
        open_to = tuple(a for a in addresses if self._may(host, port, _plain(a)))
        if not open_to:
            raise Refused(
                _refusal(url, f"{host}, an address of a private network", "public addresses, and the host itself")
            )
        return Place(host, port, open_to)

    def _may(self, host: str, port: int, address: IPAddress) -> bool:
        if host in self._hosts or any(address in network for network in self._networks):
            return True
        if address.is_global and not address.is_multicast:
            return True
        # The host that the user named may lead to its own other ports; on the loopback interface these are other
        # services of this machine.
        return address in self._origin and (not address.is_loopback or port == self._port)


def check_protocol(url: str) -> None:
    """Raises Refused for what is neither http nor https: files, pipes and whatever else FFmpeg would open."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise Refused(
            InputError(
                "video-unreadable",
                f"the source leads to {redact(url)}, by the protocol {parts.scheme or 'of a path'!r}",
                "http and https",
                "look at what the server sends",
            )
        )


def port_of(parts: SplitResult) -> int:
    """The port of a URL. Raises Refused for one that does not exist."""
    try:
        return parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise Refused(_refusal(parts.geturl(), "a port that does not exist", "1 to 65535")) from None


def _plain(text: str) -> IPAddress:
    """An address; an IPv4 address that is wrapped in an IPv6 one, unwrapped."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _allowed(entries: Sequence[str]) -> tuple[set[str], list[ipaddress.IPv4Network | ipaddress.IPv6Network]]:
    hosts: set[str] = set()
    networks = []
    for entry in entries:
        text = entry.strip().strip("[]").lower()
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            if not text or any(c in text for c in "/:@ "):
                raise InputError(
                    "allow-host",
                    f"{entry!r}",
                    "a host name, an address, or a network such as 10.0.0.0/8",
                    "set --allow-host",
                ) from None
            hosts.add(text)
    return hosts, networks


def _refusal(url: str, given: str, allowed: str) -> InputError:
    return InputError(
        "video-redirect",
        f"the source leads to {redact(url)}: {given}",
        allowed,
        "if you trust the source, name the host with --allow-host",
    )

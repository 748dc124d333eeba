"""Protection against server-side request forgery: redirects and playlists must not reach private networks.

The address of the source itself is always permitted. The target of a redirect or playlist entry is permitted if it is
on the public Internet, on the same host, or on a host that the user has allowed.
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
    """An address that must not be opened. An OSError, so that it passes through FFmpeg; `error` is the one to raise."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server of a URL: host as written, port, and the addresses that the host resolves to now."""

    host: str
    port: int
    addresses: tuple[str, ...]


class Guard:
    """Decides which servers one source may use.

    Args:
        origin: URL of the source.
        allowed: Further hosts, addresses and networks (10.0.0.0/8) that it may lead to.

    Raises:
        InputError: An entry of `allowed` is none of these.
    """

    def __init__(self, origin: str, allowed: Sequence[str] = ()) -> None:
        parts = urlsplit(origin)
        self._host, self._port = (parts.hostname or "").lower(), port_of(parts)
        self._origin: set[IPAddress] = set()
        self._hosts, self._networks = _allowed(allowed)

    def resolve(self, url: str) -> Endpoint:
        """Resolve the host of a URL. Raises Refused, or OSError if there is no such host."""
        parts = urlsplit(url)
        check_protocol(url)
        host, port = (parts.hostname or "").lower(), port_of(parts)
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))
        if (host, port) == (self._host, self._port):
            self._origin |= {_plain(address) for address in addresses}
            return Endpoint(host, port, addresses)
        permitted = tuple(a for a in addresses if self._permits(host, port, _plain(a)))
        if not permitted:
            raise Refused(
                _refusal(url, f"{host} is in a private network", "public addresses and the host of the source itself")
            )
        return Endpoint(host, port, permitted)

    def _permits(self, host: str, port: int, address: IPAddress) -> bool:
        if host in self._hosts or any(address in network for network in self._networks):
            return True
        if address.is_global and not address.is_multicast:
            return True
        # The host of the source may use its own other ports; on the loopback interface these would be other services
        # of this machine.
        return address in self._origin and (not address.is_loopback or port == self._port)


def check_protocol(url: str) -> None:
    """Raise Refused for protocols other than http and https: files, pipes and whatever else FFmpeg would open."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        kind = f"uses the protocol {parts.scheme!r}" if parts.scheme else "is a path"
        raise Refused(
            InputError(
                "video-unreadable",
                f"The source leads to {redact(url)}, which {kind}",
                "http and https",
                "check what the server sends",
            )
        )


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL. Raises Refused for an invalid one."""
    try:
        return parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise Refused(_refusal(parts.geturl(), "its port does not exist", "ports 1 to 65535")) from None


def _plain(text: str) -> IPAddress:
    """Parse an address; an IPv4 address embedded in an IPv6 address is extracted."""
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
                    f"The entry {entry!r} of `allow_hosts` is invalid",
                    "a host name, an address, or a network such as 10.0.0.0/8",
                    "correct `allow_hosts`",
                ) from None
            hosts.add(text)
    return hosts, networks


def _refusal(url: str, reason: str, allowed: str) -> InputError:
    return InputError(
        "video-redirect",
        f"The source leads to {redact(url)}: {reason}",
        allowed,
        "if you trust the source, add the host to `allow_hosts`",
    )

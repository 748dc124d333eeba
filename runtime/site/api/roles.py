"""Tokens and their roles: bearer tokens, the cookie of the page, and the limit on failed attempts."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Literal

from .settings import ApiSettings

Role = Literal["read", "operate"]
COOKIE = "punctum_site"
COOKIE_S = 30 * 86400
_ATTEMPTS = 10.0  # failures that an address may have at once
_REFILL_S = 6.0  # seconds after which it may have one more
_ADDRESSES = 4096


class Roles:
    """Which role a token or cookie has.

    A cookie holds the role, the end of its validity, and a signature made with the token itself: it outlives a restart
    of the service, and ends when the token is changed.

    Args:
        settings: With the tokens.
        clock: Unix seconds.
    """

    def __init__(self, settings: ApiSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        tokens: list[tuple[Role, str]] = [("read", settings.read_token), ("operate", settings.operate_token)]
        self._tokens = {role: token.encode() for role, token in tokens if token}

    def of_token(self, token: str) -> Role | None:
        """The role of a token. Compares with all of them, in constant time."""
        given, found = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), None
        for role, known in self._tokens.items():
            if hmac.compare_digest(given, hashlib.sha256(known).digest()):
                found = role
        return found

    def cookie(self, role: Role) -> str:
        """The value of a new cookie."""
        end = int(self._clock()) + COOKIE_S
        return f"{role}.{end}.{self._signature(role, end)}"

    def of_cookie(self, value: str) -> Role | None:
        """The role of a cookie; None if it is not ours or has ended."""
        name, _, rest = value.partition(".")
        end, _, signature = rest.partition(".")
        role = next((role for role in self._tokens if role == name), None)
        if role is None or not end.isascii() or not end.isdecimal() or len(end) > 12 or int(end) < self._clock():
            return None
        expected = self._signature(role, int(end))
        return role if hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()) else None

    def _signature(self, role: Role, end: int) -> str:
        return hmac.new(self._tokens[role], f"punctum page {role} {end}".encode(), hashlib.sha256).hexdigest()


class Attempts:
    """Limits the answers to wrong tokens by address: ten at once, then one every six seconds.

    It saves work and tells who asks too often. What protects the tokens is their length.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until another attempt is allowed; 0: now."""
        left, _ = self._now(_network(address))
        return max((1.0 - left) * _REFILL_S, 0.0)

    def failed(self, address: str) -> None:
        """An attempt has failed."""
        key = _network(address)
        left, now = self._now(key)
        self._left[key] = (left - 1.0, now)
        self._left.move_to_end(key)
        while len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)

    def _now(self, key: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._left.get(key, (_ATTEMPTS, now))
        return min(left + (now - at) / _REFILL_S, _ATTEMPTS), now


def cookies(headers: Iterable[str]) -> list[str]:
    """The values of our cookie in Cookie headers."""
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [value for key, _, value in pairs if key == COOKIE]


def _network(address: str) -> str:
    """An IPv6 client has 2^64 addresses: they count as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 6:
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else parsed.exploded[:19]
    return str(parsed)

"""Addresses to listen on."""

from __future__ import annotations

import re

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})")
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")


def parse_listen(text: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT or [IPv6]:PORT; None for anything else."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        return None
    return match["six"] or match["host"] or "0.0.0.0", int(match["port"])


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine only."""
    return _LOOPBACK.fullmatch(host) is not None

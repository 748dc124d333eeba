"""Settings of the API: who may use it, and its limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError

LEAST_TOKEN = 16
_TOKEN = re.compile(rf"[\x21-\x7e]{{{LEAST_TOKEN},512}}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:]{2,45}\](:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Who may use the API, and its limits.

    Attributes:
        media: The folder of clips and pictures; nothing outside of it is sent.
        read_token: Bearer token that may read; "" without one. Without any token, the API accepts everything, so it
            must listen on the loopback interface only.
        operate_token: Bearer token that may also change things.
        hosts: Names of reverse proxies in front of the service, as browsers send them in the Host header.
        clients: Clients that may wait for events at a time.
        heartbeat_s: Seconds after which a stream of events without news sends a comment.
        slow_s: Seconds after which a client that takes nothing is disconnected.
        body_s: Seconds that a request may take to arrive.
        picture_s: Seconds for which a live picture is given out again.
    """

    media: Path
    read_token: str = ""
    operate_token: str = ""
    hosts: tuple[str, ...] = ()
    clients: int = 64
    heartbeat_s: float = 10.0
    slow_s: float = 30.0
    body_s: float = 15.0
    picture_s: float = 1.0

    def __post_init__(self) -> None:
        """Raises InputError."""
        for role, token in (("read", self.read_token), ("operate", self.operate_token)):
            if token and not _TOKEN.fullmatch(token):
                raise InputError(
                    "site-http-token",
                    f"The token for {role} is too short, or has characters that are not allowed",
                    f"{LEAST_TOKEN} to 512 printable ASCII characters without spaces",
                    "make one with `openssl rand -hex 24`",
                )
        if self.read_token and self.read_token == self.operate_token:
            raise InputError(
                "site-http-token",
                "The tokens for read and operate are the same",
                "two different tokens",
                "make another one with `openssl rand -hex 24`",
            )
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise InputError(
                    "site-http-host", f"{host[:80]!r} is not a host name", "HOST or HOST:PORT", "correct http.hosts"
                )

    @property
    def closed(self) -> bool:
        """Whether requests need a token."""
        return bool(self.read_token or self.operate_token)

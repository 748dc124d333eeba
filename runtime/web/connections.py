"""Limits on slow and idle connections of a server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

IDLE = 128
_HEADER_S = 10.0  # for the header of a request to arrive
_NEXT_S = 60.0  # for the next request of a connection
_STALLED_MS = 30_000  # after which the system drops a connection that takes nothing


class Connections:
    """Closes connections that send no request in time, and the oldest idle one when there are too many.

    The application finds a function in `scope["punctum.abort"]` that drops the connection at once.

    Args:
        app: The application.
        idle: Connections without a request at a time; the oldest one is closed for a new one.
    """

    def __init__(self, app: ASGIApp, idle: int = IDLE) -> None:
        self._app, self._most = app, idle
        self._idle: dict[Any, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}
        self._open: dict[Any, asyncio.Transport] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = scope.get("client")
        self._busy(key)
        transport = self._open.get(key)
        try:
            await self._app({**scope, "punctum.abort": transport.abort if transport else lambda: None}, receive, send)
        except asyncio.CancelledError:
            # Requests are cancelled only when the service ends. uvicorn would log a traceback for each.
            if transport is not None:
                transport.abort()
        finally:
            # The connection may send another request. uvicorn closes it after its own time if nothing comes; this
            # limits how slowly a request may come.
            if key in self._open:
                self._waits(key, _NEXT_S)

    def _waits(self, key: Any, seconds: float) -> None:
        transport = self._open[key]
        self._busy(key)
        if len(self._idle) >= self._most:
            oldest = next(iter(self._idle))
            self._busy_and_close(oldest)
        timer = asyncio.get_running_loop().call_later(seconds, self._busy_and_close, key)
        self._idle[key] = (transport, timer)

    def _busy(self, key: Any) -> None:
        found = self._idle.pop(key, None)
        if found is not None:
            found[1].cancel()

    def _busy_and_close(self, key: Any) -> None:
        found = self._idle.get(key)
        self._busy(key)
        if found is not None:
            found[0].abort()

    def protocol(self) -> type[asyncio.Protocol]:
        """The protocol of a connection."""
        from uvicorn.protocols.http.h11_impl import H11Protocol

        connections = self

        class Protocol(H11Protocol):  # type: ignore[misc]
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                _drop_stalled(transport.get_extra_info("socket"))
                if self.client is not None:
                    connections._open[tuple(self.client)] = transport
                    connections._waits(tuple(self.client), _HEADER_S)

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    connections._busy(tuple(self.client))
                    connections._open.pop(tuple(self.client), None)
                super().connection_lost(exc)

        return Protocol


def _drop_stalled(sock: Any) -> None:
    """The system drops connections whose other side takes nothing, also while we wait for nothing."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if sock is not None and option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, _STALLED_MS)

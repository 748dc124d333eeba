"""Serving an application in a thread of its own, with limits on slow and idle connections."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import InputError, PunctumError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from .guard import Guard

_HEADER_S = 10.0  # for the header of a request to arrive
_IDLE = 128  # connections without a request at a time; the oldest one is closed for a new one
_BUSY = 256  # requests at a time beside clients that wait for events
_MOST_HEADER = 16 << 10
_STALLED_MS = 30_000  # after which the system drops a connection that takes nothing
_STOP_S = 5.0


class Served:
    """A running server. `close` ends it."""

    def __init__(self, host: str, port: int, stop: Callable[[], None], thread: threading.Thread) -> None:
        self.host, self.port, self._stop, self._thread = host, port, stop, thread

    @property
    def url(self) -> str:
        """Address of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """End all streams and connections, and wait for the thread. May be called more than once."""
        self._stop()
        self._thread.join(_STOP_S)


def serve_http(app: Guard, host: str, port: int, *, clients: int = 64) -> Served:
    """Serve an application in a thread until the returned object is closed.

    Args:
        app: Of `create_app`.
        host: Address to listen on.
        port: 0: any free one.
        clients: Clients that may wait for events at a time, beside all other requests.

    Raises:
        InputError: The address cannot be used.
        PunctumError: The server does not start.
    """
    import uvicorn

    if not app.settings.closed and not is_loopback(host):
        raise InputError(
            "site-http-open",
            f"The service would accept everybody on {host}, since it has no tokens",
            "127.0.0.1, ::1 or localhost without tokens",
            "configure http.tokens, or listen on 127.0.0.1",
        )
    listener = _listen(host, port)
    connections = _Connections(app)
    config = uvicorn.Config(
        connections,
        loop="asyncio",
        http=connections.protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # clients must not be able to fill the log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=1,
        limit_concurrency=clients + _BUSY + _IDLE,
        h11_max_incomplete_event_size=_MOST_HEADER,
    )
    server = uvicorn.Server(config)
    # Signals belong to the main thread; uvicorn would raise them again at the end.
    server.capture_signals = contextlib.nullcontext
    loops: list[asyncio.AbstractEventLoop] = []
    started, failures = threading.Event(), list[BaseException]()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        started.set()
        await serving

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 -- told to the thread that starts the server
            failures.append(error)
        finally:
            started.set()
            listener.close()

    def stop() -> None:
        def ending() -> None:
            app.close()
            server.should_exit = True

        with contextlib.suppress(RuntimeError, IndexError):  # the loop has ended
            loops[0].call_soon_threadsafe(ending)

    thread = threading.Thread(target=main, name="http", daemon=True)
    thread.start()
    started.wait()
    served = Served(host, int(listener.getsockname()[1]) if server.started else port, stop, thread)
    if not server.started:
        thread.join(_STOP_S)
        cause = failures[0] if failures else None
        raise PunctumError(
            "site-http-start", f"The HTTP server does not start: {cause!r}", next_step="see the log for the reason"
        ) from cause
    return served


class _Connections:
    """Closes connections that send no request in time, and the oldest idle one when there are too many.

    The application finds a function in `scope["punctum.abort"]` that drops the connection at once.
    """

    def __init__(self, app: Guard) -> None:
        self._app = app
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
                self._waits(key, 60.0)

    def _waits(self, key: Any, seconds: float) -> None:
        transport = self._open[key]
        self._busy(key)
        if len(self._idle) >= _IDLE:
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


def _listen(host: str, port: int) -> socket.socket:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        version = 4
    listener = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
        listener.setblocking(False)
    except (OSError, OverflowError, UnicodeError) as error:
        listener.close()
        raise InputError(
            "site-http-listen",
            f"The address {host}:{port} cannot be used ({error})",
            required="a free port of this machine",
            next_step="choose another port with http.listen, or end the program that uses it",
        ) from None
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Serving an application in a thread of its own, with limits on slow and idle connections."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import InputError, PunctumError
from ...web.connections import IDLE, Connections

if TYPE_CHECKING:
    from .guard import Guard

_BUSY = 256  # requests at a time beside clients that wait for events
_MOST_HEADER = 16 << 10
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
    connections = Connections(app)
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
        limit_concurrency=clients + _BUSY + IDLE,
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

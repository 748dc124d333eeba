"""The HTTP server for metrics and health: one thread, a bounded number of connections, a deadline for each request.

It must not slow the run down: a client that sends one byte a second, or nothing, occupies one of MAX_CLIENTS slots for
REQUEST_S seconds at most, and loses it as soon as others need it. One request per connection.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from ..errors import InputError

MAX_CLIENTS = 32
REQUEST_S = 10.0  # from the connection to the last byte of the answer, however the client paces itself
MAX_HEAD = 16 << 10
ACCEPT_PAUSE_S = 0.5  # after the process ran out of descriptors
_ADDRESS = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})")
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/1\.[0-9]")
_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class RendersMetrics(Protocol):
    """Answers /metrics."""

    content_type: str

    def render(self) -> bytes:
        """All metrics in the text format."""
        ...


class ChecksHealth(Protocol):
    """Answers /healthz and /readyz. Each answer is whether all is well, and one line that says why or why not."""

    def alive(self) -> tuple[bool, str]: ...

    def ready(self) -> tuple[bool, str]: ...


class MetricsServer:
    """Serves /metrics, /healthz and /readyz from a thread of its own.

    Args:
        address: "HOST:PORT", "[IPV6]:PORT", or ":PORT" for the loopback interface. Other interfaces must be named:
            "0.0.0.0:9100" or "[::]:9100" (which accepts IPv4 as well).
        metrics: What /metrics returns.
        health: What /healthz and /readyz return.

    Raises:
        InputError: The address is invalid or cannot be used.
    """

    def __init__(self, address: str, metrics: RendersMetrics, health: ChecksHealth) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match["port"]) > 65535:
            raise InputError(
                "metrics-address",
                f"{address!r} is not an address for metrics",
                "HOST:PORT, [IPV6]:PORT or :PORT",
                "for this machine alone, set `metrics=:9100`",
            )
        self._metrics, self._health = metrics, health
        try:
            self._listener = _listen(match["six"] or match["host"] or "127.0.0.1", int(match["port"]))
        except (OSError, UnicodeError) as error:
            raise InputError(
                "metrics-address",
                f"Cannot serve metrics on {address} ({error})",
                required="an address of this machine that is not in use",
                next_step="choose another port or address",
            ) from None
        self.host, self.port = str(self._listener.getsockname()[0]), int(self._listener.getsockname()[1])
        self._clients: dict[socket.socket, _Client] = {}  # in order of their arrival
        self._paused_until = 0.0
        self._stop = False
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        for ours in (self._listener, self._woken, self._waker):
            ours.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="punctum-metrics", daemon=True)
        self._thread.start()

    @property
    def clients(self) -> int:
        """Connections that are open now."""
        return len(self._clients)

    def close(self) -> None:
        """Stop serving. Open connections are dropped. Safe to call twice."""
        self._stop = True
        with contextlib.suppress(OSError):
            self._waker.send(b"x")
        self._thread.join(timeout=5.0)

    def _serve(self) -> None:
        try:
            while not self._stop:
                self._round()
        finally:
            for client in list(self._clients.values()):
                self._drop(client)
            self._selector.close()
            for ours in (self._listener, self._woken, self._waker):
                ours.close()

    def _round(self) -> None:
        now = time.monotonic()
        for client in [c for c in self._clients.values() if c.deadline <= now]:
            self._drop(client)
        if self._paused_until and now >= self._paused_until:
            self._paused_until = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)
        waits = [c.deadline - now for c in self._clients.values()]
        if self._paused_until:
            waits.append(self._paused_until - now)
        for key, _ in self._selector.select(max(min(waits), 0.0) if waits else None):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.fileobj, socket.socket) and key.fileobj is not self._woken:
                waiting = self._clients.get(key.fileobj)
                if waiting is not None:
                    self._tend(waiting)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # no descriptors left: those who wait stay in the backlog
            self._selector.unregister(self._listener)
            self._paused_until = time.monotonic() + ACCEPT_PAUSE_S
            return
        if len(self._clients) >= MAX_CLIENTS:
            # The oldest one has had the most time; whoever scrapes needs milliseconds.
            self._drop(next(iter(self._clients.values())))
        connection.setblocking(False)
        self._clients[connection] = _Client(connection, time.monotonic() + REQUEST_S)
        self._selector.register(connection, selectors.EVENT_READ)

    def _tend(self, client: _Client) -> None:
        try:
            if client.reading:
                if not client.receive():
                    return
                client.answer(self._answer)
                self._selector.modify(client.socket, selectors.EVENT_WRITE)
            if client.send():
                self._drop(client)
        except BlockingIOError:
            pass
        except OSError:  # a client that went away is no news
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.socket, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)
        client.close()

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            try:
                return 200, self._metrics.content_type, self._metrics.render()
            except Exception as error:  # noqa: BLE001 - a scrape that fails must not end the thread
                return 500, _TEXT, f"metrics failed: {type(error).__name__}\n".encode()
        if path in ("/healthz", "/readyz"):
            good, text = self._health.alive() if path == "/healthz" else self._health.ready()
            return (200 if good else 503), _TEXT, text.encode("utf-8", "backslashreplace") + b"\n"
        return 404, _TEXT, b"/metrics, /healthz, /readyz\n"


class _Client:
    """One connection: its request as far as it has come, then what is left of the answer."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.socket, self.deadline = connection, deadline
        self.reading = True
        self._data = b""

    def receive(self) -> bool:
        """Whether the head of the request is complete, or will not be."""
        piece = self.socket.recv(4096)
        if not piece and not self._data:
            raise ConnectionResetError("closed without a request")
        self._data += piece
        line, newline, _ = self._data.partition(b"\n")
        if newline and _REQUEST.fullmatch(line.rstrip(b"\r")) is None:
            return True  # no HTTP: whoever it is need not be waited for
        return not piece or len(self._data) > MAX_HEAD or b"\r\n\r\n" in self._data or b"\n\n" in self._data

    def answer(self, respond: Callable[[str], tuple[int, str, bytes]]) -> None:
        """Prepare the answer."""
        self.reading = False
        status, kind, body = 400, _TEXT, b"GET or HEAD, HTTP/1.0 or 1.1\n"
        request = _REQUEST.fullmatch(self._data.split(b"\n", 1)[0].rstrip(b"\r"))
        method = request[1] if request else b""
        if len(self._data) > MAX_HEAD:
            status, body = 431, b"the head of the request is too long\n"
        elif method in (b"GET", b"HEAD") and request is not None:
            target = re.sub(r"^https?://[^/?]*", "", request[2].decode("ascii"))
            status, kind, body = respond(target.partition("?")[0].partition("#")[0])
        elif method:
            status, body = 405, b"GET or HEAD\n"
        head = [
            f"HTTP/1.1 {status} {_REASONS[status]}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *(["Allow: GET, HEAD"] if status == 405 else []),
        ]
        self._data = "\r\n".join([*head, "", ""]).encode() + (b"" if method == b"HEAD" else body)

    def send(self) -> bool:
        """Send what the socket takes; whether that was all of it."""
        sent = self.socket.send(self._data)
        self._data = self._data[sent:]
        return not self._data

    def close(self) -> None:
        # Unread bytes of a request would turn the close into a reset, which discards the answer on its way.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            for _ in range(16):
                if not self.socket.recv(65536):
                    break
        self.socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listener.bind(target)
        listener.listen(MAX_CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener

"""The HTTP client of `_http`: connections to checked addresses, logins, redirects, and a deadline per request."""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, MutableMapping
from urllib.parse import quote, unquote, urljoin, urlsplit

from ._guard import Guard, check_protocol

MAX_REDIRECTS = 5


class Watchdog:
    """Shuts down the connection of a request that takes too long as a whole.

    The time-outs of sockets are not enough: they start again with every byte.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self.deadline = time.monotonic() + seconds
        self.sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        self.sockets.append(connection)
        if self.expired:
            self._expire()

    def _expire(self) -> None:
        self.expired = True
        cut(self.sockets)

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()


def cut(sockets: Iterable[socket.socket]) -> None:
    """Shut down connections, which wakes the threads that wait for them."""
    for connection in sockets:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def client(guard: Guard, url: str, login: str) -> urllib.request.OpenerDirector:
    """Create an opener for http and https only.

    Args:
        guard: Decides which servers may be used.
        url: URL of the source.
        login: "user:password", percent-encoded, sent only to the host of `url`.
    """
    director = urllib.request.OpenerDirector()
    parts = [
        urllib.request.ProxyHandler(),  # http_proxy, https_proxy and no_proxy, as in FFmpeg
        _Http(guard),
        _Https(guard),
        _Redirects(),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ]
    if login:
        user, _, password = login.partition(":")
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        root = urlsplit(url)
        known.add_password(None, f"{root.scheme}://{root.netloc}/", unquote(user), unquote(password))
        parts += [urllib.request.HTTPBasicAuthHandler(known), urllib.request.HTTPDigestAuthHandler(known)]
    for part in parts:
        director.add_handler(part)
    return director


def quoted(url: str) -> str:
    """Percent-encode characters of a URL that a request must not contain."""
    parts = urlsplit(url)
    keep = "%/:=&?~+!$,;'@()*[]|"
    with contextlib.suppress(UnicodeError):
        host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
        parts = parts._replace(netloc=host)
    return parts._replace(path=quote(parts.path, safe=keep), query=quote(parts.query, safe=keep), fragment="").geturl()


class _Plain(http.client.HTTPConnection):
    guard: Guard
    watchdog: Watchdog
    secure = False

    def connect(self) -> None:
        sock = self._dial()
        self.watchdog.watch(sock)
        self.sock = sock

    def _dial(self) -> socket.socket:
        """Connect to one of the checked addresses; the name is not resolved again."""
        timeout = min(float(self.timeout or 10.0), max(self.watchdog.deadline - time.monotonic(), 0.01))
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self._proxied:
            sock = socket.create_connection((self.host, self.port), timeout)
        else:
            endpoint = self.guard.resolve(f"{scheme}://{host}:{self.port}/")
            sock = _first(endpoint.addresses, endpoint.port, timeout)
        sock.settimeout(self.timeout)
        return sock

    _proxied = False


class _Secure(_Plain, http.client.HTTPSConnection):
    secure = True

    def connect(self) -> None:
        sock = self._dial()
        self.watchdog.watch(sock)
        self.sock = sock
        name = self.host
        if getattr(self, "_tunnel_host", None):
            self._tunnel()  # type: ignore[attr-defined]  # as in http.client.HTTPSConnection.connect
            name = self._tunnel_host  # type: ignore[attr-defined]
        # The default of FFmpeg: many cameras have self-signed certificates.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(sock, server_hostname=name)
        self.watchdog.watch(self.sock)


def _first(addresses: tuple[str, ...], port: int, timeout: float) -> socket.socket:
    fault: OSError = ConnectionRefusedError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            fault = error
    raise fault


class WatchedRequest(urllib.request.Request):
    """A request whose connection a watchdog may cut.

    Args:
        url: What to request.
        headers: Its headers.
        watchdog: Limits the time until the response.
        hops: Redirects that led to it.
    """

    def __init__(self, url: str, headers: MutableMapping[str, str], watchdog: Watchdog, *, hops: int = 0) -> None:
        super().__init__(url, headers=headers)
        self.watchdog, self.hops = watchdog, hops


def _connection(kind: type[_Plain], guard: Guard, request: urllib.request.Request) -> Callable[..., _Plain]:
    if not isinstance(request, WatchedRequest):
        raise TypeError("a request without a watchdog")

    def connect(host: str, *, timeout: float) -> _Plain:
        connection = kind(host, timeout=timeout)
        connection.guard, connection.watchdog = guard, request.watchdog
        connection._proxied = request.has_proxy() or getattr(request, "_tunnel_host", None) is not None
        return connection

    return connect


def _check_proxied(guard: Guard, url: str) -> None:
    """Check a URL that a proxy will open. Names that this machine cannot resolve are left to the proxy."""
    with contextlib.suppress(socket.gaierror):
        guard.resolve(url)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        if req.has_proxy():
            _check_proxied(self._guard, req.full_url)
        return self.do_open(_connection(_Plain, self._guard, req), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        if getattr(req, "_tunnel_host", None):
            _check_proxied(self._guard, req.full_url)
        return self.do_open(_connection(_Secure, self._guard, req), req)


class _Redirects(urllib.request.BaseHandler):
    """Follows redirects within http and https. Their targets are checked when the connection is made."""

    def http_error_302(
        self, req: WatchedRequest, fp: http.client.HTTPResponse, code: int, msg: str, headers: http.client.HTTPMessage
    ) -> http.client.HTTPResponse:
        target = headers.get("Location")
        fp.close()  # its body is not needed and may be endless
        if not target:
            raise OSError(f"redirect without an address (HTTP {code})")
        try:
            target = urljoin(req.full_url, target)
            check_protocol(target)
        except ValueError:  # brackets that do not match, for example
            raise OSError(f"redirect to an invalid address (HTTP {code})") from None
        if req.hops == MAX_REDIRECTS:
            raise OSError(f"more than {MAX_REDIRECTS} redirects")
        request = WatchedRequest(quoted(target), req.headers, req.watchdog, hops=req.hops + 1)
        response: http.client.HTTPResponse = self.parent.open(request, timeout=req.timeout)
        return response

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

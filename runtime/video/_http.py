"""HTTP for video, in place of the client of FFmpeg.

FFmpeg follows redirects anywhere, does not distinguish the end of a body from an interruption, and repeats requests for
bodies without a length. Here every request passes the guard, connects to exactly the address that was checked, and has
a deadline.
"""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit, urlunsplit

from ._guard import Guard, Refused, check_protocol
from ._http_body import HttpBody
from ._http_client import Watchdog, WatchedRequest, client, cut, quoted
from ._http_nested import Bytes, data_uri, decryptor

MAX_PLAYLIST = 16 << 20


class HttpSource:
    """One source over HTTP: the state that its connections share.

    Args:
        url: URL of the source; may contain user and password.
        limits: Time limits in seconds for the response to a request and for each read.
        allowed: See `Guard`.
    """

    def __init__(self, url: str, *, limits: tuple[float, float], allowed: Sequence[str] = ()) -> None:
        parts = urlsplit(url)
        login, _, host = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=host))
        self.limits = limits
        self.guard = Guard(self.url, allowed)
        self.head: bytes | None = None
        """First bytes of the first body; None before the first request."""
        self.ended = False
        """Whether the latest playlist is complete."""
        self._deadline = float("inf")
        self._stopped = False
        self._open: deque[socket.socket] = deque(maxlen=8)  # sockets of the latest requests
        self._opener = client(self.guard, self.url, login)

    def first(self) -> HttpBody:
        """Request the source itself. Raises Refused, OSError, HTTPError."""
        body = HttpBody(self, self.url)
        if self.head is None and body.length is None:
            self.head, body.records = b"", True
        return body

    def nested(self, url: str, flags: int, options: dict[str, str]) -> HttpBody | Bytes:
        """Open an entry of a playlist, for FFmpeg's `io_open`.

        An entry that cannot be reached is returned as an empty file, because FFmpeg skips missing segments.

        Raises:
            Refused: The entry must not be opened. This ends the stream.
        """
        if url.startswith("data:"):
            return Bytes(data_uri(url))
        plain, decrypt = url, None
        if url.startswith(("crypto+", "crypto:")):
            plain = url[7:]
            decrypt = decryptor(options)
        try:
            first = int(options.get("offset", 0) or 0)
            end = int(options.get("end_offset", 0) or 0)
            body = HttpBody(self, urljoin(self.url, plain), first=first, end=end, sequential=decrypt is not None)
            if decrypt is not None:
                return Bytes(decrypt(body.read_all()))
            return self.playlist(body) if body.is_playlist() else body
        except Refused:
            raise
        except (OSError, http.client.HTTPException):
            self.check_deadline()
            return Bytes(b"")

    def playlist(self, body: HttpBody) -> Bytes:
        """Return a playlist as a file. It is read as a whole, because its last line shows whether it is complete."""
        data = body.read_all(MAX_PLAYLIST)
        body.close()
        self.ended = b"#EXT-X-ENDLIST" in data
        return Bytes(data, body.name)

    def arm(self, seconds: float) -> None:
        """Set a deadline in seconds for all following reads together, so that a trickle of bytes counts as silence."""
        self._deadline = time.monotonic() + seconds

    def stop(self) -> None:
        """Wake threads that wait for the server. May be called from any thread; nothing can be read afterwards."""
        self._stopped = True
        cut(tuple(self._open))

    def check_deadline(self) -> None:
        """Raise TimeoutError after the deadline, ConnectionAbortedError after `stop`."""
        if self._stopped:
            raise ConnectionAbortedError("stopped")
        if time.monotonic() > self._deadline:
            raise TimeoutError("the server is too slow")

    def request(self, url: str, first: int | None, end: int = 0) -> http.client.HTTPResponse:
        """Send a request and return the response.

        Args:
            url: What to request.
            first: Offset of the first byte; None requests the whole body, without a range.
            end: Offset after the last byte; 0 means the end of the body.
        """
        check_protocol(url)
        self.check_deadline()
        headers = {"User-Agent": "punctum", "Accept": "*/*", "Accept-Encoding": "identity"}
        if first is not None:
            headers["Range"] = f"bytes={first}-{end - 1 if end else ''}"
        seconds = min(self.limits[0], max(self._deadline - time.monotonic(), 0.01))
        with Watchdog(seconds) as watchdog:
            request = WatchedRequest(quoted(url), headers, watchdog)
            try:
                response: http.client.HTTPResponse = self._opener.open(request, timeout=self.limits[1])
            except urllib.error.HTTPError as error:
                error.close()
                raise
            except urllib.error.URLError as error:
                if watchdog.expired:
                    raise TimeoutError("the server did not respond in time") from None
                if isinstance(error.reason, Exception):
                    raise error.reason from None
                raise
            except (OSError, http.client.HTTPException) as error:
                if watchdog.expired:
                    raise TimeoutError("the server did not respond in time") from None
                if isinstance(error, OSError):
                    raise
                raise ConnectionResetError(f"invalid HTTP response ({type(error).__name__})") from None
            except ValueError:  # an authentication scheme that the standard library lacks
                raise PermissionError("the server requires authentication other than Basic or Digest") from None
        self._open.extend(watchdog.sockets[-1:])
        self.check_deadline()
        return response

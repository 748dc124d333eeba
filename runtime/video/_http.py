"""HTTP for video, in place of FFmpeg's: where redirects and playlists may lead, and what the end of a body means.

FFmpeg follows redirects anywhere, does not tell a body that ended from one that was cut, and asks again for what has
no length. Here every request passes the guard, connects to exactly the address that was checked, and has a deadline.
"""

from __future__ import annotations

import http.client
import re
import socket
import time
import urllib.error
import urllib.request
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from ._guard import Guard, Refused, check_protocol
from ._http_client import Watchdog, client, cut, quoted
from ._http_nested import Bytes, data_uri, decryptor

HEAD_BYTES = 16 << 10  # what tells whether a server begins the same recording again
MAX_LENGTH = 1 << 43  # eight terabytes; what claims to be longer is a stream without an end
MIN_HEAD = 512  # fewer bytes prove nothing
SKIP_BYTES = 256 << 10  # a seek forward by no more than this reads on instead of asking again
MAX_PLAYLIST = 16 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class HttpSource:
    """One source over HTTP, for all its connections: what it needs to know from one to the next.

    url: may hold user and password. limits: seconds for a request to be answered, and for each read.
    """

    def __init__(self, url: str, *, limits: tuple[float, float], allowed: Sequence[str] = ()) -> None:
        parts = urlsplit(url)
        login, _, host = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=host))
        self.limits = limits
        self.guard = Guard(self.url, allowed)
        self.head: bytes | None = None
        """How the first body began."""
        self.ended = False
        """The playlist read last says that it is complete."""
        self._deadline = float("inf")
        self._stopped = False
        self._open: deque[socket.socket] = deque(maxlen=8)  # of the requests made last
        self._opener = client(self.guard, self.url, login)

    def first(self) -> HttpBody:
        """Ask for the source itself. Raises Refused, OSError, HTTPError."""
        body = HttpBody(self, self.url)
        if self.head is None and body.length is None:
            self.head, body.records = b"", True
        return body

    def nested(self, url: str, flags: int, options: dict[str, str]) -> Any:
        """What a playlist names, for FFmpeg's `io_open`. Raises Refused, which ends the stream; what cannot be reached
        is empty, as FFmpeg skips a segment that is gone."""
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

    def playlist(self, body: HttpBody) -> Any:
        """A playlist as a file, read as a whole, since its last line tells whether more will come."""
        data = body.read_all(MAX_PLAYLIST)
        body.close()
        self.ended = b"#EXT-X-ENDLIST" in data
        return Bytes(data, body.name)

    def arm(self, seconds: float) -> None:
        """All reads together must finish within `seconds` from now: a server that sends a byte now and then is
        as silent as one that sends none."""
        self._deadline = time.monotonic() + seconds

    def stop(self) -> None:
        """End what waits for the server, from any thread; nothing can be read afterwards."""
        self._stopped = True
        cut(tuple(self._open))

    def check_deadline(self) -> None:
        """Raises TimeoutError, ConnectionAbortedError after `stop`."""
        if self._stopped:
            raise ConnectionAbortedError("stopped")
        if time.monotonic() > self._deadline:
            raise TimeoutError("the server is too slow")

    def request(self, url: str, first: int | None, end: int = 0) -> http.client.HTTPResponse:
        """The answer to a request for bytes from `first` on; None: for everything, without asking for a range."""
        check_protocol(url)
        self.check_deadline()
        headers = {"User-Agent": "punctum", "Accept": "*/*", "Accept-Encoding": "identity"}
        if first is not None:
            headers["Range"] = f"bytes={first}-{end - 1 if end else ''}"
        request = urllib.request.Request(quoted(url), headers=headers)
        seconds = min(self.limits[0], max(self._deadline - time.monotonic(), 0.01))
        with Watchdog(seconds) as watchdog:
            request.watchdog = watchdog  # type: ignore[attr-defined]  # for the connection it leads to
            try:
                answer: http.client.HTTPResponse = self._opener.open(request, timeout=self.limits[1])
            except urllib.error.HTTPError as error:
                error.close()
                raise
            except urllib.error.URLError as error:
                if watchdog.barked:
                    raise TimeoutError("the server did not answer in time") from None
                if isinstance(error.reason, Exception):
                    raise error.reason from None
                raise
            except (OSError, http.client.HTTPException) as error:
                if watchdog.barked:
                    raise TimeoutError("the server did not answer in time") from None
                if isinstance(error, OSError):
                    raise
                raise ConnectionResetError(f"no HTTP answer ({type(error).__name__})") from None
            except ValueError:  # a way to log in that the standard library does not know
                raise PermissionError("the server asks for another way to log in than Basic or Digest") from None
        self._open.extend(watchdog.sockets[-1:])
        self.check_deadline()
        return answer


class HttpBody:
    """The body of an answer as a file for FFmpeg: `read`, and where the server serves ranges `seek`."""

    def __init__(self, source: HttpSource, url: str, *, first: int = 0, end: int = 0, sequential: bool = False) -> None:
        self._source, self._url, self._end = source, url, end
        self._first = first
        self.waited_s = 0.0
        """Seconds spent waiting for the server since the first byte came."""
        self.length: int | None = None
        """Bytes in all, None when the server does not say."""
        self.cut: ConnectionError | None = None
        """What ended it before all of it had come. FFmpeg is told that it has ended, so that it hands out the last
        frame."""
        self._pos = self._want = first
        self._ahead = b""
        self.records = False
        """It is the first body of its source, and tells how that began."""
        self._decode: Any = None
        self._ranges = not sequential
        self._answer: Any = self._ask(first)
        self.name = self._answer.geturl()
        self.kind = self._answer.headers.get_content_type()

    def _ask(self, first: int) -> http.client.HTTPResponse:
        try:
            answer = self._source.request(self._url, first if self._ranges else None, self._end)
        except urllib.error.HTTPError as error:
            if error.code != 416 or first:
                raise
            answer = self._source.request(self._url, None)  # a server that cannot even serve all bytes as a range
        span = _RANGE.fullmatch((answer.headers.get("Content-Range") or "").strip())
        if answer.status == 206 and (span is None or int(span[1]) != first):
            answer.close()
            if first:
                raise OSError(f"asked for bytes from {first}, got {answer.headers.get('Content-Range')!r}")
            self._ranges = False
            answer = self._source.request(self._url, None)
            span = None
        coding = (answer.headers.get("Content-Encoding") or "identity").lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._decode = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif coding != "identity":
            answer.close()
            raise OSError(f"content encoding {coding!r}, which was not asked for")
        if answer.status != 206 or self._decode is not None:
            self._ranges = False
            self.length = None if self._decode is not None or (answer.length or 0) > MAX_LENGTH else answer.length
            self._pos = 0
        elif span is not None and span[3] != "*":
            total = int(span[3])
            if self.length not in (None, total):
                raise OSError(f"the recording changed its length from {self.length} to {total} bytes")
            self.length = total
        return answer

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, as soon as there are any; b"" at the end, also at one that came too early, see `cut`.
        Raises OSError, TimeoutError."""
        try:
            if self._want != self._pos:
                self._move()
            data = self._ahead[:size] or (b"" if self.cut else self._more(size))
        except ConnectionError as error:
            self.cut, data = error, b""
        self._ahead = self._ahead[len(data) :]
        self._pos += len(data)
        self._want = self._pos
        return data

    def _more(self, size: int) -> bytes:
        """The bytes after those that are there. Servers may answer with a shorter range than was asked for."""
        data = self._receive(size)
        at, whole = self._pos + len(self._ahead), self.length
        if data or not size or not self._ranges or self._end or whole is None or at >= whole:
            return data
        self._answer.close()
        try:
            self._answer = self._ask(at)
            data = self._receive(size)
        except Refused:
            raise
        except (OSError, http.client.HTTPException):
            data = b""
        self._source.check_deadline()
        if not data:
            raise ConnectionResetError(f"the answer was cut, {whole - at} bytes before its end")
        return data

    def _receive(self, size: int) -> bytes:
        self._source.check_deadline()
        while True:
            began = time.monotonic()
            try:
                data: bytes = self._answer.read1(size)
            except http.client.HTTPException:  # a chunk that ends early, or what is no chunk
                raise ConnectionResetError("the answer was cut") from None
            if self._pos or self._ahead:
                self.waited_s += time.monotonic() - began
            if not data and self._answer.length:
                raise ConnectionResetError(f"the answer was cut, {self._answer.length} bytes before its end")
            if self._decode is None:
                self._record(data)
                return data
            try:
                decoded: bytes = self._decode.decompress(data) if data else self._decode.flush()
            except zlib.error:
                raise ConnectionResetError("the compressed answer is damaged") from None
            if not data and not self._decode.eof:
                raise ConnectionResetError("the compressed answer was cut")
            if decoded or not data:
                self._record(decoded)
                return decoded

    def _record(self, data: bytes) -> None:
        """Keep how the first body began."""
        if self.records and self._source.head is not None:
            self._source.head += data[: HEAD_BYTES - len(self._source.head)]

    def read_all(self, most: int = 64 << 20) -> bytes:
        """The rest of it. Raises OSError."""
        pieces, count = [], 0
        while piece := self.read(1 << 16):
            pieces.append(piece)
            count += len(piece)
            if count > most:
                raise OSError(f"more than {most} bytes")
        if self.cut is not None:
            raise self.cut
        return b"".join(pieces)

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay where they are: `size`, or fewer at the end."""
        while len(self._ahead) < size and not self.cut:
            try:
                data = self._more(size - len(self._ahead))
            except ConnectionError as error:
                self.cut, data = error, b""
            if not data:
                break
            self._ahead += data
        return self._ahead[:size]

    def is_playlist(self) -> bool:
        """Whether it is an HLS playlist, by what the server says or by how it begins."""
        return "mpegurl" in self.kind or self.peek(7) == b"#EXTM3U"

    def again(self) -> bool:
        """Whether it begins as the first body of this source did: a recording that is served anew."""
        head = self._source.head
        if self.length is not None or self.records or head is None or len(head) < MIN_HEAD:
            return False
        return self.peek(len(head)) == head

    def seekable(self) -> bool:
        """With an mp4 file also when the server serves no ranges: its index may lie at the end, and FFmpeg goes there
        and back once."""
        return self.length is not None and (self._ranges or self.peek(8)[4:8] == b"ftyp")

    def tell(self) -> int:
        return self._want - self._first

    def seek(self, offset: int, whence: int = 0) -> int:
        """Takes effect with the next read."""
        base = {0: self._first, 1: self._want, 2: self.length or 0}[whence]
        if base + offset < 0:
            raise OSError("a seek before the beginning")
        self._want = base + offset
        return self._want - self._first

    def _move(self) -> None:
        step = self._want - self._pos
        if self.length is not None and self._want >= self.length:
            self._answer.close()
            self._answer, self._ahead, self._pos = Bytes(b""), b"", self._want
        elif step < 0 or (step > SKIP_BYTES and self._ranges):
            self._answer.close()
            self._ahead, self._pos = b"", self._want
            self._answer = self._ask(self._want)  # from the beginning, if the server serves no ranges
        while self._pos < self._want:
            data = self._ahead[: self._want - self._pos] or self._more(min(self._want - self._pos, 1 << 16))
            if not data:
                return
            self._ahead = self._ahead[len(data) :]
            self._pos += len(data)

    def close(self) -> None:
        self._answer.close()

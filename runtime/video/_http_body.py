"""The body of an HTTP response as a seekable file for FFmpeg."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import zlib
from typing import Protocol

from ._guard import Refused
from ._http_nested import Bytes

HEAD_BYTES = 16 << 10  # compared to detect that a server starts the same recording again
MAX_LENGTH = 1 << 43  # eight terabytes; a body that declares more is an endless stream
MIN_HEAD = 512  # fewer bytes are no evidence
SKIP_BYTES = 256 << 10  # a shorter seek forward reads on instead of sending a new request
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Requests(Protocol):
    """The part of `HttpSource` that a body needs."""

    head: bytes | None

    def request(self, url: str, first: int | None, end: int = 0) -> http.client.HTTPResponse: ...
    def check_deadline(self) -> None: ...


class Decoder(Protocol):
    """What `zlib.decompressobj` returns."""

    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class HttpBody:
    """The body of a response as a file: `read`, and `seek` if the server supports ranges.

    Args:
        source: Sends the requests.
        url: What to request.
        first: Offset of the first byte.
        end: Offset after the last byte; 0 means the end of the body.
        sequential: Whether to request the body without a range.
    """

    def __init__(self, source: Requests, url: str, *, first: int = 0, end: int = 0, sequential: bool = False) -> None:
        self._source, self._url, self._end = source, url, end
        self._first = first
        self.waited_s = 0.0
        """Seconds spent waiting for the server after the first byte."""
        self.length: int | None = None
        """Length in bytes; None if the server does not declare it."""
        self.cut: ConnectionError | None = None
        """Why the body ended early; None if it did not. FFmpeg sees a normal end, so that it outputs the last frame."""
        self._pos = self._want = first
        self._ahead = b""
        self.records = False
        """Whether this is the first body of its source, whose first bytes are stored in `source.head`."""
        self._decode: Decoder | None = None
        self._ranges = not sequential
        response = self._open(first)
        self._response: http.client.HTTPResponse | Bytes = response
        self.name = response.geturl()
        self.kind = response.headers.get_content_type()

    def _open(self, first: int) -> http.client.HTTPResponse:
        try:
            response = self._source.request(self._url, first if self._ranges else None, self._end)
        except urllib.error.HTTPError as error:
            if error.code != 416 or first:
                raise
            response = self._source.request(self._url, None)  # a server that rejects even a range of all bytes
        span = _RANGE.fullmatch((response.headers.get("Content-Range") or "").strip())
        if response.status == 206 and (span is None or int(span[1]) != first):
            response.close()
            if first:
                raise OSError(f"requested bytes from {first}, got {response.headers.get('Content-Range')!r}")
            self._ranges = False
            response = self._source.request(self._url, None)
            span = None
        coding = (response.headers.get("Content-Encoding") or "identity").lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._decode = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif coding != "identity":
            response.close()
            raise OSError(f"content encoding {coding!r}, which was not requested")
        if response.status != 206 or self._decode is not None:
            self._ranges = False
            self.length = None if self._decode is not None or (response.length or 0) > MAX_LENGTH else response.length
            self._pos = 0
        elif span is not None and span[3] != "*":
            total = int(span[3])
            if self.length not in (None, total):
                raise OSError(f"the length of the recording changed from {self.length} to {total} bytes")
            self.length = total
        return response

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any, and b"" at the end, even an early one (see `cut`).

        Raises:
            OSError: The server failed; TimeoutError at the deadline.
        """
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
        """Return the next bytes from the server, which may send a shorter range than requested."""
        data = self._receive(size)
        at, total = self._pos + len(self._ahead), self.length
        if data or not size or not self._ranges or self._end or total is None or at >= total:
            return data
        self._response.close()
        try:
            self._response = self._open(at)
            data = self._receive(size)
        except Refused:
            raise
        except (OSError, http.client.HTTPException):
            data = b""
        self._source.check_deadline()
        if not data:
            raise ConnectionResetError(f"the response was cut off {total - at} bytes before its end")
        return data

    def _receive(self, size: int) -> bytes:
        self._source.check_deadline()
        while True:
            began = time.monotonic()
            try:
                data = self._response.read1(size)
            except http.client.HTTPException:  # a truncated or invalid chunk
                raise ConnectionResetError("the response was cut off") from None
            if self._pos or self._ahead:
                self.waited_s += time.monotonic() - began
            if not data and self._response.length:
                raise ConnectionResetError(f"the response was cut off {self._response.length} bytes before its end")
            if self._decode is None:
                self._record(data)
                return data
            try:
                decoded = self._decode.decompress(data) if data else self._decode.flush()
            except zlib.error:
                raise ConnectionResetError("the compressed response is damaged") from None
            if not data and not self._decode.eof:
                raise ConnectionResetError("the compressed response was cut off")
            if decoded or not data:
                self._record(decoded)
                return decoded

    def _record(self, data: bytes) -> None:
        """Store the first bytes of the first body."""
        if self.records and self._source.head is not None:
            self._source.head += data[: HEAD_BYTES - len(self._source.head)]

    def read_all(self, most: int = 64 << 20) -> bytes:
        """Return the remaining bytes. Raises OSError if there are more than `most`."""
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
        """Return the next `size` bytes, fewer at the end, without consuming them."""
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
        """Return whether this is an HLS playlist, judged by content type or first bytes."""
        return "mpegurl" in self.kind or self.peek(7) == b"#EXTM3U"

    def starts_again(self) -> bool:
        """Return whether this body starts like the first one of the source: a recording that starts again."""
        head = self._source.head
        if self.length is not None or self.records or head is None or len(head) < MIN_HEAD:
            return False
        return self.peek(len(head)) == head

    def seekable(self) -> bool:
        """Return whether FFmpeg may seek.

        MP4 files count as seekable even without ranges: their index may be at the end, where FFmpeg seeks once.
        """
        return self.length is not None and (self._ranges or self.peek(8)[4:8] == b"ftyp")

    def tell(self) -> int:
        return self._want - self._first

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position of the next read."""
        base = {0: self._first, 1: self._want, 2: self.length or 0}[whence]
        if base + offset < 0:
            raise OSError("seek before the start of the body")
        self._want = base + offset
        return self._want - self._first

    def _move(self) -> None:
        step = self._want - self._pos
        if self.length is not None and self._want >= self.length:
            self._response.close()
            self._response, self._ahead, self._pos = Bytes(b""), b"", self._want
        elif step < 0 or (step > SKIP_BYTES and self._ranges):
            self._response.close()
            self._ahead, self._pos = b"", self._want
            self._response = self._open(self._want)  # from the start if the server does not support ranges
        while self._pos < self._want:
            data = self._ahead[: self._want - self._pos] or self._more(min(self._want - self._pos, 1 << 16))
            if not data:
                return
            self._ahead = self._ahead[len(data) :]
            self._pos += len(data)

    def close(self) -> None:
        self._response.close()

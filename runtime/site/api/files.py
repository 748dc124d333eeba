"""Files in answers: ranges, tags, and no path outside of the folder."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .problems import refusal
from .records import matches

_PIECE = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def open_below(folder: Path, path: str) -> int:
    """Open a regular file in a folder for reading.

    Args:
        folder: The folder; symbolic links must not lead out of it.
        path: From the store: absolute, or relative to the folder.

    Returns:
        The descriptor.

    Raises:
        ApiProblem: There is no such file, or it lies elsewhere.
    """
    descriptor = -1
    try:
        base = folder.resolve()
        target = (base / path).resolve()
        if not target.is_relative_to(base):
            raise OSError("outside of the folder of media")
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a file")
    except (OSError, ValueError, RuntimeError):
        if descriptor >= 0:
            os.close(descriptor)
        raise refusal(
            404, "site-api-media", "The file is no longer there", "", "it may have been deleted by age or size"
        ) from None
    return descriptor


def span_of(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that a Range header asks for: first and one behind the last. None: all. Raises ValueError: none."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":  # several ranges, other units: the whole file, as the standard permits
        return None
    if not match[1]:
        begin, end = max(size - int(match[2]), 0), size
    else:
        begin, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
        if match[2] and int(match[2]) < int(match[1]):
            return None
    if begin >= end:
        raise ValueError
    return begin, end


class SentFile(Response):  # type: ignore[misc]
    """An open file as the answer. The descriptor is closed; deleting the file meanwhile does no harm.

    Args:
        descriptor: The open file.
        kind: Media type.
        tag: ETag, with its quotes.
        cache: The Cache-Control header.
        slow_s: Seconds after which a client that takes nothing is given up.
    """

    def __init__(self, descriptor: int, *, kind: str, tag: str, cache: str, slow_s: float) -> None:
        super().__init__(None, media_type=kind)
        self._descriptor, self._kind, self._tag, self._cache, self._slow_s = descriptor, kind, tag, cache, slow_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, send)
        finally:
            os.close(self._descriptor)

    async def _answer(self, scope: Scope, send: Send) -> None:
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        size = os.fstat(self._descriptor).st_size
        headers = {"etag": self._tag, "cache-control": self._cache, "accept-ranges": "bytes"}
        begin, end, status = 0, size, 200
        if matches(given.get("if-none-match"), self._tag):
            status, end = 304, 0
        else:
            unchanged = given.get("if-range", self._tag) == self._tag
            try:
                span = span_of(given.get("range"), size) if unchanged else None
            except ValueError:
                status, end = 416, 0
                headers["content-range"] = f"bytes */{size}"
            else:
                if span is not None:
                    (begin, end), status = span, 206
                    headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
            headers["content-type"] = self._kind
            headers["content-length"] = str(end - begin)
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        while status in (200, 206) and begin < end and "punctum.head" not in scope:
            data = await run_in_threadpool(os.pread, self._descriptor, min(_PIECE, end - begin), begin)
            if not data:
                break  # truncated meanwhile: the server closes the connection, since the length is not reached
            begin += len(data)
            try:
                await asyncio.wait_for(
                    send({"type": "http.response.body", "body": data, "more_body": True}), self._slow_s
                )
            except TimeoutError:
                scope.get("punctum.abort", lambda: None)()
                return
        await send({"type": "http.response.body", "body": b""})

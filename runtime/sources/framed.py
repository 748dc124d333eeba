"""Sources of framed bytes: standard input, a TCP or Unix socket that listens, a file. See `framing` for the bytes."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .._text import short, warn
from ..errors import InputError
from ._items import POLL_S, Begin, Chunk, Item
from .framing import FrameParser, Header

READ_BYTES = 1 << 16
Read = Callable[[], "bytes | None"]
"""Bytes that have come, b"" at the end, None when nothing came for POLL_S seconds."""


class FramedStream:
    """What all framed sources share: check the header, yield chunks, say where a fault is."""

    replayable = False

    def __init__(self, name: str, *, dim: int, stride_s: float, idle_s: float | None = None) -> None:
        self.name = name
        self._dim, self._stride_s, self._idle_s = dim, stride_s, idle_s

    def open(self) -> None:
        """Nothing to open, unless a subclass says so."""

    def close(self) -> None:
        """Nothing to close, unless a subclass says so."""

    def _items(self, read: Read, parser: FrameParser) -> Iterator[Item]:
        """Chunks of one connection, until its end record, its end, or until nothing came for idle_s."""
        begun, quiet = parser.header is not None, time.monotonic()
        first_at: float | None = None
        while not parser.ended:
            began = time.perf_counter()
            data = read()
            if data is None:
                if self._idle_s is not None and time.monotonic() - quiet >= self._idle_s:
                    if parser.empty:
                        return
                    break
                yield None
                continue
            if not data:
                break
            quiet = time.monotonic()
            parser.feed(data)
            header = parser.read_header()
            if header is None:
                continue
            if not begun:
                self._check(header)
                begun, first_at = True, header.start_s
                yield Begin(header.name, header.start_s)
            for record in parser.records():
                if record.is_end:
                    break
                at = first_at if record.at is None else record.at
                first_at = None
                where = f"record {record.number} at byte {record.offset}"
                position = {"byte": record.end_offset, "record": record.number}
                yield Chunk(record.rows, at, where, position, time.perf_counter() - began)
                began = time.perf_counter()
        parser.finish()

    def _check(self, header: Header) -> None:
        if header.dim != self._dim:
            raise InputError(
                "features-dimension",
                f"the header of {self.name} declares dimension {header.dim}",
                f"{self._dim}, which this bundle was trained on",
                "extract features with the backbone named in the bundle's feature spec",
            )
        if not math.isclose(header.stride_s, self._stride_s, rel_tol=1e-6):
            raise InputError(
                "features-stride",
                f"the header of {self.name} declares a stride of {short(header.stride_s)} s",
                f"{short(self._stride_s)} s, which this bundle was trained on",
                "extract features at that rate",
            )


class StandardInput(FramedStream):
    """Framed bytes from standard input, or from another file descriptor."""

    def __init__(
        self, *, dim: int, stride_s: float, idle_s: float | None = None, descriptor: int | None = None
    ) -> None:
        super().__init__("standard input", dim=dim, stride_s=stride_s, idle_s=idle_s)
        self._descriptor = descriptor

    def open(self) -> None:
        if self._descriptor is None:
            self._descriptor = 0
        if os.isatty(self._descriptor):
            raise InputError("stdin-terminal", "a terminal as standard input", "framed features", "pipe a sender in")

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        handle = 0 if self._descriptor is None else self._descriptor

        def read() -> bytes | None:
            ready, _, _ = select.select([handle], [], [], POLL_S)
            return os.read(handle, READ_BYTES) if ready else None

        yield from self._items(read, FrameParser())


class FramedFile(FramedStream):
    """A file that holds the bytes of a framed stream. Position: {"byte": .., "record": ..}."""

    replayable = True

    def __init__(
        self, path: Path, *, dim: int, stride_s: float, follow: bool = False, idle_s: float | None = None
    ) -> None:
        super().__init__(str(path), dim=dim, stride_s=stride_s, idle_s=idle_s if follow else None)
        self.path, self._follow = path, follow
        self._file: BinaryIO | None = None

    def open(self) -> None:
        self._file = self.path.open("rb")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        if self._file is None:
            self.open()
        file = self._file
        if file is None:
            return
        parser = FrameParser()
        if position is not None:
            parser.feed(file.read(READ_BYTES))
            header = parser.read_header()
            if header is None:
                parser.finish()
                return
            self._check(header)
            yield Begin(header.name, header.start_s)
            byte, number = int(position["byte"]), int(position["record"])
            if byte:
                parser = FrameParser(header=header, offset=byte, number=number)
                file.seek(byte)
            else:
                parser = FrameParser(header=header, offset=header.size)
                file.seek(header.size)

        def read() -> bytes | None:
            data = file.read(READ_BYTES)
            if data or not self._follow:
                return data
            time.sleep(POLL_S)
            return None

        yield from self._items(read, parser)


class Listener(FramedStream):
    """Listens on `tcp://host:port` or `unix:///path` and takes one sender at a time.

    reconnect_s: a sender that breaks off without an end record may come back within that many seconds; its new
    header says from which media time it goes on. 0: the break is an error at once.
    """

    def __init__(
        self,
        address: tuple[str, int] | Path,
        *,
        dim: int,
        stride_s: float,
        idle_s: float | None = None,
        reconnect_s: float = 0.0,
    ) -> None:
        text = f"unix://{address}" if isinstance(address, Path) else f"tcp://{address[0]}:{address[1]}"
        super().__init__(text, dim=dim, stride_s=stride_s, idle_s=idle_s)
        self._address, self._reconnect_s = address, reconnect_s
        self._socket: socket.socket | None = None
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        try:
            self._socket = self._bind()
        except OSError as error:
            raise InputError(
                "source-address", f"cannot listen on {self.name} ({error})", "a free address", "choose another one"
            ) from None
        if not isinstance(self._address, Path):
            self.name = "tcp://{}:{}".format(*self._socket.getsockname()[:2])

    def _bind(self) -> socket.socket:
        if not isinstance(self._address, Path):
            family, kind, _, _, target = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            self._clear_stale(self._address)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._address) if isinstance(self._address, Path) else target)
            listener.listen(4)
        except OSError:
            listener.close()
            raise
        if isinstance(self._address, Path):
            found = self._address.stat()
            self._identity = (found.st_dev, found.st_ino)
        return listener

    @staticmethod
    def _clear_stale(path: Path) -> None:
        """Remove a socket that a dead process left; refuse what is alive or no socket."""
        if not path.exists():
            return
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(f"{path} exists and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise OSError(f"another process listens on {path}")

    def close(self) -> None:
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        if isinstance(self._address, Path):
            with contextlib.suppress(FileNotFoundError):
                found = self._address.stat()
                if (found.st_dev, found.st_ino) == self._identity:
                    self._address.unlink()

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        if self._socket is None:
            self.open()
        fault: InputError | None = None
        while True:
            waited_from = time.monotonic()
            connection = self._accept()
            while connection is None:
                waited = time.monotonic() - waited_from
                if fault is not None and waited >= self._reconnect_s:
                    raise fault
                if fault is None and self._idle_s is not None and waited >= self._idle_s:
                    return
                yield None
                connection = self._accept()
            with connection:
                try:
                    yield from self._items(_reader(connection), FrameParser())
                    return
                except InputError as error:
                    if error.code not in ("frame-cut", "frame-no-end") or self._reconnect_s <= 0:
                        raise
                    fault = error
                    warn(f"{error} Waiting {self._reconnect_s:g} s for the sender.")

    def _accept(self) -> socket.socket | None:
        if self._socket is None:
            return None
        ready, _, _ = select.select([self._socket], [], [], POLL_S)
        if not ready:
            return None
        connection, _ = self._socket.accept()
        if connection.family != socket.AF_UNIX:  # a sender whose machine died is found out after a while
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection


def _reader(connection: socket.socket) -> Read:
    def read() -> bytes | None:
        ready, _, _ = select.select([connection], [], [], POLL_S)
        if not ready:
            return None
        try:
            return connection.recv(READ_BYTES)
        except ConnectionError:
            return b""  # reset by the sender: the same as an end without an end record

    return read

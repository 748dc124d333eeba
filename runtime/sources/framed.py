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
from ..errors import InputError, SourceLostError
from ._door import READ_BYTES, Door, Sender
from ._items import POLL_S, Begin, Chunk, Item
from .framing import FrameParser, Header, encode_token

TAKEOVER_S = 10.0  # without a byte from a sender, after which another one may take its place
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

    def _items(self, read: Read, parser: FrameParser, *, begun: bool) -> Iterator[Item]:
        """Chunks of one connection, until its end record, its end, or until nothing came for idle_s.

        begun: its header was reported before. What the parser holds already comes first.
        """
        quiet, held = time.monotonic(), parser.header is not None
        first_at: float | None = None
        while not parser.ended:
            began = time.perf_counter()
            data = None if held else read()
            if data is None and not held:
                if self._idle_s is not None and time.monotonic() - quiet >= self._idle_s:
                    if parser.empty:
                        return
                    break
                yield None
                continue
            if not data and not held:
                break
            quiet, held = time.monotonic(), False
            parser.feed(data or b"")
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

        yield from self._items(read, FrameParser(), begun=False)


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
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise InputError(
                "features-unreadable", f"cannot read {self.path} ({error})", "a readable file", "check its permissions"
            ) from None

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

        yield from self._items(read, parser, begun=position is not None)


class Listener(FramedStream):
    """Listens on `tcp://host:port` or `unix:///path` and takes one sender at a time.

    reconnect_s: a sender that breaks off without an end record, or sends what cannot be read, may come back within
    that many seconds; its new header says from which media time it goes on. 0: the break is an error at once. A
    connection that has shown no header that fits (see `Door`) is no sender: it is dropped and counted.
    token: what senders have to present, see `framing`.
    """

    def __init__(
        self,
        address: tuple[str, int] | Path,
        *,
        dim: int,
        stride_s: float,
        idle_s: float | None = None,
        reconnect_s: float = 0.0,
        token: bytes | None = None,
    ) -> None:
        text = f"unix://{address}" if isinstance(address, Path) else f"tcp://{address[0]}:{address[1]}"
        super().__init__(text, dim=dim, stride_s=stride_s, idle_s=idle_s)
        if token is not None:
            encode_token(token)  # checks its length
        self.trouble = ""
        """Why the sender is lost for now; empty while there is one, or before the first has come."""
        self._address, self._reconnect_s, self._token = address, reconnect_s, token
        self._socket: socket.socket | None = None
        self._door: Door | None = None
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        try:
            self._socket = self._bind()
        except (OSError, UnicodeError) as error:
            raise InputError(
                "source-address", f"cannot listen on {self.name} ({error})", "a free address", "choose another one"
            ) from None
        if not isinstance(self._address, Path):
            host, port = self._socket.getsockname()[:2]
            self.name = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
        self._door = Door(self._socket, name=self.name, check=self._check, token=self._token)

    @property
    def refused(self) -> dict[str, int]:
        """Connections that were dropped, by reason."""
        return {} if self._door is None else self._door.refused

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
            listener.listen(16)
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
            probe.settimeout(5.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise OSError(f"another process listens on {path}")

    def close(self) -> None:
        if self._socket is None:
            return
        if self._door is not None:
            self._door.close()
        self._socket.close()
        self._socket = None
        if isinstance(self._address, Path):
            with contextlib.suppress(FileNotFoundError):
                found = self._address.stat()
                if (found.st_dev, found.st_ino) == self._identity:
                    self._address.unlink()

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        if self._door is None:
            self.open()
        door = self._door
        if door is None:
            return
        fault: InputError | None = None
        while True:
            waited_from = time.monotonic()
            while (sender := door.admit()) is None:
                waited = time.monotonic() - waited_from
                if fault is not None and waited >= self._reconnect_s:
                    raise self._lost(fault)
                if fault is None and self._idle_s is not None and waited >= self._idle_s:
                    return
                yield None
                door.tend(POLL_S)
            self.trouble = ""
            try:
                yield from self._items(self._reader(sender, door), sender.parser, begun=False)
                return
            except InputError as error:
                if sender.parser.number == 0 and door.someone:
                    door.drop(sender, "silent", "sent no complete record, and others are waiting")
                    continue
                if not error.code.startswith("frame-"):
                    raise
                if self._reconnect_s <= 0:
                    raise self._lost(error) from None
                fault, self.trouble = error, error.given
                warn(f"{error} Waiting {self._reconnect_s:g} s for the sender.")
            finally:
                sender.close()

    @staticmethod
    def _lost(fault: InputError) -> InputError:
        """What to raise when a sender does not come back: a break may be mended by waiting, wrong bytes are not."""
        kind = SourceLostError if fault.code in ("frame-cut", "frame-no-end") else InputError
        return kind(fault.code, fault.given, fault.allowed, fault.next_step)

    def _reader(self, sender: Sender, door: Door) -> Read:
        heard = time.monotonic()

        def read() -> bytes | None:
            nonlocal heard
            if door.tend(POLL_S, sender.socket):
                heard = time.monotonic()
                try:
                    return sender.socket.recv(READ_BYTES)
                except BlockingIOError:
                    return None
                except OSError:
                    return b""  # reset by the sender: the same as an end without an end record
            # A sender whose machine or link died cannot say so. When it is back, its new connection takes over.
            if door.someone and time.monotonic() - heard >= TAKEOVER_S:
                return b"" if self._reconnect_s > 0 or sender.parser.number == 0 else None
            return None

        return read

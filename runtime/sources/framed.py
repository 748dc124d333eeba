"""Sources of framed features: standard input and files. Sockets are in `listener`, the format in `framing`."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import InputError
from ..text.display import short
from .acceptor import READ_BYTES
from .frame_parser import FrameParser
from .framing import MAGIC, TOKEN_MAGIC, Header
from .items import POLL_S, Begin, Chunk, Item, Position, count_in
from .source_file import SourceFile

Read = Callable[[], "bytes | None"]
"""Returns the next bytes, b"" at the end, None if nothing arrived for POLL_S seconds."""


class FramedStream:
    """Base of framed sources: checks the header, yields chunks, and locates errors.

    Args:
        name: Name of the source for messages.
        dim: Dimension of the features.
        stride_s: Seconds per snippet.
        idle_s: The stream ends after this many seconds without data. None: never.
    """

    replayable = False

    def __init__(self, name: str, *, dim: int, stride_s: float, idle_s: float | None = None) -> None:
        self.name = name
        self._dim, self._stride_s, self._idle_s = dim, stride_s, idle_s

    def open(self) -> None:
        """Open the source; nothing to do by default."""

    def close(self) -> None:
        """Close the source; nothing to do by default."""

    def _items(self, read: Read, parser: FrameParser, *, begun: bool) -> Iterator[Item]:
        """Yield the chunks of one connection until the end record, the end of the data, or `idle_s` of silence.

        Args:
            read: Returns the next bytes.
            parser: The parser; data that it already holds is processed first.
            begun: Whether the header has already been reported.
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
                position: Position = {"byte": record.end_offset, "record": record.number}
                yield Chunk(record.rows, at, where, position, time.perf_counter() - began)
                began = time.perf_counter()
        parser.finish()

    def _check(self, header: Header) -> None:
        if header.dim != self._dim:
            raise InputError(
                "features-dimension",
                f"The header of {self.name} declares dimension {header.dim}",
                f"{self._dim}, which this bundle was trained on",
                "extract features with the backbone named in the bundle's feature spec",
            )
        if not math.isclose(header.stride_s, self._stride_s, rel_tol=1e-6):
            raise InputError(
                "features-stride",
                f"The header of {self.name} declares a stride of {short(header.stride_s)} s",
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
            raise InputError(
                "stdin-terminal",
                "Standard input is a terminal",
                required="framed features",
                next_step="pipe the output of a sender into it",
            )

    def items(self, position: Position | None = None) -> Iterator[Item]:
        handle = 0 if self._descriptor is None else self._descriptor

        def read() -> bytes | None:
            ready, _, _ = select.select([handle], [], [], POLL_S)
            return os.read(handle, READ_BYTES) if ready else None

        yield from self._items(read, FrameParser(), begun=False)


class FramedFile(FramedStream):
    """A file of framed features. Position: {"byte": offset, "record": number}."""

    replayable = True

    def __init__(
        self, path: Path, *, dim: int, stride_s: float, follow: bool = False, idle_s: float | None = None
    ) -> None:
        super().__init__(str(path), dim=dim, stride_s=stride_s, idle_s=idle_s if follow else None)
        self.path, self._follow = path, follow
        self._file = SourceFile(path)

    def open(self) -> None:
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def items(self, position: Position | None = None) -> Iterator[Item]:
        file = self._file.open()
        parser = FrameParser()
        if position is not None:
            parser.feed(file.read(READ_BYTES))
            header = parser.read_header()
            if header is None:
                parser.finish()
                return
            self._check(header)
            yield Begin(header.name, header.start_s)
            byte, number = count_in(position, "byte") or parser.offset, count_in(position, "record")
            parser = FrameParser(header=header, offset=byte, number=number)
            file.seek(byte)

        def read() -> bytes | None:
            data = file.read(READ_BYTES)
            if data or not self._follow:
                return data
            time.sleep(POLL_S)
            return None

        yield from self._items(read, parser, begun=position is not None)


def is_framed(path: Path) -> bool:
    """Return whether a file begins as framed features do, possibly after a token."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (MAGIC, TOKEN_MAGIC)
    except OSError:
        return False  # the reader of rows reports the error

"""Incremental parser of framed features; see `framing` for the format."""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np

from ..errors import InputError
from ..features.media_clock import MAX_MEDIA_S
from .framing import (
    CRC_STRUCT,
    DATA,
    END,
    FLOAT32,
    HEADER_STRUCT,
    MAGIC,
    MAX_NAME,
    MAX_PAYLOAD,
    RECORD_BYTES,
    RECORD_STRUCT,
    VERSION,
    Header,
    Record,
    read_token,
)


class FrameParser:
    """Incremental parser: bytes in, header and records out. Buffers at most one incomplete record.

    Call `feed`, then iterate over `records()`. An error is raised at the first bad record, after all records before it.
    `finish` raises an error if the stream is incomplete.

    Args:
        header: Header of the stream when parsing starts in the middle; None: it is parsed.
        offset: Offset of the first byte fed, in bytes.
        number: Number of records before it.
    """

    def __init__(self, *, header: Header | None = None, offset: int = 0, number: int = 0) -> None:
        self.header = header
        self.offset, self.number = offset, number
        self.ended = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Append bytes of the stream."""
        self._buffer += data

    @property
    def empty(self) -> bool:
        """Whether the parser is between records."""
        return not self._buffer and self.header is not None

    def read_header(self) -> Header | None:
        """Return the header; None while it is incomplete. Raises InputError for an invalid one."""
        if self.header is not None:
            return self.header
        token = read_token(self._buffer)
        if token is None:
            return None
        del self._buffer[: token[1]]
        self.offset += token[1]
        have = len(self._buffer)
        if bytes(self._buffer[:4]) != MAGIC[:have]:
            raise InputError(
                "frame-magic",
                f"The stream begins with {bytes(self._buffer[:4])!r}",
                f"{MAGIC!r}, the framing of punctum.runtime.sources.framing",
                "send the header first, and only once",
            )
        if have < HEADER_STRUCT.size:
            return None
        _, version, kind, dim, length, stride_s, start_s = HEADER_STRUCT.unpack_from(self._buffer)
        if version != VERSION:
            raise _bad_header("frame-version", f"version {version}", f"version {VERSION}")
        if kind != FLOAT32:
            raise _bad_header("frame-dtype", f"feature type {kind}", f"{FLOAT32} (float32, little-endian)")
        if length > MAX_NAME:
            raise _bad_header("frame-name", f"a name of {length} bytes", f"at most {MAX_NAME} bytes")
        size = HEADER_STRUCT.size + length + CRC_STRUCT.size
        if have < size:
            return None
        if zlib.crc32(self._buffer[: size - 4]) != CRC_STRUCT.unpack_from(self._buffer, size - 4)[0]:
            raise _bad_header("frame-crc", "a wrong checksum", "CRC-32 of the bytes before it")
        if dim < 1 or 4 * dim > MAX_PAYLOAD or not (math.isfinite(stride_s) and stride_s > 0):
            raise _bad_header(
                "frame-header",
                f"dimension {dim} and stride {stride_s} s",
                "a dimension of 1 or more and a positive stride",
            )
        if not abs(start_s) <= MAX_MEDIA_S:
            raise _bad_header("frame-header", f"a start of {start_s} s", f"a media time within {MAX_MEDIA_S:g} s of 0")
        try:
            name = bytes(self._buffer[HEADER_STRUCT.size : size - 4]).decode()
        except UnicodeDecodeError:
            raise _bad_header("frame-name", "a name that is not UTF-8", "UTF-8") from None
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            raise _bad_header("frame-name", f"the name {name!r}", "a name without control characters")
        del self._buffer[:size]
        self.offset += size
        self.header = Header(dim, stride_s, start_s, name, size)
        return self.header

    def records(self) -> Iterator[Record]:
        """Yield all complete records. Raises InputError with record number and byte offset at a bad one."""
        if self.header is None and self.read_header() is None:
            return
        while not self.ended and len(self._buffer) >= RECORD_BYTES:
            record = self._record()
            if record is None:
                return
            yield record

    def _record(self) -> Record | None:
        header = self.header
        if header is None:
            return None
        kind, count, at, size = RECORD_STRUCT.unpack_from(self._buffer)
        where = f"record {self.number + 1} at byte {self.offset}"
        if kind not in (DATA, END):
            raise InputError(
                "frame-type",
                f"{where} has type {kind}",
                f"{DATA} (data) or {END} (end)",
                "check the lengths that the sender writes",
            )
        if size > MAX_PAYLOAD:
            raise InputError(
                "frame-oversized", f"{where} declares {size} bytes", f"at most {MAX_PAYLOAD}", "send smaller chunks"
            )
        expected = 0 if kind == END else 4 * count * header.dim
        if size != expected or (kind == END and count):
            raise InputError(
                "frame-size",
                f"{where} declares {size} bytes for {count} snippets of dimension {header.dim}",
                f"{expected} bytes (4 x snippets x dimension; 0 in an end record)",
                "check the dimension that the sender writes",
            )
        if abs(at) > MAX_MEDIA_S:  # not for NaN
            raise InputError(
                "frame-time",
                f"{where} has media time {at}",
                f"a time within {MAX_MEDIA_S:g} s of 0, or NaN",
                "check the sender",
            )
        length = RECORD_BYTES + size
        if len(self._buffer) < length:
            return None
        payload = bytes(self._buffer[RECORD_BYTES:length])
        if (
            zlib.crc32(payload, zlib.crc32(self._buffer[: RECORD_STRUCT.size]))
            != CRC_STRUCT.unpack_from(self._buffer, 20)[0]
        ):
            raise InputError(
                "frame-crc",
                f"{where} has a wrong checksum",
                "CRC-32 of its first 20 bytes and its payload",
                "check the sender and the connection",
            )
        del self._buffer[:length]
        begin, self.offset, self.number = self.offset, self.offset + length, self.number + 1
        self.ended = kind == END
        rows = np.frombuffer(payload, "<f4").reshape(count, header.dim).astype(np.float32, copy=False)
        return Record(self.number, begin, self.offset, self.ended, None if math.isnan(at) else at, rows)

    def finish(self) -> None:
        """Declare the end of the data. Raises InputError if a record is incomplete or the end record is missing."""
        if self.ended:
            return
        if self.header is None:
            raise InputError(
                "frame-cut",
                f"The stream ends inside its header, after {len(self._buffer)} bytes",
                required="a complete header",
                next_step="check that the sender runs",
            )
        if self._buffer:
            raise InputError(
                "frame-cut",
                f"record {self.number + 1} at byte {self.offset} is incomplete: the stream ends after "
                f"{len(self._buffer)} of its bytes",
                required="complete records, then an end record",
                next_step="check why the sender stopped; all records before this one were used",
            )
        raise InputError(
            "frame-no-end",
            f"The stream ends after record {self.number}, at byte {self.offset}, without an end record",
            required="an end record",
            next_step="check why the sender stopped; all records were used",
        )


def _bad_header(code: str, given: str, allowed: str) -> InputError:
    return InputError(code, f"The header of the stream contains {given}", allowed, "check the sender")

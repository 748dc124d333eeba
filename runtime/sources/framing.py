"""Features as bytes: the framing that `punctum run --stream` reads from a pipe, a socket or a file.

All numbers little-endian. A stream is one header, any number of data records, and one end record.

Header, 32 bytes, then the name, then a checksum:

    offset  size  type   content
    0       4     bytes  "PNCT"
    4       2     u16    version: 1
    6       2     u16    type of the features: 1 = float32, little-endian
    8       4     u32    dim: numbers a snippet
    12      4     u32    n: length of the name in bytes, 0..255
    16      8     f64    stride_s: seconds a snippet covers
    24      8     f64    start_s: media time of the first snippet; finite
    32      n     UTF-8  name of the stream
    32 + n  4     u32    CRC-32 of all bytes of the header before this one

Record, 24 bytes, then the payload:

    0       4     u32    type: 1 = data, 2 = end
    4       4     u32    snippets in this record (0 is allowed; 0 for end)
    8       8     f64    media time of the first snippet; NaN = right after the last one
    16      4     u32    payload bytes = snippets * dim * 4; at most 16 MiB (0 for end)
    20      4     u32    CRC-32 of the 20 bytes before and of the payload
    24      ..           payload: float32, one snippet after the other

A sender to a socket that asks for a token puts this before the header (elsewhere it is skipped):

    0       4     bytes  "PNCA"
    4       4     u32    n: length of the token in bytes, 1..1024
    8       n     bytes  the token

All media times lie within 2^34 seconds of 0. CRC-32 is that of zlib, PNG and Ethernet (polynomial 0xEDB88320, start
and final xor 0xFFFFFFFF). A data record with 0 snippets and a time declares a gap up to that time. What follows the
end record is not read. A stream that stops without an end record was cut: what came before it counts, and the reader
says so.
"""

from __future__ import annotations

import math
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..errors import InputError
from ..features.media_clock import MAX_MEDIA_S

F32 = npt.NDArray[np.float32]
MAGIC = b"PNCT"
VERSION = 1
FLOAT32 = 1
DATA, END = 1, 2
MAX_PAYLOAD = 16 << 20
MAX_NAME = 255
TOKEN_MAGIC = b"PNCA"
MAX_TOKEN = 1024
_TOKEN_HEAD = struct.Struct("<4sI")
_HEADER = struct.Struct("<4sHHIIdd")
_RECORD = struct.Struct("<IIdI")
_CRC = struct.Struct("<I")
RECORD_BYTES = _RECORD.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Header:
    """What a stream says about itself. Times in seconds; size: bytes that it took."""

    dim: int
    stride_s: float
    start_s: float
    name: str
    size: int = 0


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record:
    """One record: its number from 1, the byte offsets of its first and after its last byte, what it holds.

    at: media time of the first snippet in seconds; None: right after the last one. rows: float32 [n, dim].
    """

    number: int
    offset: int
    end_offset: int
    is_end: bool
    at: float | None
    rows: F32


def encode_token(token: bytes) -> bytes:
    """What goes before the header where the source asks for a token."""
    if not 1 <= len(token) <= MAX_TOKEN:
        raise InputError("frame-token", f"a token of {len(token)} bytes", f"1 to {MAX_TOKEN}", "choose another token")
    return _TOKEN_HEAD.pack(TOKEN_MAGIC, len(token)) + token


def read_token(data: bytes | bytearray) -> tuple[bytes, int] | None:
    """(token, bytes it took) at the beginning of a stream; (b"", 0) if there is none; None: more bytes are needed."""
    have = bytes(data[:4])
    if have != TOKEN_MAGIC[: len(have)]:
        return b"", 0
    if len(data) < _TOKEN_HEAD.size:
        return None
    (_, size) = _TOKEN_HEAD.unpack_from(data)
    if not 1 <= size <= MAX_TOKEN:
        raise InputError("frame-token", f"declared a token of {size} bytes", f"1 to {MAX_TOKEN}", "check the sender")
    end = _TOKEN_HEAD.size + size
    return (bytes(data[_TOKEN_HEAD.size : end]), end) if len(data) >= end else None


def encode_header(*, dim: int, stride_s: float, start_s: float = 0.0, name: str = "") -> bytes:
    """The first bytes of a stream."""
    text = name.encode()
    if len(text) > MAX_NAME:
        raise InputError("frame-name", f"a name of {len(text)} bytes", f"at most {MAX_NAME}", "use a shorter name")
    head = _HEADER.pack(MAGIC, VERSION, FLOAT32, dim, len(text), stride_s, start_s) + text
    return head + _CRC.pack(zlib.crc32(head))


def encode_record(rows: Any, *, at: float | None = None) -> bytes:
    """One data record of rows [n, dim]; at: media time of the first one, in seconds."""
    array = np.ascontiguousarray(rows, "<f4")
    if array.ndim != 2:
        raise InputError("features-shape", f"rows of shape {array.shape}", "[n, dim]", "reshape to two dimensions")
    if array.nbytes > MAX_PAYLOAD:
        raise InputError(
            "frame-oversized", f"a record of {array.nbytes} bytes", f"at most {MAX_PAYLOAD}", "send smaller chunks"
        )
    payload = array.tobytes()
    head = _RECORD.pack(DATA, len(array), math.nan if at is None else at, len(payload))
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def encode_end() -> bytes:
    """The last bytes of a stream."""
    head = _RECORD.pack(END, 0, math.nan, 0)
    return head + _CRC.pack(zlib.crc32(head))


class FrameParser:
    """Bytes in, header and records out. Holds at most one unfinished record.

    Call `feed`, then take all `records()`: they come one by one up to the first fault, which is raised in its place,
    so that everything whole before it is used. `finish` tells whether the stream ended as it should.
    """

    def __init__(self, *, header: Header | None = None, offset: int = 0, number: int = 0) -> None:
        """header, offset, number: go on in the middle, after record `number`, at byte `offset`."""
        self.header = header
        self.offset, self.number = offset, number
        self.ended = False
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def empty(self) -> bool:
        """True between records: nothing unfinished is held."""
        return not self._buffer and self.header is not None

    def read_header(self) -> Header | None:
        """The header, once all of it is here. Raises InputError for what is not this framing."""
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
                f"a stream that begins with {bytes(self._buffer[:4])!r} at byte 0",
                f"{MAGIC!r}, the framing of punctum.runtime.sources.framing",
                "send the header first, once",
            )
        if have < _HEADER.size:
            return None
        _, version, kind, dim, length, stride_s, start_s = _HEADER.unpack_from(self._buffer)
        if version != VERSION:
            raise _bad_header("frame-version", f"version {version}", f"version {VERSION}")
        if kind != FLOAT32:
            raise _bad_header("frame-dtype", f"feature type {kind}", f"{FLOAT32} (float32, little-endian)")
        if length > MAX_NAME:
            raise _bad_header("frame-name", f"a name of {length} bytes", f"at most {MAX_NAME}")
        size = _HEADER.size + length + _CRC.size
        if have < size:
            return None
        if zlib.crc32(self._buffer[: size - 4]) != _CRC.unpack_from(self._buffer, size - 4)[0]:
            raise _bad_header("frame-crc", "a checksum that does not fit the header", "CRC-32 of the bytes before it")
        if dim < 1 or 4 * dim > MAX_PAYLOAD or not (math.isfinite(stride_s) and stride_s > 0):
            raise _bad_header("frame-header", f"dim {dim}, stride {stride_s} s", "dim of 1 or more, a positive stride")
        if not abs(start_s) <= MAX_MEDIA_S:
            raise _bad_header("frame-header", f"start_s {start_s}", f"a media time within {MAX_MEDIA_S:g} s of 0")
        try:
            name = bytes(self._buffer[_HEADER.size : size - 4]).decode()
        except UnicodeDecodeError:
            raise _bad_header("frame-name", "a name that is not UTF-8", "UTF-8") from None
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            raise _bad_header("frame-name", f"the name {name!r}", "a name without control characters")
        del self._buffer[:size]
        self.offset += size
        self.header = Header(dim, stride_s, start_s, name, size)
        return self.header

    def records(self) -> Iterator[Record]:
        """All records that are whole by now. Raises InputError with record number and byte offset at a bad one."""
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
        kind, count, at, size = _RECORD.unpack_from(self._buffer)
        where = f"record {self.number + 1} at byte {self.offset}"
        if kind not in (DATA, END):
            raise InputError(
                "frame-type", f"{where} has type {kind}", f"{DATA} (data) or {END} (end)", "check that lengths add up"
            )
        if size > MAX_PAYLOAD:
            raise InputError(
                "frame-oversized", f"{where} declares {size} bytes", f"at most {MAX_PAYLOAD}", "send smaller chunks"
            )
        wanted = 0 if kind == END else 4 * count * header.dim
        if size != wanted or (kind == END and count):
            raise InputError(
                "frame-size",
                f"{where} declares {size} bytes for {count} snippets of dimension {header.dim}",
                f"{wanted} bytes (4 x snippets x dim; nothing in an end record)",
                "check the dimension that the sender writes",
            )
        if abs(at) > MAX_MEDIA_S:  # not for NaN
            raise InputError(
                "frame-time",
                f"{where} has media time {at}",
                f"a time within {MAX_MEDIA_S:g} s of 0, or NaN",
                "check the sender",
            )
        whole = RECORD_BYTES + size
        if len(self._buffer) < whole:
            return None
        payload = bytes(self._buffer[RECORD_BYTES:whole])
        if zlib.crc32(payload, zlib.crc32(self._buffer[: _RECORD.size])) != _CRC.unpack_from(self._buffer, 20)[0]:
            raise InputError(
                "frame-crc",
                f"{where} has a checksum that does not fit",
                "CRC-32 of its first 20 bytes and its payload",
                "check the sender, and the way the bytes took",
            )
        del self._buffer[:whole]
        begin, self.offset, self.number = self.offset, self.offset + whole, self.number + 1
        self.ended = kind == END
        rows = np.frombuffer(payload, "<f4").reshape(count, header.dim).astype(np.float32, copy=False)
        return Record(self.number, begin, self.offset, self.ended, None if math.isnan(at) else at, rows)

    def finish(self) -> None:
        """No more bytes will come. Raises InputError when the last record is cut or the end record is missing."""
        if self.ended:
            return
        if self.header is None:
            raise InputError(
                "frame-cut",
                f"a stream that ends inside its header, after {len(self._buffer)} bytes",
                "a whole header",
                "check that the sender runs",
            )
        if self._buffer:
            raise InputError(
                "frame-cut",
                f"record {self.number + 1} at byte {self.offset} is cut: the stream ends {len(self._buffer)} bytes "
                "into it",
                "whole records, then an end record",
                "check why the sender stopped; all records before this one were used",
            )
        raise InputError(
            "frame-no-end",
            f"a stream that ends after record {self.number}, at byte {self.offset}, without an end record",
            "an end record as the last one",
            "check why the sender stopped; all records were used",
        )


def _bad_header(code: str, given: str, allowed: str) -> InputError:
    return InputError(code, f"the header of the stream holds {given}", allowed, "check the sender")

"""Features as bytes: the framing that `punctum run --stream` reads from a pipe, a socket or a file.

All numbers little-endian. A stream is one header, any number of data records, and one end record.

Header, 32 bytes, then the name, then a checksum:

    offset  size  type   content
    0       4     bytes  "PNCT"
    4       2     u16    version: 1
    6       2     u16    type of the features: 1 = float32, little-endian
    8       4     u32    dim: numbers per snippet
    12      4     u32    n: length of the name in bytes, 0..255
    16      8     f64    stride_s: seconds per snippet
    24      8     f64    start_s: media time of the first snippet; finite
    32      n     UTF-8  name of the stream
    32 + n  4     u32    CRC-32 of all bytes of the header before this one

Record, 24 bytes, then the payload:

    0       4     u32    type: 1 = data, 2 = end
    4       4     u32    snippets in this record (0 is allowed; 0 for end)
    8       8     f64    media time of the first snippet; NaN = directly after the previous one
    16      4     u32    payload bytes = snippets * dim * 4; at most 16 MiB (0 for end)
    20      4     u32    CRC-32 of the 20 bytes before and of the payload
    24      ..           payload: float32, one snippet after the other

A sender to a socket that requires a token sends this before the header (all other readers skip it):

    0       4     bytes  "PNCA"
    4       4     u32    n: length of the token in bytes, 1..1024
    8       n     bytes  the token

All media times are within 2^34 seconds of 0. CRC-32 is that of zlib, PNG and Ethernet (polynomial 0xEDB88320, start
and final xor 0xFFFFFFFF). A data record with 0 snippets and a time declares a gap up to that time. Data after the end
record is not read. A stream without an end record is incomplete: the records before its end are used, and the reader
reports an error.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..errors import InputError

F32 = npt.NDArray[np.float32]
MAGIC = b"PNCT"
VERSION = 1
FLOAT32 = 1
DATA, END = 1, 2
MAX_PAYLOAD = 16 << 20
MAX_NAME = 255
TOKEN_MAGIC = b"PNCA"
MAX_TOKEN = 1024
TOKEN_HEAD_STRUCT = struct.Struct("<4sI")
HEADER_STRUCT = struct.Struct("<4sHHIIdd")
RECORD_STRUCT = struct.Struct("<IIdI")
CRC_STRUCT = struct.Struct("<I")
RECORD_BYTES = RECORD_STRUCT.size + CRC_STRUCT.size


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a stream. Times in seconds; size: length of the header in bytes."""

    dim: int
    stride_s: float
    start_s: float
    name: str
    size: int = 0


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record:
    """One record.

    Attributes:
        number: Number of the record, from 1.
        offset: Offset of its first byte in the stream.
        end_offset: Offset after its last byte.
        is_end: Whether it is the end record.
        at: Media time of the first snippet in seconds. None: directly after the previous one.
        rows: float32 [n, dim].
    """

    number: int
    offset: int
    end_offset: int
    is_end: bool
    at: float | None
    rows: F32


def encode_token(token: bytes) -> bytes:
    """Encode the token that a source may require before the header."""
    if not 1 <= len(token) <= MAX_TOKEN:
        raise InputError(
            "frame-token", f"The token has {len(token)} bytes", f"1 to {MAX_TOKEN} bytes", "choose another token"
        )
    return TOKEN_HEAD_STRUCT.pack(TOKEN_MAGIC, len(token)) + token


def read_token(data: bytes | bytearray) -> tuple[bytes, int] | None:
    """Return (token, length in bytes) at the start of a stream, (b"", 0) without one, None if bytes are missing."""
    have = bytes(data[:4])
    if have != TOKEN_MAGIC[: len(have)]:
        return b"", 0
    if len(data) < TOKEN_HEAD_STRUCT.size:
        return None
    (_, size) = TOKEN_HEAD_STRUCT.unpack_from(data)
    if not 1 <= size <= MAX_TOKEN:
        raise InputError(
            "frame-token", f"declared a token of {size} bytes", f"1 to {MAX_TOKEN} bytes", "check the sender"
        )
    end = TOKEN_HEAD_STRUCT.size + size
    return (bytes(data[TOKEN_HEAD_STRUCT.size : end]), end) if len(data) >= end else None


def encode_header(*, dim: int, stride_s: float, start_s: float = 0.0, name: str = "") -> bytes:
    """Encode the header of a stream.

    Args:
        dim: Dimension of the features.
        stride_s: Seconds per snippet.
        start_s: Media time of the first snippet in seconds.
        name: Name of the stream, at most 255 bytes of UTF-8.
    """
    text = name.encode()
    if len(text) > MAX_NAME:
        raise InputError(
            "frame-name", f"The name has {len(text)} bytes", f"at most {MAX_NAME} bytes", "use a shorter name"
        )
    head = HEADER_STRUCT.pack(MAGIC, VERSION, FLOAT32, dim, len(text), stride_s, start_s) + text
    return head + CRC_STRUCT.pack(zlib.crc32(head))


def encode_record(rows: npt.ArrayLike, *, at: float | None = None) -> bytes:
    """Encode one data record.

    Args:
        rows: float32 [n, dim].
        at: Media time of the first row in seconds. None: directly after the previous record.
    """
    array = np.ascontiguousarray(rows, "<f4")
    if array.ndim != 2:
        raise InputError(
            "features-shape", f"`rows` has shape {array.shape}", "[n, dim]", "reshape it to two dimensions"
        )
    if array.nbytes > MAX_PAYLOAD:
        raise InputError(
            "frame-oversized", f"The record has {array.nbytes} bytes", f"at most {MAX_PAYLOAD}", "send smaller chunks"
        )
    payload = array.tobytes()
    head = RECORD_STRUCT.pack(DATA, len(array), math.nan if at is None else at, len(payload))
    return head + CRC_STRUCT.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def encode_end() -> bytes:
    """Encode the end record."""
    head = RECORD_STRUCT.pack(END, 0, math.nan, 0)
    return head + CRC_STRUCT.pack(zlib.crc32(head))

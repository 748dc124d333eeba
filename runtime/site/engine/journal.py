"""A journal: what went into a stream since its last snapshot, so that a killed process can do it again.

Layout: magic, then records, each with its length and the CRC-32 of what follows (4 bytes each, little-endian), the
length of its header (4 bytes), the header (JSON), and rows of float32. The first record says which stream it is of. A
record that is incomplete or damaged ends the journal: what comes after it is not used.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...datatypes import by_value
from ...files.atomic import BINARY, write_all

F32 = npt.NDArray[np.float32]
MAGIC = b"punctum-journal\n"
MOST_BYTES = 256 << 20
_HEAD = struct.Struct("<II")
_SIZE = struct.Struct("<I")


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record:
    """One record. header: with "type". rows: float32 [n, D]; None for records without features."""

    header: dict[str, Any]
    rows: F32 | None = None

    def encode(self) -> bytes:
        """Its bytes in a journal."""
        header = dict(self.header) if self.rows is None else {**self.header, "shape": list(self.rows.shape)}
        text = json.dumps(header, separators=(",", ":")).encode()
        rows = b"" if self.rows is None else np.ascontiguousarray(self.rows, "<f4").tobytes()
        body = _SIZE.pack(len(text)) + text + rows
        return _HEAD.pack(len(body), zlib.crc32(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> Record:
        """From the bytes behind length and checksum. Raises ValueError."""
        try:
            (size,) = _SIZE.unpack_from(body)
            header = json.loads(body[4 : 4 + size])
            shape = header.pop("shape", None)
            if not isinstance(header["type"], str):
                raise ValueError("no type")
            if shape is None:
                return cls(header)
            rows = np.frombuffer(body, "<f4", offset=4 + size).reshape(shape).astype(np.float32)
        except (struct.error, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        return cls(header, rows)


@dataclass(frozen=True, slots=True)
class Read:
    """What a journal contains.

    Attributes:
        records: The readable records, the first of which says what stream it is of.
        length: Bytes of the file that they take.
        lost: Bytes after them that cannot be used.
    """

    records: list[Record]
    length: int
    lost: int


def read_journal(path: Path) -> Read:
    """Read a journal; one that does not exist is empty. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Read([], 0, 0)
    if not data.startswith(MAGIC):
        return Read([], 0, len(data))
    records, at = [], len(MAGIC)
    while at + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + size]
        if size > MOST_BYTES or len(body) < size or zlib.crc32(body) != checksum:
            break
        try:
            records.append(Record.decode(body))
        except ValueError:
            break
        at += _HEAD.size + size
    return Read(records, at, len(data) - at)


class Journal:
    """A journal that is being written.

    Args:
        path: The file. What it has beyond `length` is cut off.
        length: Bytes to keep; 0 begins a new one.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        """Raises OSError."""
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
        self._dirty = True
        try:
            os.ftruncate(self._handle, length)
            os.lseek(self._handle, length, os.SEEK_SET)
            self.length = length
            if not length:
                self._write(MAGIC)
        except OSError:
            os.close(self._handle)
            raise

    def append(self, record: Record) -> None:
        """Raises OSError where there is no room; the journal then ends before this record."""
        self._write(record.encode())

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._handle, data)
        except OSError:
            os.ftruncate(self._handle, self.length)
            os.lseek(self._handle, self.length, os.SEEK_SET)
            raise
        self.length += len(data)
        self._dirty = True

    def sync(self) -> None:
        """Have everything on the disk, against a power failure. Raises OSError."""
        if self._dirty:
            os.fsync(self._handle)
            self._dirty = False

    def close(self) -> None:
        """May be called more than once."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

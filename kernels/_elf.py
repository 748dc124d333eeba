"""Whether the file of an extension module is complete. A process that reaches a missing part of it ends at once."""

from __future__ import annotations

import struct
from pathlib import Path

_MAGIC, _WIDE = b"\x7fELF", 2
_LOAD = 1  # type of a segment that is mapped into memory
_HEADER_BYTES, _SEGMENT_BYTES = 64, 56


def is_cut_off(file: Path) -> bool:
    """Whether a 64-bit ELF file ends before its segments or its section table do. False for other kinds of files."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            header = opened.read(_HEADER_BYTES)
            if header[:4] != _MAGIC:
                return not header
            if len(header) < _HEADER_BYTES:
                return True
            if header[4] != _WIDE:
                return False
            order = "<" if header[5] == 1 else ">"
            at, sections_at = struct.unpack_from(f"{order}QQ", header, 32)
            entry_bytes, entries, section_bytes, sections = struct.unpack_from(f"{order}HHHH", header, 54)
            opened.seek(at)
            table = opened.read(entry_bytes * entries)
    except OSError:
        return False  # loading it reports the error
    if (
        len(table) < entry_bytes * entries
        or entry_bytes < _SEGMENT_BYTES
        or sections_at + section_bytes * sections > size
    ):
        return True
    for start in range(0, len(table), entry_bytes):
        (kind,) = struct.unpack_from(f"{order}I", table, start)
        (offset,) = struct.unpack_from(f"{order}Q", table, start + 8)
        (length,) = struct.unpack_from(f"{order}Q", table, start + 32)
        if kind == _LOAD and offset + length > size:
            return True
    return False

"""Which shared libraries a shared library links to: its DT_NEEDED entries, read from the file without loading it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5
_MAX_BYTES = 1 << 20  # of a section that is read; real ones are far smaller


def needed(path: Path) -> list[str]:
    """Names in the order in which the loader loads them. [] for anything but a 64-bit little-endian ELF file."""
    try:
        with path.open("rb") as file:
            return _needed(file)
    except (OSError, struct.error, ValueError):
        return []


def _needed(file: BinaryIO) -> list[str]:
    head = file.read(64)
    if head[:6] != b"\x7fELF\x02\x01":
        return []
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    file.seek(offset)
    table = file.read(size * count)
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    for k in range(count):
        kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", table, k * size)
        if kind == _LOAD:
            loads.append((address, start, length))
        elif kind == _DYNAMIC:
            file.seek(start)
            dynamic = file.read(min(length, _MAX_BYTES))
    entries = [struct.unpack_from("<QQ", dynamic, k) for k in range(0, len(dynamic) - 15, 16)]
    strings = next((value for tag, value in entries if tag == _STRTAB), None)
    base = next((s + strings - a for a, s, n in loads if strings is not None and a <= strings < a + n), None)
    if base is None:
        return []
    names = []
    for value in (value for tag, value in entries if tag == _NEEDED):
        file.seek(base + value)
        names.append(file.read(256).split(b"\0", 1)[0].decode("ascii", "replace"))
    return names

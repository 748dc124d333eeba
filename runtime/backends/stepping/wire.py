"""Protobuf messages as lists of fields: enough to take an ONNX graph apart and to write it again.

What is not looked at, weights above all, is passed on as the bytes that it was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

Value = int | bytes
Field = tuple[int, Value]
"""Number of a field and its value: an int (varint), `Fixed`, or the bytes of a text, an array or a message."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


class Fixed(bytes):
    """The 4 or 8 bytes of a number of fixed size, as distinct from bytes with a length."""


def read_fields(data: bytes) -> Iterator[Field]:
    """The fields of a message, in order. Raises Malformed."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = _varint(data, at) if wire == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(wire, -1), at)
        if size < 0 or at + size > end:
            raise Malformed(f"field {number} of wire type {wire}")
        part = data[at : at + size]
        yield number, part if wire == _BYTES else Fixed(part)
        at += size


def write_fields(fields: Iterable[Field]) -> bytes:
    """The message with these fields."""
    parts: list[bytes] = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_number(number << 3 | _VARINT), _number(value)]
        elif isinstance(value, Fixed):
            parts += [_number(number << 3 | (_FIXED64 if len(value) == 8 else _FIXED32)), value]
        else:
            parts += [_number(number << 3 | _BYTES), _number(len(value)), value]
    return b"".join(parts)


def numbers(value: Value) -> list[int]:
    """Integers of a repeated field, of which a message may have several: one number, or several packed in bytes."""
    if isinstance(value, int):
        return [signed(value)]
    found, at = list[int](), 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(signed(number))
    return found


def signed(value: int) -> int:
    """A varint as int64."""
    return value - (1 << 64) if value >> 63 else value


def int64s(raw: bytes) -> list[int]:
    """Little-endian int64 values."""
    return list(struct.unpack(f"<{len(raw) // 8}q", raw[: len(raw) // 8 * 8]))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & (1 << 64) - 1, at
    raise Malformed("a number that does not end")


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

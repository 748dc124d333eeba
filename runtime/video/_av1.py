"""Unreferenced pictures of AV1, by the headers of their open bitstream units (OBUs)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ._bits import Bits

_HEAD = 256  # bytes of a unit that are read
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_PASSIVE = (2, 4, 5, 7, 15)  # delimiter, tiles, metadata, repeated header, padding
_SELECT = 2


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The fields of a sequence header on which the layout of frame headers depends."""

    still: bool
    timed: bool  # whether shown frames carry a presentation time
    screen: int  # 0, 1, or chosen by each frame
    integer: int
    order_bits: int
    numbered: bool


class Av1:
    """See `References`. A picture of AV1 is unreferenced if it refreshes no slot: every state is kept in slots."""

    def __init__(self, extradata: bytes) -> None:
        self.sound = True
        self._sequence: _Sequence | None = None
        for kind, body in _units(extradata[4:] if extradata[:1] == b"\x81" else extradata):
            if kind == _SEQUENCE:
                self._sequence = _read_sequence(body)

    def unreferenced(self, data: bytes) -> bool:
        frames, free = 0, True
        for kind, body in _units(data):
            if kind == _SEQUENCE:
                self._sequence, free = _read_sequence(body), False
            elif kind in (_FRAME_HEADER, _FRAME):
                frames += 1
                free &= self._sequence is not None and _refreshes_nothing(body, self._sequence)
            elif kind not in _PASSIVE:
                free = False
        return free and frames == 1


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and first bytes of each unit."""
    at = 0
    while at < len(data):
        bits = Bits(data[at : at + 10])
        bits.take(1)
        kind, extended, sized = bits.take(4), bits.flag(), bits.flag()
        bits.take(1)
        layers = bits.take(8) if extended else 0
        size = bits.leb128() if sized else None
        begin = at + 1 + extended
        if size is None:
            at = len(data)
        else:
            while data[begin] >= 128:
                begin += 1
            begin += 1
            at = begin + size
        if at > len(data):
            raise IndexError("a unit is longer than its packet")
        yield (kind if not layers >> 3 & 3 else 0), data[begin : min(at, begin + _HEAD)]


def _read_sequence(body: bytes) -> _Sequence:
    bits = Bits(body)
    bits.take(4)
    still = bits.flag()
    timed = model = equal = numbered = False
    delay_bits = 0
    if still:
        bits.take(5)
    else:
        if bits.flag():  # timing
            bits.take(32)
            bits.take(32)
            equal = bits.flag()
            if equal:
                bits.golomb()
            model = bits.flag()
            if model:
                delay_bits = bits.take(5) + 1
                bits.take(42)
        delays = bits.flag()
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if model and bits.flag():
                bits.take(2 * delay_bits + 1)
            if delays and bits.flag():
                bits.take(4)
        timed = model and not equal
    width, height = bits.take(4) + 1, bits.take(4) + 1
    bits.take(width + height)
    screen = integer = _SELECT
    order_bits = 0
    if not still:
        numbered = bits.flag()
        if numbered:
            bits.take(7)
    bits.take(3)
    if not still:
        bits.take(4)
        ordered = bits.flag()
        if ordered:
            bits.take(2)
        screen = _SELECT if bits.flag() else bits.take(1)
        if screen:
            integer = _SELECT if bits.flag() else bits.take(1)
        if ordered:
            order_bits = bits.take(3) + 1
    return _Sequence(still, timed or model, screen, integer, order_bits, numbered)


def _refreshes_nothing(body: bytes, sequence: _Sequence) -> bool:
    """Return whether a frame is shown at once and kept nowhere."""
    if sequence.still or sequence.timed or sequence.numbered:
        return False
    bits = Bits(body)
    again, kind, shown = bits.flag(), bits.take(2), bits.flag()
    if again or not shown or kind not in (1, 2):
        return False
    resilient = bits.flag()
    bits.take(1)
    screen = bits.take(1) if sequence.screen == _SELECT else sequence.screen
    if screen and sequence.integer == _SELECT:
        bits.take(1)
    bits.take(1 + sequence.order_bits)
    if kind == 1 and not resilient:
        bits.take(3)
    return bits.take(8) == 0

"""Unreferenced pictures of H.264 and H.265, by the headers of their NAL units."""

from __future__ import annotations

from collections.abc import Iterator

from ._bits import Bits

_START = b"\0\0\1"
_HEAD = 512  # bytes of a parameter set that are read; the fields in question come before
_SLICE_HEAD = 32
_FILM_GRAIN = 19  # type of the SEI message that changes the pictures after it


class Units:
    """Splits packets into NAL units: with lengths as in MP4, or with start codes as in MPEG-TS.

    Args:
        extradata: Header of the stream.
        at: Position of the size of the lengths in a header of the kind that comes with lengths.
    """

    def __init__(self, extradata: bytes, at: int) -> None:
        self._size = (extradata[at] & 3) + 1 if len(extradata) > at and extradata[0] == 1 else 0

    def __call__(self, data: bytes) -> Iterator[bytes]:
        return self._with_lengths(data) if self._size else with_start_codes(data)

    def _with_lengths(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            begin = at + self._size
            at = begin + int.from_bytes(data[at:begin], "big")
            if at > len(data):
                raise IndexError("a NAL unit is longer than its packet")
            if at > begin:
                yield data[begin:at]


def with_start_codes(data: bytes) -> Iterator[bytes]:
    """Yield the units after the start codes, 0 0 1. Raises ValueError for data that does not begin with one."""
    if data and not data.startswith((_START, b"\0" + _START)):
        raise ValueError("no start code")
    begin = data.find(_START)
    while begin >= 0:
        end = data.find(_START, begin + 3)
        unit = data[begin + 3 : end if end >= 0 else len(data)].rstrip(b"\0")
        if unit:
            yield unit
        begin = end


def _plain(unit: bytes, limit: int) -> bytes:
    """Return the first bytes of a unit without the bytes that keep start codes out of it."""
    return unit[:limit].replace(b"\0\0\3", b"\0\0")


def _has_film_grain(message: bytes) -> bool:
    """Return whether an SEI unit, without its header, contains parameters of film grain."""
    at = 0
    while at + 2 < len(message):
        kind = size = 0
        while message[at] == 255:
            kind, at = kind + 255, at + 1
        kind, at = kind + message[at], at + 1
        while message[at] == 255:
            size, at = size + 255, at + 1
        at += 1 + size + message[at]
        if kind == _FILM_GRAIN:
            return True
    return False


class H264:
    """See `References`. A picture of H.264 is unreferenced if `nal_ref_idc` is 0 in all of its slices."""

    def __init__(self, extradata: bytes) -> None:
        self.sound = True
        self._units = Units(extradata, 4)
        self._frame_num: tuple[int, bool, bool] | None = None  # bits, color planes, frames only
        if extradata[:1] == b"\1":
            at = 6
            for _ in range(extradata[5] & 31):
                end = at + 2 + int.from_bytes(extradata[at : at + 2], "big")
                self._read_set(extradata[at + 2 : end])
                at = end
        else:
            for unit in with_start_codes(extradata):
                if unit[0] & 31 == 7:
                    self._read_set(unit)

    def unreferenced(self, data: bytes) -> bool:
        pictures, only = 0, True
        for unit in self._units(data):
            kind = unit[0] & 31
            if kind == 7:
                self._read_set(unit)
            if kind == 1 and not unit[0] & 96 and not self._is_field(unit):
                pictures += unit[1] >> 7  # set in the first slice of a picture
            elif kind not in (9, 12, 14) and not (kind == 6 and not _has_film_grain(_plain(unit[1:], len(unit)))):
                only = False
        return only and pictures == 1

    def _read_set(self, unit: bytes) -> None:
        """Read a sequence parameter set. Several that differ make the stream unsound."""
        bits = Bits(_plain(unit[1:], _HEAD))
        profile = bits.take(8)
        bits.take(16)
        bits.golomb()
        planes = False
        if profile in (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244):
            chroma = bits.golomb()
            planes = chroma == 3 and bits.flag()
            bits.golomb()
            bits.golomb()
            bits.take(1)
            if bits.flag():
                for k in range(12 if chroma == 3 else 8):
                    if bits.flag():
                        _skip_scaling_list(bits, 16 if k < 6 else 64)
        length = bits.golomb() + 4
        order = bits.golomb()
        if order == 0:
            bits.golomb()
        elif order == 1:
            bits.take(1)
            bits.signed_golomb()
            bits.signed_golomb()
            for _ in range(min(bits.golomb(), 256)):
                bits.signed_golomb()
        bits.golomb()
        bits.take(1)
        bits.golomb()
        bits.golomb()
        found = (length, planes, bits.flag())
        self.sound &= self._frame_num in (None, found)
        self._frame_num = found

    def _is_field(self, unit: bytes) -> bool:
        """Return whether a slice belongs to one field of a frame, whose other field may be in the next packet."""
        if self._frame_num is None:
            return True
        length, planes, frames_only = self._frame_num
        if frames_only:
            return False
        bits = Bits(_plain(unit[1:], _SLICE_HEAD))
        for _ in range(3):
            bits.golomb()
        bits.take(2 * planes + length)
        return bits.flag()


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


class H265:
    """See `References`. A picture of H.265 is unreferenced if its type says so and its sub-layer is the highest one.

    Pictures of lower sub-layers with these types may be referred to by pictures of higher ones.
    """

    _NON_REFERENCE = (0, 2, 4, 6, 8)  # TRAIL_N, TSA_N, STSA_N, RADL_N, RASL_N
    _PASSIVE = (35, 38, 39, 40)  # access unit delimiter, filler, SEI

    def __init__(self, extradata: bytes) -> None:
        self.sound = True
        self._units = Units(extradata, 21)
        self._layers: int | None = None  # highest sub-layer
        if extradata[:1] == b"\1":
            at = 23
            for _ in range(extradata[22]):
                count = int.from_bytes(extradata[at + 1 : at + 3], "big")
                at += 3
                for _ in range(count):
                    end = at + 2 + int.from_bytes(extradata[at : at + 2], "big")
                    self._read_set(extradata[at + 2 : end])
                    at = end
        else:
            for unit in with_start_codes(extradata):
                self._read_set(unit)

    def unreferenced(self, data: bytes) -> bool:
        pictures, only = 0, True
        for unit in self._units(data):
            kind, layer, sub_layer = unit[0] >> 1 & 63, (unit[0] & 1) << 5 | unit[1] >> 3, (unit[1] & 7) - 1
            self._read_set(unit)
            if layer:
                only = False
            elif kind in self._NON_REFERENCE:
                pictures += unit[2] >> 7
                only &= sub_layer == self._layers
            elif 16 <= kind <= 23:
                only = False
                # The flag: pictures that wait for their turn are never shown. Leaving some out changes which ones.
                self.sound &= not unit[2] & 64
            elif kind not in self._PASSIVE or (kind >= 39 and _has_film_grain(_plain(unit[2:], len(unit)))):
                only = False
        return only and pictures == 1

    def _read_set(self, unit: bytes) -> None:
        if unit[0] >> 1 & 63 == 33:
            self._layers = unit[2] >> 1 & 7

"""What the packets of a video say about how to decode it: by this, a change in the middle of a stream is seen."""

from __future__ import annotations

from collections.abc import Iterator

from ...video._bits import Bits
from ...video._nal import Units

_SETS = {"h264": (4, (7, 8)), "hevc": (21, (32, 33, 34))}  # position of the length size, types of parameter sets
_SLICES = {"h264": range(1, 6), "hevc": range(32)}
_MOST = 64  # units that are looked at in a packet
_SEQUENCE = 1  # type of the AV1 unit with the sequence header
_NO_SIZE = (0xC4, 0xC8, 0xCC)  # JPEG markers among the start-of-frame markers that are none


def parameters(codec: str, extradata: bytes, data: bytes) -> tuple[bytes, ...]:
    """The parameter sets in a key frame, or what corresponds to them; empty if it has none or cannot be read.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: Header of the stream.
        data: The packet.
    """
    try:
        if codec in _SETS:
            return tuple(_parameter_sets(codec, extradata, data))
        if codec == "av1":
            return tuple(_sequence_headers(data))
        if codec == "vp9":
            return (_vp9_header(data),)
        if codec == "vp8":
            return (data[6:10],) if not data[0] & 1 else ()
        if codec == "mjpeg":
            return (_frame_header(data),)
    except (IndexError, ValueError):
        pass
    return ()


def has_start_codes(codec: str, extradata: bytes) -> bool:
    """Whether the packets of H.264 and H.265 have start codes (Annex B) instead of lengths."""
    return codec in _SETS and extradata[:1] != b"\1"


def as_extradata(codec: str, sets: tuple[bytes, ...]) -> bytes | None:
    """Header of a stream with these parameter sets, in the form that belongs to start codes. None if it needs none."""
    if codec in _SETS:
        return b"".join(b"\0\0\0\1" + unit for unit in sets)
    return b"".join(sets) if codec == "av1" else None


def _parameter_sets(codec: str, extradata: bytes, data: bytes) -> Iterator[bytes]:
    at, wanted = _SETS[codec]
    for count, unit in enumerate(Units(extradata, at)(data)):
        kind = unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
        if kind in _SLICES[codec] or count == _MOST:  # parameter sets come before the picture
            return
        if kind in wanted:
            yield unit


def _sequence_headers(data: bytes) -> Iterator[bytes]:
    at = count = 0
    while at < len(data) and count < _MOST:
        head, begin, count = data[at], at, count + 1
        at += 2 if head & 4 else 1
        if not head & 2:
            return  # without a size the unit reaches to the end, as no sequence header does
        size = shift = 0
        while True:
            byte = data[at]
            size |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128 or shift > 56:
                break
        at += size
        if head >> 3 & 15 == _SEQUENCE and at <= len(data):
            yield data[begin:at]


def _vp9_header(data: bytes) -> bytes:
    """Profile, color and size of a key frame."""
    bits = Bits(data[:16])
    if bits.take(2) != 2:
        raise ValueError("no frame marker")
    low, high = bits.take(1), bits.take(1)
    profile = 2 * high + low
    if profile == 3:
        bits.take(1)
    if bits.take(1) or bits.take(1):
        raise ValueError("no key frame")
    bits.take(2 + 24)  # shown, resilient; start code
    length = 32 + (4, 7, 5, 8)[profile]  # of color, and of width and height
    return bytes([profile]) + bits.take(length).to_bytes(5, "big")


def _frame_header(data: bytes) -> bytes:
    """Size and components of a JPEG picture."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker")
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in _NO_SIZE:
            return data[at + 4 : at + 2 + size]
        at += 2 + size

"""Which packets hold one picture that no other picture refers to, by the headers of their codecs.

A decoder gives the same pixels for all other pictures if such a packet is withheld from it. VP8 and VP9 are not here:
any of their pictures may change the probabilities with which the next ones are coded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ._av1 import Av1
from ._nal import H264, H265


class References(Protocol):
    """What the packets of one stream refer to."""

    sound: bool
    """Whether packets may be withheld at all. Becomes False with the first header that makes it unsafe."""

    def unreferenced(self, data: bytes) -> bool:
        """Read the next packet and return whether it may be withheld.

        Raises:
            IndexError, ValueError: It is damaged.
        """
        ...


class Mpeg2:
    """B-pictures of MPEG-1 and MPEG-2."""

    _STATE = (b"\0\0\1\xb3", b"\0\0\1\xb7", b"\0\0\1\xb8")  # sequence, its end, group of pictures

    def __init__(self, extradata: bytes) -> None:
        self.sound = True

    def unreferenced(self, data: bytes) -> bool:
        if any(code in data for code in self._STATE):
            return False
        extensions = _after(data, b"\0\0\1\xb5", 0)
        if any(byte >> 4 == 3 for byte in extensions):  # quantizer matrices, which stay in force
            return False
        kinds = [byte >> 3 & 7 for byte in _after(data, b"\0\0\1\0", 1)]  # two if its fields are pictures
        return bool(kinds) and all(kind == 3 for kind in kinds)


class Mpeg4:
    """B-pictures of MPEG-4 part 2, unless several pictures share a packet as in files of DivX."""

    def __init__(self, extradata: bytes) -> None:
        self.sound = b"DivX" not in extradata

    def unreferenced(self, data: bytes) -> bool:
        self.sound &= b"DivX" not in data
        return data.count(b"\0\0\1") == 1 and data[:4] == b"\0\0\1\xb6" and data[4] >> 6 == 2


class Jpeg:
    """Motion JPEG in which every picture brings the same kinds of tables."""

    def __init__(self, extradata: bytes) -> None:
        self.sound = True
        self._tables: frozenset[int] | None = None

    def unreferenced(self, data: bytes) -> bool:
        tables, at = set(), 2
        while data[at + 1] != 0xDA:  # up to the first scan
            if data[at] != 0xFF:
                raise ValueError("no marker")
            if data[at + 1] in (0xC4, 0xDB, 0xDD):  # Huffman, quantizer, restart interval
                tables.add(data[at + 1])
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        self.sound &= 0xDB in tables and self._tables in (None, tables)
        self._tables = frozenset(tables)
        return True


class Whole:
    """Codecs in which every packet stands for itself."""

    def __init__(self, extradata: bytes) -> None:
        self.sound = True

    def unreferenced(self, data: bytes) -> bool:
        return True


def _after(data: bytes, code: bytes, skip: int) -> list[int]:
    """Return the bytes that come `skip` bytes after each occurrence of a start code."""
    found, at = [], data.find(code)
    while at >= 0:
        found.append(data[at + len(code) + skip])
        at = data.find(code, at + len(code))
    return found


_READERS: dict[str, Callable[[bytes], References]] = {
    "av1": Av1,
    "dnxhd": Whole,
    "dvvideo": Whole,
    "h264": H264,
    "hevc": H265,
    "mjpeg": Jpeg,
    "mpeg1video": Mpeg2,
    "mpeg2video": Mpeg2,
    "mpeg4": Mpeg4,
    "prores": Whole,
}


def references(codec: str, extradata: bytes) -> References | None:
    """Return the reader for a stream; None if its codec is not among those above, or its header is damaged.

    Args:
        codec: FFmpeg's name of the codec.
        extradata: Header of the stream.
    """
    make = _READERS.get(codec)
    if make is None:
        return None
    try:
        return make(extradata)
    except (IndexError, ValueError):
        return None

"""A decoded frame, and how it becomes an upright RGB image."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._frames import U8

_DISPLAY_MATRIX = "DISPLAYMATRIX"


class Converter:
    """Makes RGB of decoded frames, one at a time: the context is set up once, on one thread.

    A frame's own conversion would set up a pool of threads a frame, which costs more than it gains. Plain bilinear
    chroma was found to give the same bytes in FFmpeg 7.1 to 8.1; what is called accurate was not.
    """

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._busy = threading.Lock()

    def __call__(self, frame: Any) -> U8:
        with self._busy:
            made = self._reformatter.reformat(frame, format="rgb24", interpolation="BILINEAR", threads=1)
        return np.asarray(made.to_ndarray(), np.uint8)


class Picture:
    """A decoded frame that becomes RGB when somebody looks at it, once.

    raw_s: its stamp in seconds, None where there is none. duration_s: 0 when unknown. lost: frames lost before it.
    """

    __slots__ = ("_convert", "_frame", "_image", "_turn", "duration_s", "lost", "raw_s")

    def __init__(self, frame: Any, convert: Converter, turn: Turn, lost: int, time_base: Any) -> None:
        base = float(frame.time_base or time_base or 0)  # frames from a flush come without one
        self.raw_s: float | None = None if frame.pts is None or not base else frame.pts * base
        self.duration_s: float = (frame.duration or 0) * base
        self.lost = lost
        self._frame, self._convert, self._turn = frame, convert, turn
        self._image: U8 | None = None

    def image(self) -> U8:
        """uint8 [H, W, 3], RGB, upright, C-contiguous."""
        if self._image is None:
            self._image = self._turn(self._convert(self._frame))
            self._frame = None  # a decoded frame keeps a buffer of the decoder's pool
        return self._image


@dataclass(frozen=True, slots=True)
class Turn:
    """How to put frames upright: transpose, then mirror left-right, then up-down. degrees: counter-clockwise."""

    transpose: bool = False
    mirror: bool = False
    flip: bool = False
    degrees: int = 0

    @classmethod
    def of(cls, frame: Any) -> Turn:
        """From the display matrix of a frame: x' = a x + c y, y' = b x + d y, rounded to a multiple of 90 degrees.

        Not for every frame: asking for its side data ties a frame into a cycle, and megabytes wait for the collector.
        """
        for data in frame.side_data:
            if data.type.name == _DISPLAY_MATRIX:
                a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data)[:36], "<i4")[:5])
                degrees = round(frame.rotation / 90) * 90 % 360
                if max(abs(b), abs(c)) > max(abs(a), abs(d)):
                    return cls(True, c < 0, b < 0, degrees)
                return cls(False, a < 0, d < 0, degrees)
        return cls()

    def __call__(self, image: U8) -> U8:
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.mirror:
            image = image[:, ::-1]
        if self.flip:
            image = image[::-1]
        return np.ascontiguousarray(image)

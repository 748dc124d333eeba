"""A decoded frame, and how it becomes an upright RGB image."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._frames import U8

MAX_ASPECT = 16.0  # a pixel that is wider or taller than that is a damaged header


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
    aspect: width of a pixel of the upright image by its height. damaged: data before it were corrupt or missing.
    """

    __slots__ = ("_convert", "_frame", "_image", "_turn", "aspect", "damaged", "duration_s", "lost", "raw_s")

    def __init__(
        self,
        frame: Any,
        convert: Converter,
        turn: Turn,
        lost: int,
        raw_s: float | None,
        duration_s: float,
        aspect: float = 1.0,
        damaged: bool = False,
    ) -> None:
        self.raw_s, self.duration_s, self.lost = raw_s, duration_s, lost
        self.aspect, self.damaged = aspect, damaged
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
        from av.sidedata.sidedata import Type

        matrix = frame.side_data.get(Type.DISPLAYMATRIX)
        if matrix is None:
            return cls()
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix)[:36], "<i4")[:5])
        degrees = round(frame.rotation / 90) * 90 % 360
        if max(abs(b), abs(c)) > max(abs(a), abs(d)):
            return cls(True, c < 0, b < 0, degrees)
        return cls(False, a < 0, d < 0, degrees)

    def __call__(self, image: U8) -> U8:
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.mirror:
            image = image[:, ::-1]
        if self.flip:
            image = image[::-1]
        return np.ascontiguousarray(image)


def pixel_aspect(ratio: float) -> float:
    """Width of a pixel by its height; 1 where a header says nothing or nonsense."""
    return ratio if 1 / MAX_ASPECT <= ratio <= MAX_ASPECT else 1.0

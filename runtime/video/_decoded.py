"""A decoded frame and its conversion to an upright RGB image."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from ._frames import U8
from ._raw import RawPicture

if TYPE_CHECKING:
    from av.sidedata.sidedata import SideDataContainer
    from av.video.frame import VideoFrame

MAX_ASPECT = 16.0  # a larger ratio of the sides of a pixel means a damaged header
_PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le", "nv16": "yuv422p", "nv24": "yuv444p"}


class Converter:
    """Converts decoded frames to RGB, one at a time, with one context and one thread.

    The conversion method of a frame would create a thread pool for each frame, which costs more than it gains. Plain
    bilinear chroma interpolation returns the same bytes in FFmpeg 7.1 to 8.1; the "accurate" mode does not.

    Args:
        semi_planar: Whether frames come from hardware, which interleaves the chroma planes. They are separated first:
            FFmpeg then takes the same path as for frames of its own decoders, and returns the same bytes.
    """

    def __init__(self, *, semi_planar: bool = False) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._separator = VideoReformatter() if semi_planar else None
        self._busy = threading.Lock()

    def __call__(self, picture: VideoFrame | RawPicture) -> U8:
        frame = picture.frame() if isinstance(picture, RawPicture) else picture
        with self._busy:
            if self._separator is not None and frame.format.name in _PLANAR:
                frame = self._separator.reformat(frame, format=_PLANAR[frame.format.name], threads=1)
            converted = self._reformatter.reformat(frame, format="rgb24", interpolation="BILINEAR", threads=1)
        return np.asarray(converted.to_ndarray(), np.uint8)


class DecodedFrame:
    """A decoded frame, converted to RGB once, on first use.

    Attributes:
        raw_s: Time stamp in seconds; None if there is none.
        duration_s: Display duration in seconds; 0 if unknown.
        lost: Number of frames lost just before this one.
        aspect: Width of a pixel of the upright image divided by its height.
        damaged: Whether data before it was corrupt or missing.
        packet: Number that a `PacketTap` gave to its packet; None without one.
    """

    __slots__ = ("_convert", "_picture", "_turn", "aspect", "damaged", "duration_s", "lost", "packet", "raw_s")

    def __init__(
        self,
        frame: VideoFrame | RawPicture,
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
        self.packet: int | None = None
        self._picture: VideoFrame | RawPicture | U8 = frame
        self._convert, self._turn = convert, turn

    def image(self) -> U8:
        """Return uint8 [H, W, 3], RGB, upright, C-contiguous."""
        if not isinstance(self._picture, np.ndarray):
            # The frame is forgotten, which releases its buffer to the pool of the decoder.
            self._picture = self._turn(self._convert(self._picture))
        return self._picture


class OmittedFrame(DecodedFrame):
    """A frame that was not decoded because no cell should show it.

    If damage moves the frames in time and a cell shows it nevertheless, the frame before it takes its place.
    """

    __slots__ = ("_before",)

    def __init__(self, before: DecodedFrame, lost: int, raw_s: float, duration_s: float, damaged: bool) -> None:
        self.raw_s, self.duration_s, self.lost = raw_s, duration_s, lost
        self.aspect, self.damaged, self.packet = before.aspect, damaged, None
        self._before = before

    def image(self) -> U8:
        return self._before.image()


@dataclass(frozen=True, slots=True)
class Turn:
    """How to turn frames upright: transpose, then mirror left-right, then up-down. degrees: counter-clockwise."""

    transpose: bool = False
    mirror: bool = False
    flip: bool = False
    degrees: int = 0

    @classmethod
    def of(cls, frame: VideoFrame) -> Turn:
        """From the display matrix of a frame: x' = a x + c y, y' = b x + d y, rounded to a multiple of 90 degrees.

        Not called for every frame: access to the side data creates a reference cycle, and megabytes then wait for the
        garbage collector.
        """
        from av.sidedata.sidedata import Type

        # By PyAV's own types this is a dictionary of motion vectors only.
        matrix = cast("SideDataContainer", frame.side_data).get(Type.DISPLAYMATRIX)
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
    """Return width / height of a pixel; 1 if the header has no plausible value."""
    return ratio if 1 / MAX_ASPECT <= ratio <= MAX_ASPECT else 1.0

"""Raw pictures from GStreamer, as frames of FFmpeg, so that they become images by the same path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..datatypes import compact

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# FFmpeg's name by that of GStreamer, in the order in which a converter should choose.
FORMATS = {
    "I420": "yuv420p",
    "NV12": "nv12",
    "BGRx": "bgr0",
    "RGBx": "rgb0",
    "RGB": "rgb24",
    "BGR": "bgr24",
    "GRAY8": "gray",
}
_BYTES = {"BGRx": 4, "RGBx": 4, "RGB": 3, "BGR": 3, "GRAY8": 1}  # of a pixel of formats with one plane
_MATRICES = {"rgb": 0, "bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "bt2020": 9}  # AVColorSpace
_MATRIX_NUMBERS = {1: "rgb", 2: "fcc", 3: "bt709", 4: "bt601", 5: "smpte240m", 6: "bt2020"}
_UNSPECIFIED = 2


@dataclass(frozen=True, slots=True)
class Layout:
    """How the bytes of a picture are arranged, from the caps of GStreamer.

    Attributes:
        form: GStreamer's name of the pixel format.
        width: Width in pixels.
        height: Height in pixels.
        matrix: Color matrix by FFmpeg's number.
        full: Whether values use the full range, 0 to 255.
        aspect: Width of a pixel divided by its height.
        rate: Frames per second; 0 if unknown.
    """

    form: str
    width: int
    height: int
    matrix: int = _UNSPECIFIED
    full: bool = False
    aspect: float = 1.0
    rate: float = 0.0

    def planes(self) -> list[tuple[int, int, int]]:
        """Return rows, bytes of a row, and bytes from one row to the next of each plane."""
        width, height = self.width, self.height
        if self.form in _BYTES:
            row = width * _BYTES[self.form]
            return [(height, row, _up(row, 4))]
        half, rows = (width + 1) // 2, (height + 1) // 2
        luma = (height, width, _up(width, 4))
        if self.form == "NV12":
            return [luma, (rows, 2 * half, _up(width, 4))]
        chroma = (rows, half, _up(_up(width, 2) // 2, 4))
        return [luma, chroma, chroma]

    def frame(self, data: bytes) -> VideoFrame:
        """Copy a picture into a frame. Raises ValueError if it is too short."""
        import av
        from av.video.reformatter import ColorRange

        frame = av.VideoFrame(self.width, self.height, FORMATS[self.form])
        at = 0
        for index, ((rows, row, stride), plane) in enumerate(zip(self.planes(), frame.planes, strict=True)):
            tall = _up(rows, 2) if index == 0 and self.form in ("I420", "NV12") else rows
            source = np.frombuffer(data, np.uint8, (rows - 1) * stride + row, at)
            source = np.lib.stride_tricks.as_strided(source, (rows, row), (stride, 1), writeable=False)
            target = np.frombuffer(memoryview(plane), np.uint8)[: rows * plane.line_size].reshape(rows, plane.line_size)
            target[:, :row] = source
            at += tall * stride
        frame.colorspace = self.matrix
        frame.color_range = ColorRange.JPEG if self.full else ColorRange.MPEG
        return frame


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RawPicture:
    """The bytes of one picture."""

    layout: Layout
    data: bytes

    def frame(self) -> VideoFrame:
        """Return it as a frame of FFmpeg. Raises ValueError if bytes are missing."""
        return self.layout.frame(self.data)


def colors(colorimetry: str | None) -> tuple[int, bool]:
    """Return color matrix and whether the range is full, from the field of the caps."""
    if not colorimetry:
        return _UNSPECIFIED, False
    parts = colorimetry.split(":")
    if len(parts) == 4 and all(part.isdecimal() for part in parts):
        return _MATRICES.get(_MATRIX_NUMBERS.get(int(parts[1]), ""), _UNSPECIFIED), parts[0] == "1"
    if colorimetry == "sRGB":
        return _UNSPECIFIED, False
    name = "bt2020" if colorimetry.startswith(("bt2020", "bt2100")) else colorimetry
    return _MATRICES.get(name, _UNSPECIFIED), False


def _up(number: int, step: int) -> int:
    return -(-number // step) * step

"""Thumbnails of a video, taken while it is read for other purposes. Needs PyAV (extra `video`)."""

from __future__ import annotations

import io
import time

import numpy as np
import numpy.typing as npt

from ..errors import MissingDependencyError
from ._model import Thumbnail

HEIGHT = 72  # pixels
MOST = 200  # maximum per recording; about a megabyte
FIRST_STEP_S = 0.5
_QUALITY = 7  # of MJPEG, 2 (best) to 31


def encode_jpeg(image: npt.NDArray[np.uint8], *, height: int = HEIGHT, aspect: float = 1.0) -> bytes:
    """Encode a frame as a small JPEG file.

    Args:
        image: uint8 [H, W, 3] RGB.
        height: Height in pixels; frames are not enlarged.
        aspect: Width of a pixel divided by its height.

    Raises:
        MissingDependencyError: PyAV is not installed (extra `video`).
    """
    try:
        import av
    except ImportError:
        raise MissingDependencyError("av", "video", "encoding thumbnails") from None
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    rows = max(min(height, frame.height), 2)
    columns = max(round(frame.width * aspect * rows / frame.height), 2)
    rows, columns = rows + rows % 2, min(columns + columns % 2, 4 * HEIGHT)  # chroma is halved
    small = frame.reformat(width=columns, height=rows, format="yuvj420p")
    target = io.BytesIO()
    with av.open(target, mode="w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuvj420p"
        stream.options = {"qmin": str(_QUALITY), "qmax": str(_QUALITY)}
        small.pts = None
        for packet in [*stream.encode(small), *stream.encode(None)]:
            container.mux(packet)
    return target.getvalue()


class ThumbnailTaker:
    """Keeps at most `most` evenly spaced thumbnails of a sequence of frames of any length.

    When there are more, every second one is dropped and the step doubles.

    Attributes:
        spent_s: Seconds of work so far.
    """

    def __init__(self, *, most: int = MOST, step_s: float = FIRST_STEP_S, height: int = HEIGHT) -> None:
        self._most, self._step_s, self._height = max(most, 2), step_s, height
        self._next_s = -np.inf
        self._taken: list[Thumbnail] = []
        self.spent_s = 0.0

    def offer(self, image: npt.NDArray[np.uint8], at: float, aspect: float = 1.0) -> None:
        """Offer a frame, uint8 [H, W, 3] RGB, at media time `at` in seconds. Times must increase."""
        if at < self._next_s:
            return
        began = time.perf_counter()
        self._taken.append(Thumbnail(at, encode_jpeg(image, height=self._height, aspect=aspect)))
        self.spent_s += time.perf_counter() - began
        if len(self._taken) > self._most:
            self._taken = self._taken[::2]
            self._step_s *= 2
        self._next_s = self._taken[-1].at + self._step_s - 1e-6

    @property
    def thumbnails(self) -> tuple[Thumbnail, ...]:
        return tuple(self._taken)

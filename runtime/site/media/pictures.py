"""Pictures of events as JPEG: the frame that a clip shows at a media time, or a frame that was kept."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...datatypes import compact
from ...video._decoded import Converter, Turn, pixel_aspect
from ...video._header import number
from ...video._opening import load_av
from .cutting import TICKS, Cut, cut, draft_of, finish, write
from .ring import Ring

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

U8 = npt.NDArray[np.uint8]
Cover = Callable[[int, int], npt.NDArray[np.bool_]]
"""The pixels to black out, bool [height, width], of a picture of this height and width."""
QUALITY = 4  # of MJPEG, 2 (best) to 31
LEAST_SIDE = 16  # pixels


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Picture:
    """A decoded frame.

    Attributes:
        image: uint8 [H, W, 3], RGB, upright.
        at_s: Media time in seconds.
        aspect: Width of a pixel divided by its height.
    """

    image: U8
    at_s: float
    aspect: float


def picture_at(ring: Ring, at_s: float) -> Picture | str:
    """Decode the frame that is shown at a media time, or say why there is none.

    Decodes from the key frame before it up to it.
    """
    part = cut(ring, at_s, at_s)
    if isinstance(part, str):
        return part
    target = io.BytesIO()
    write(part, target)
    target.seek(0)
    found = _decode(part, target, at_s)
    return found or f"the video at {at_s:.2f} s cannot be decoded"


def _decode(part: Cut, data: io.BytesIO, at_s: float) -> Picture | None:
    av = load_av()
    latest: tuple[VideoFrame, float] | None = None
    with av.open(data, options={"format_whitelist": "mov,matroska"}) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        with contextlib.suppress(av.FFmpegError):  # what was decoded before the damage is shown
            for frame in container.decode(stream):
                time_s = part.start_s + (0.0 if frame.pts is None else float(frame.pts * frame.time_base))
                if latest is not None and time_s > at_s + 0.5 / TICKS:
                    break
                latest = (frame, time_s)
        if latest is None:
            return None
        turn = Turn.of(latest[0])
        aspect = pixel_aspect(number(stream.sample_aspect_ratio))
        return Picture(turn(Converter()(latest[0])), latest[1], 1 / aspect if turn.transpose else aspect)


def encode(picture: Picture, width: int | None, cover: Cover | None = None) -> bytes:
    """Encode a picture as JPEG, with square pixels.

    Args:
        picture: The picture.
        width: Most pixels of its width; None: as many as it has.
        cover: What to black out.
    """
    av = load_av()
    image = picture.image
    height, columns = image.shape[:2]
    if cover is not None:
        image = np.where(cover(height, columns)[:, :, None], np.uint8(0), image)
    shown = max(columns * picture.aspect, 1.0)
    scale = min(1.0, (width or shown) / shown)
    size = [max(round(side * scale / 2) * 2, LEAST_SIDE) for side in (shown, height)]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    small = frame.reformat(width=size[0], height=size[1], format="yuvj420p", interpolation="AREA")
    target = io.BytesIO()
    with av.open(target, mode="w", format="mjpeg") as container:
        stream: Any = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuvj420p"
        stream.options = {"qmin": str(QUALITY), "qmax": str(QUALITY)}
        small.pts = None
        for packet in [*stream.encode(small), *stream.encode(None)]:
            container.mux(packet)
    return target.getvalue()


def store(data: bytes, target: Path) -> int:
    """Write a file that appears when it is complete. Returns its size in bytes. Raises OSError; nothing is left."""
    draft = draft_of(target)
    try:
        draft.write_bytes(data)
        return finish(draft, target)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


class Kept:
    """Small pictures at regular times, for sources that deliver no compressed video.

    Args:
        seconds: Media time that they cover.
        megabytes: Memory for them.
    """

    def __init__(self, seconds: float, megabytes: float) -> None:
        self._seconds, self._most = seconds, int(megabytes * 1e6)
        self._pictures: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def add(self, at_s: float, data: bytes) -> None:
        """Times must increase; after a step back, the pictures before it are dropped."""
        if self._pictures and at_s < self._pictures[-1][0]:
            self._pictures.clear()
            self._bytes = 0
        self._pictures.append((at_s, data))
        self._bytes += len(data)
        while len(self._pictures) > 1 and (self._pictures[0][0] < at_s - self._seconds or self._bytes > self._most):
            self._bytes -= len(self._pictures.popleft()[1])

    def nearest(self, at_s: float) -> tuple[float, bytes] | None:
        """Media time and JPEG of the picture that is nearest to a time; None if there is none."""
        return min(self._pictures, key=lambda kept: abs(kept[0] - at_s), default=None)


def decode_jpeg(data: bytes) -> U8:
    """Decode a JPEG of `encode` to uint8 [H, W, 3] RGB."""
    av = load_av()
    with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)

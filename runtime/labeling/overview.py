"""Thumbnails and the motion curve of a video, for its timeline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import PunctumError
from ..report.thumbnails import encode_jpeg
from ..video import Sampled, open_frames
from ..video._opening import load_av

HEIGHT = 54  # pixels of a thumbnail
MOST = 240  # thumbnails
MOTION_HZ = 4.0
LONG_S = 3600.0
"""From this length on, key frames at even distances are looked at instead of every part of the video."""
_LONG_STEPS = 600
_CELLS = (27, 48)  # rows and columns in which motion is measured
_BUSIEST = 13  # cells, 1 % of them: an action is small
_REPORT_S = 1.0


@dataclass(slots=True)
class Overview:
    """What is known of a video so far.

    Attributes:
        step_s: Seconds per value of motion.
        motion: Change of the picture in gray levels, in the cells that change most, for each step from time 0 on.
        thumbnails: Media times and JPEG files.
        done: Whether all of the video was looked at.
    """

    step_s: float
    motion: list[float] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def to_record(self) -> dict[str, Any]:
        with self.lock:
            return {
                "step_s": self.step_s,
                "motion": [round(value, 1) for value in self.motion],
                "thumbnails": [round(at, 3) for at, _ in self.thumbnails],
                "done": self.done,
            }

    def thumbnail(self, number: int) -> bytes | None:
        with self.lock:
            return self.thumbnails[number][1] if 0 <= number < len(self.thumbnails) else None


def new_overview(duration_s: float) -> Overview:
    """An empty overview of a video of this length."""
    return Overview(1 / MOTION_HZ if duration_s < LONG_S else duration_s / _LONG_STEPS)


def look(
    path: Path,
    overview: Overview,
    duration_s: float,
    *,
    progress: Callable[[], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Fill an overview. What cannot be read is left out: it serves orientation only.

    Args:
        path: The video.
        overview: As `new_overview` makes it.
        duration_s: Length of the video; 0 if unknown.
        progress: Called now and then.
        stopped: Asked now and then whether to stop.
    """
    before: npt.NDArray[np.float32] | None = None
    every_s = max(duration_s / MOST, overview.step_s)
    reported = next_s = 0.0
    frames = _sparse(path, overview.step_s, duration_s) if duration_s >= LONG_S else _dense(path)
    try:
        for at, image, aspect in frames:
            if stopped():
                return
            cells = _gray(image)
            change = 0.0 if before is None else float(np.sort(np.abs(cells - before), axis=None)[-_BUSIEST:].mean())
            before = cells
            jpeg = encode_jpeg(image, height=HEIGHT, aspect=aspect) if at >= next_s else None
            with overview.lock:
                place = round(at / overview.step_s)
                overview.motion += [0.0] * (place - len(overview.motion))
                overview.motion.append(change)
                if jpeg is not None:
                    overview.thumbnails.append((at, jpeg))
                    next_s = at + every_s - 1e-6
            if at >= reported + max(_REPORT_S, duration_s / 20):
                reported = at
                progress()
    except (PunctumError, load_av().FFmpegError, OSError, ValueError, RuntimeError):
        pass
    finally:
        frames.close()
        with overview.lock:
            overview.done = True
    progress()


def _gray(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Brightness averaged over a grid of cells."""
    rows, columns = (min(cells, size) for cells, size in zip(_CELLS, image.shape[:2], strict=True))
    green = image[:, :, 1].astype(np.float32)
    down = np.linspace(0, green.shape[0], rows, endpoint=False).astype(int)
    right = np.linspace(0, green.shape[1], columns, endpoint=False).astype(int)
    sums = np.add.reduceat(np.add.reduceat(green, down, axis=0), right, axis=1)
    sizes = np.diff([*down, green.shape[0]])[:, None] * np.diff([*right, green.shape[1]])[None, :]
    return np.asarray(sums / sizes, np.float32)


def _dense(path: Path) -> Any:
    source = open_frames(str(path), fps=MOTION_HZ)
    try:
        for item in source.frames():
            if isinstance(item, Sampled):
                yield item.at, item.image, item.aspect
    finally:
        source.close()


def _sparse(path: Path, step_s: float, duration_s: float) -> Any:
    """The key frame before each step: a video of many hours is not decoded for this."""
    av = load_av()
    with av.open(str(path), container_options={"protocol_whitelist": "file,crypto,data"}) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        origin, base = (container.start_time or 0) / 1e6, float(stream.time_base or 0)
        last = -1.0
        for k in range(int(duration_s / step_s)):
            container.seek(round((k * step_s + origin) / base), stream=stream)
            frame = next(container.decode(stream), None)
            at = last if frame is None or frame.pts is None else frame.pts * base - origin
            if frame is not None and at > last + step_s / 2:
                last = at
                yield max(at, 0.0), frame.to_ndarray(format="rgb24"), 1.0

"""A video file that is opened again at its end, as a camera for demonstrations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ...sources.items import POLL_S
from ...video import FrameSource, Gap, Sampled
from ...video.passing import PassedFrames


class LoopedFrames(PassedFrames):
    """Passes on the frames of a file, and optionally opens it again at its end, with media time going on.

    A lap lasts a whole number of snippets, those that the file gives by itself. The features of every lap are
    therefore those of the file, and media time goes on without a gap.

    Args:
        frames: The opened file.
        reopen: Opens it again; None: the file is read once.
        fps: Cells of the sampling grid per second.
        cells: Cells of a snippet. With several backbones, of the shortest span that is whole snippets of each.
        real_time: Pass a frame on only when its media time has passed since the first.
    """

    def __init__(
        self,
        frames: FrameSource,
        reopen: Callable[[], FrameSource] | None,
        *,
        fps: float,
        cells: int,
        real_time: bool,
    ) -> None:
        super().__init__(frames)
        self._reopen, self._fps, self._cells, self._real_time = reopen, fps, cells, real_time
        self._stop = threading.Event()
        self._lap_s = 0.0
        self.laps: list[float] = [0.0]
        """Media time, counted from the first frame, at which each lap begins."""

    def frames(self) -> Iterator[Sampled | Gap | None]:
        began = time.monotonic()
        while not self._stop.is_set():
            end = 0.0
            for item in self._frames.frames():
                if item is None:
                    yield None
                    continue
                shifted = replace(item, at=item.at + self._lap_s)
                while self._real_time and not self._stop.is_set():
                    ahead = shifted.at - (time.monotonic() - began)
                    if ahead <= 0:
                        break
                    self._stop.wait(min(ahead, POLL_S))
                    if ahead > POLL_S:
                        yield None
                end = max(end, item.at + 1 / self._fps)
                yield shifted
            if self._reopen is None or self._stop.is_set():
                return
            self._lap_s += self._length(end)
            self.laps = [*self.laps, self._lap_s]
            self._frames.close()
            self._frames = self._reopen()
            yield Gap(self._lap_s, 0, "loop")

    def _length(self, end: float) -> float:
        """Length of a lap in seconds: its snippets, of which the last counts if at least half of it is there."""
        count, rest = divmod(round(end * self._fps), self._cells)
        whole = count + (2 * rest >= self._cells > 1)
        return max(whole, 1) * self._cells / self._fps

    def close(self) -> None:
        self._stop.set()
        super().close()

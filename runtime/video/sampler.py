"""Sampling grid: exactly one frame per cell of 1/fps seconds, whatever the rate of the source. No I/O.

Cell k of a section that starts at s covers [s + k/fps, s + (k+1)/fps) and shows the last frame whose time is at most
the middle of the cell, as a player would. A section ends when its last frame leaves the screen. Its last cell counts
if at least half of it is covered, so a section of d seconds has round(d * fps) cells (halves up), and at least one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import InputError
from ._frames import Gap

MAX_FPS = 1000.0
_ROUNDING_S = 1e-6  # far more than the rounding of media times
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cell(Generic[T]):
    """A cell of the grid and the frame that it shows. `index`, `at` and `lost` are those of `Sampled`."""

    frame: T
    index: int
    at: float
    lost: int


class GridSampler(Generic[T]):
    """Converts frames with times into cells and gaps. Times must not go backwards; see `MediaClock`.

    Args:
        fps: Cells per second.
        max_hold_s: Longest time in seconds that a frame stays on screen. If the next one comes later, a new section
            begins. The first frame also fills the time before it if it comes no later than this after media time 0.
        align_s: Sections begin at multiples of this many seconds, so that snippets keep their place. None: anywhere.
    """

    def __init__(self, fps: float, *, max_hold_s: float = 1.0, align_s: float | None = None) -> None:
        check_fps(fps)
        self.fps = fps
        self.hold_s, self._align_s = max(max_hold_s, 1 / fps), align_s
        self._begun = False
        # Containers round time stamps, Matroska to milliseconds: a frame that is this late still counts for the cell.
        self.tie_s = min(1e-3, 0.05 / fps)
        self.lost = 0
        """Number of lost frames that no item has reported yet."""
        self._start, self._index = 0.0, 0
        self._frame: T | None = None
        self._shown_at, self._shown_s = 0.0, 0.0

    def push(
        self, frame: T, at: float, *, duration_s: float, lost: int = 0, broken: str | None = None
    ) -> list[Cell[T] | Gap]:
        """Add the next frame and return the items that it completes.

        Args:
            frame: The frame.
            at: Its media time in seconds.
            duration_s: Its display duration in seconds; used if no frame follows.
            lost: Number of source frames lost before it.
            broken: Why a new section begins with it; None if the stream is continuous.
        """
        items: list[Cell[T] | Gap] = []
        if self._frame is None:
            self._start, self.lost = self._aligned(at), self.lost + lost
            if not self._begun and at <= self.hold_s:
                self._start = 0.0
            self._begun = True
        elif broken is not None or at - self._shown_at > self.hold_s + self.tie_s:
            self._end(items)
            start = self._aligned(max(at, self._at(self._index)))
            items.append(Gap(start, self._take(lost), broken or "stamps-jumped"))
            self._start, self._index = start, 0
        else:
            self.lost += lost
            while self._middle() < at - self.tie_s:
                items.append(self._cell())
        self._frame, self._shown_at, self._shown_s = frame, at, duration_s
        return items

    def shows(self, at: float, until: float) -> bool:
        """Return whether a cell of this section may show a frame at media time `at` that the next one replaces at
        `until`; both in seconds."""
        if self._frame is None:
            return True
        begin, end = (time - self.tie_s - self._start for time in (at - _ROUNDING_S, until + _ROUNDING_S))
        return (math.ceil(begin * self.fps - 0.5) + 0.5) / self.fps < end

    def finish(self, *, lost: int = 0) -> list[Cell[T] | Gap]:
        """Return the items up to the end of the last frame. Later frames begin a new stream."""
        self.lost += lost
        items: list[Cell[T] | Gap] = []
        if self._frame is not None:
            self._end(items)
            self._frame, self._index = None, 0
        return items

    def _end(self, items: list[Cell[T] | Gap]) -> None:
        end = self._shown_at + min(max(self._shown_s, 0.0), self.hold_s)
        while self._index == 0 or self._middle() <= end + self.tie_s:
            items.append(self._cell())

    def _aligned(self, at: float) -> float:
        if self._align_s is None:
            return at
        return max(0.0, math.ceil((at - self.tie_s) / self._align_s) * self._align_s)

    def _cell(self) -> Cell[T]:
        if self._frame is None:
            raise RuntimeError("no frame was pushed before the first cell")
        cell = Cell(self._frame, self._index, self._at(self._index), self._take(0))
        self._index += 1
        return cell

    def _take(self, more: int) -> int:
        lost, self.lost = self.lost + more, 0
        return lost

    def _at(self, index: int) -> float:
        return self._start + index / self.fps

    def _middle(self) -> float:
        return self._start + (self._index + 0.5) / self.fps


def check_fps(fps: float) -> None:
    """Raise InputError for an invalid sampling rate."""
    if not 0 < fps <= MAX_FPS:
        raise InputError(
            "video-fps",
            f"The sampling rate `fps` is {fps}",
            f"above 0, up to {MAX_FPS:g} frames per second",
            "change `fps`",
        )

"""Sampling grid: exactly one frame a cell of 1/fps seconds, whatever the source's rate. Sans I/O.

Cell k of a stretch that starts at s covers [s + k/fps, s + (k+1)/fps) and shows the last frame whose time is at most
its middle, as a player would. A stretch ends where its last frame leaves the screen; its last cell counts when at
least half of it was covered, so a stretch of d seconds has round(d * fps) cells, halves up, and at least one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import InputError
from ._frames import Gap

MAX_FPS = 1000.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cell(Generic[T]):
    """A cell of the grid and the picture it shows. index, at, lost: as in `Sampled`."""

    picture: T
    index: int
    at: float
    lost: int


class GridSampler(Generic[T]):
    """Pictures with times in, cells and gaps out. Times must not go backwards; see `MediaClock`.

    max_hold_s: a picture stays on screen for that long at most; when the next one comes later, a new stretch begins.
    The first one also stands in for what comes before it, where that is no longer than this after media time 0.
    align_s: stretches begin at multiples of it, so that what is counted in them keeps its place; None: anywhere.
    """

    def __init__(self, fps: float, *, max_hold_s: float = 1.0, align_s: float | None = None) -> None:
        check_fps(fps)
        self.fps = fps
        self.hold_s, self._align_s = max(max_hold_s, 1 / fps), align_s
        self._begun = False
        # Containers round stamps, Matroska to milliseconds: a frame this little behind the middle counts as on it.
        self.tie_s = min(1e-3, 0.05 / fps)
        self.lost = 0
        """Frames lost that no item has told of yet."""
        self._start, self._index = 0.0, 0
        self._picture: T | None = None
        self._shown_at, self._shown_s = 0.0, 0.0

    def push(
        self, picture: T, at: float, *, duration_s: float, lost: int = 0, broken: str | None = None
    ) -> list[Cell[T] | Gap]:
        """Items that the next picture decides.

        at: its media time. duration_s: how long it is meant to be shown; matters where no picture follows it.
        lost: source frames lost before it. broken: reason why a new stretch begins with it.
        """
        items: list[Cell[T] | Gap] = []
        if self._picture is None:
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
        self._picture, self._shown_at, self._shown_s = picture, at, duration_s
        return items

    def finish(self, *, lost: int = 0) -> list[Cell[T] | Gap]:
        """Items up to the end of the last picture. Pictures after it begin a new stream."""
        self.lost += lost
        items: list[Cell[T] | Gap] = []
        if self._picture is not None:
            self._end(items)
            self._picture, self._index = None, 0
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
        if self._picture is None:
            raise RuntimeError("a cell without a picture: push one first")
        cell = Cell(self._picture, self._index, self._at(self._index), self._take(0))
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
    """Raise InputError for a rate that no grid can have."""
    if not 0 < fps <= MAX_FPS:
        raise InputError("video-fps", f"fps={fps}", f"above 0, up to {MAX_FPS:g} frames a second", "set fps")

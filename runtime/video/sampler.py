"""Sampling grid: exactly one frame a cell of 1/fps seconds, whatever the source's rate. Sans I/O.

Cell k of a stretch that starts at s covers [s + k/fps, s + (k+1)/fps) and shows the last frame whose time is at most
its middle, as a player would. A stretch ends where its last frame leaves the screen; its last cell counts when at
least half of it was covered, so a stretch of d seconds has round(d * fps) cells, halves up, and at least one.
"""

from __future__ import annotations

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
    """

    def __init__(self, fps: float, *, max_hold_s: float = 1.0) -> None:
        if not 0 < fps <= MAX_FPS:
            raise InputError("video-fps", f"fps={fps}", f"above 0, up to {MAX_FPS:g} frames a second", "set fps")
        self.fps = fps
        self.hold_s = max(max_hold_s, 1 / fps)
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
            self._start, self.lost = at, self.lost + lost
        elif broken is not None or at - self._shown_at > self.hold_s + self.tie_s:
            self._end(items)
            start = max(at, self._at(self._index))
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

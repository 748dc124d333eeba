"""What a session keeps of a call that may fail: its state before, and the rows that the engine failed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._values import compact

if TYPE_CHECKING:
    from .session import Session


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Failed:
    """Rows of a push that the engine failed on, and the media time of the first."""

    at: float
    rows: npt.NDArray[np.float32]

    def end_s(self, stride_s: float) -> float:
        return self.at + len(self.rows) * stride_s

    def begins_like(self, rows: npt.NDArray[np.float32]) -> bool:
        """Whether rows are the same again, as far as both go; otherwise these ones are missing."""
        common = min(len(rows), len(self.rows))
        return np.array_equal(rows[:common], self.rows[:common])


class Saved:
    """All that a call of a session may change.

    Every push makes one, so it copies small lists only: rows are never overwritten where they are, and a mark is enough
    for them.
    """

    __slots__ = ("_buffers", "_finders", "_lists", "_opened", "_reports", "_session", "_stats", "_values")

    def __init__(self, session: Session) -> None:
        s = self._session = session
        self._values = (s.start_s, s._looked, s._serial, s._broken, s._taken, s._closed, s._tail, s._failed)
        self._lists = (s._waiting.copy(), s._holes.copy(), s._video_track.copy())
        self._buffers = (s._features, s._features.mark(), s._tracks, s._tracks.mark())
        self._finders, self._opened = s._finders, [finder.open for finder in s._finders]
        self._stats, self._reports = s.stats.copy(), s._reporter.mark()

    def restore(self) -> None:
        s = self._session
        s.start_s, s._looked, s._serial, s._broken, s._taken, s._closed, s._tail, s._failed = self._values
        s._waiting, s._holes, s._video_track = self._lists
        s._features, features, s._tracks, tracks = self._buffers
        s._features.rewind(features)
        s._tracks.rewind(tracks)
        s._finders = self._finders
        for finder, place in zip(s._finders, self._opened, strict=True):
            finder.open = place
        s.stats = self._stats
        s._reporter.rewind(self._reports)

"""What a session keeps of a call that may fail: its state before, and the rows that the engine failed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..datatypes import compact

if TYPE_CHECKING:
    from ..events.event import Event
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


def only_waits(session: Session, count: int, at: float | None, lost: Sequence[tuple[int, int]]) -> bool:
    """Whether rows do nothing but wait for the next look at the stream, as most do that come one by one."""
    s = session
    if not s._taken or lost or s._features.end + count - s._looked >= s._hop:
        return False
    return at is None or at <= s.now_s + 0.5 * s.plan.stride_s


def wait_with(session: Session, rows: npt.NDArray[np.float32]) -> list[Event]:
    """Take rows that only wait; there is nothing to report. This can be undone without a copy of everything else."""
    s, stats = session, session.stats
    mark, snippets, media_s = s._features.mark(), stats.snippets, stats.media_s
    try:
        s._features.append(rows)
        stats.snippets += len(rows)
        stats.media_s += len(rows) * s.plan.stride_s
    except BaseException:
        s._features.rewind(mark)
        stats.snippets, stats.media_s = snippets, media_s
        raise
    return []

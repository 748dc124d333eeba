"""Islands: the maximal stretches of one class track above its lowest threshold, found as the track arrives.

An island is the unit that post-processing never crosses. Where one starts and ends, and where a too long one is
cut, depends on the track alone and never on how it was chunked: that is why live and offline agree.

Actionness runs do not join islands together; they make proposals inside an island and are clipped to it. So an
island needs one class track only and closes as soon as that track falls, however long actions follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
EDGE = 0.5  # from a snippet's centre to its border: where a stream or a cut island starts and ends


@dataclass(frozen=True, slots=True)
class Island:
    """One closed island: class index, start and end as (snippet index, offset from its centre), and closing index.

    Index and offset are kept apart so that time stamps stay exact after days of stream.
    """

    label: int
    start: int
    start_offset: float
    end: int
    end_offset: float
    closed_at: int
    """Index of the first snippet at which this island was known to have ended."""

    def complete_at(self, context: int) -> int:
        """Index of the last snippet that scoring needs, with `context` snippets of surroundings."""
        return self.closed_at if self.end_offset == EDGE else max(self.closed_at, self.end + context)


class IslandFinder:
    """Follows one class track. `feed` the track as it grows; it returns the islands that closed."""

    def __init__(self, label: int, threshold: float, longest: int) -> None:
        self._label = label
        self._threshold = np.float32(threshold)
        self._longest = max(int(longest), 2)  # snippets
        self._next = 0  # first index not looked at
        self._last = np.float32(0.0)  # value at _next - 1
        self._open: tuple[int, float] | None = None

    @property
    def oldest(self) -> int | None:
        """Start index of the island that is open now, if any: the session keeps the track from there on."""
        return None if self._open is None else self._open[0]

    def feed(self, track: F32, base: int) -> list[Island]:
        """track: float32, its first value at absolute index `base` <= the first index not looked at yet."""
        found: list[Island] = []
        level = self._threshold
        above = track[self._next - base :] > level
        stop = self._next + len(above)
        while self._next < stop:
            rest = above[len(above) - (stop - self._next) :]
            if self._open is None:
                hit = int(np.argmax(rest))
                if not rest[hit]:
                    break
                index = self._next + hit
                self._open = (index, -EDGE) if index == 0 else self._crossing(track, base, index)
                self._next = index + 1
                continue
            hit = int(np.argmin(rest))
            fallen = not rest[hit]
            index = self._next + hit if fallen else stop
            limit = self._open[0] + self._longest
            if index > limit and limit < stop:
                self._cut(track, base, limit, found)
                self._next = limit + 1
                continue
            if not fallen:
                break
            end = self._crossing(track, base, index)
            found.append(Island(self._label, *self._open, *end, index))
            self._open = None
            self._next = index + 1
        self._next = stop
        return found

    def finish(self, track: F32, base: int, total: int) -> list[Island]:
        """The stream has ended after `total` snippets: close what is open at the outer edge of the last one."""
        found = self.feed(track, base)
        if self._open is not None and total > 0:
            found.append(Island(self._label, *self._open, total - 1, EDGE, total - 1))
            self._open = None
        return found

    def _crossing(self, track: F32, base: int, index: int) -> tuple[int, float]:
        """Where the interpolant between index - 1 and index meets the threshold."""
        before, after = float(track[index - 1 - base]), float(track[index - base])
        return index - 1, (float(self._threshold) - before) / (after - before)

    def _cut(self, track: F32, base: int, limit: int, found: list[Island]) -> None:
        """Split after the lowest snippet of the second half of the longest island allowed.

        The cut lies between two snippets and is an edge to both sides, like the ends of a stream: an action that
        goes on for ever must not be judged against itself as its own surroundings.
        """
        start, offset = self._open or (0, 0.0)
        first = start + self._longest // 2
        at = first + int(np.argmin(track[first - base : limit - base]))
        found.append(Island(self._label, start, offset, at, EDGE, limit))
        self._open = (at + 1, -EDGE)

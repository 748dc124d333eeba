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
    """Follows one class track. `feed` the track as it grows; it returns the islands that closed.

    All it remembers is `open`, the start of the island that is open now as (snippet index, offset), or None.
    """

    __slots__ = ("_label", "_longest", "_threshold", "open")

    def __init__(self, label: int, threshold: float, longest: int, *, open: tuple[int, float] | None = None) -> None:
        self._label = label
        self._threshold = np.float32(threshold)
        self._longest = max(int(longest), 2)  # snippets
        self.open = open

    def copy(self) -> IslandFinder:
        """For looking ahead on a track that may still change."""
        return IslandFinder(self._label, float(self._threshold), self._longest, open=self.open)

    def feed(self, track: F32, base: int, first: int) -> list[Island]:
        """track: float32, its first value at absolute index `base`; indices from `first` on are new.

        While no island is open, a call whose new values all lie at or below the threshold may be left out.
        """
        found: list[Island] = []
        above = track[first - base :] > self._threshold
        at, stop = first, first + len(above)
        while at < stop:
            rest = above[at - first :]
            if self.open is None:
                hit = int(np.argmax(rest))
                if not rest[hit]:
                    break
                at += hit
                self.open = (at, -EDGE) if at == 0 else self._crossing(track, base, at)
                at += 1
                continue
            hit = int(np.argmin(rest))
            fallen = not rest[hit]
            index = at + hit if fallen else stop
            limit = self.open[0] + self._longest
            if index > limit and limit < stop:
                self._cut(track, base, limit, found)
                at = limit + 1
                continue
            if not fallen:
                break
            end = self._crossing(track, base, index)
            found.append(Island(self._label, *self.open, *end, index))
            self.open = None
            at = index + 1
        return found

    def finish(self, total: int) -> list[Island]:
        """The stream has ended after `total` snippets: close what is open at the outer edge of the last one."""
        if self.open is None or total <= 0:
            return []
        island = Island(self._label, *self.open, total - 1, EDGE, total - 1)
        self.open = None
        return [island]

    def _crossing(self, track: F32, base: int, index: int) -> tuple[int, float]:
        """Where the interpolant between index - 1 and index meets the threshold."""
        before, after = float(track[index - 1 - base]), float(track[index - base])
        return index - 1, (float(self._threshold) - before) / (after - before)

    def _cut(self, track: F32, base: int, limit: int, found: list[Island]) -> None:
        """Split after the lowest snippet of the second half of the longest island allowed.

        The cut lies between two snippets and is an edge to both sides, like the ends of a stream: an action that
        goes on for ever must not be judged against itself as its own surroundings.
        """
        start, offset = self.open or (0, 0.0)
        first = start + self._longest // 2
        at = first + int(np.argmin(track[first - base : limit - base]))
        found.append(Island(self._label, start, offset, at, EDGE, limit))
        self.open = (at + 1, -EDGE)

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
_BORDER = 0.5  # from a snippet's centre to its border


@dataclass(frozen=True, slots=True)
class Place:
    """Where an island starts or ends: a snippet index and an offset from that snippet's centre, in snippets.

    Index and offset are kept apart so that time stamps stay exact after days of stream. `edge` marks the end of a
    stream or a cut, beyond which nothing may be read. It is a flag of its own because a track that crosses the
    threshold exactly half-way between two snippets has the same offset as an edge.
    """

    index: int
    offset: float
    edge: bool = False

    @classmethod
    def edge_before(cls, index: int) -> Place:
        return cls(index, -_BORDER, True)

    @classmethod
    def edge_after(cls, index: int) -> Place:
        return cls(index, _BORDER, True)

    @property
    def position(self) -> float:
        """Snippet-centre coordinate."""
        return self.index + self.offset


@dataclass(frozen=True, slots=True)
class Island:
    """One closed island of one class."""

    label: int
    start: Place
    end: Place
    closed_at: int
    """Index of the first snippet at which this island was known to have ended."""

    def complete_at(self, context: int) -> int:
        """Index of the last snippet that scoring needs, with `context` snippets of surroundings."""
        return self.closed_at if self.end.edge else max(self.closed_at, self.end.index + context)

    def window(self, context: int, total: int) -> tuple[int, int]:
        """Snippets [low, high) that scoring may read; the stream has `total`."""
        low = self.start.index if self.start.edge else max(self.start.index - context, 0)
        high = self.end.index + 1 if self.end.edge else self.end.index + context + 1
        return low, min(high, total)

    def bounds(self, low: int) -> tuple[float, float]:
        """Start and end in the snippet-centre coordinates of a window that begins at snippet `low`."""
        return (self.start.index - low + self.start.offset, self.end.index - low + self.end.offset)


class IslandFinder:
    """Follows one class track. `feed` the track as it grows; it returns the islands that closed.

    All it remembers is `open`, where the island that is open now started, or None.
    """

    __slots__ = ("_label", "_longest", "_threshold", "open")

    def __init__(self, label: int, threshold: float, longest: int, *, open: Place | None = None) -> None:
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
                self.open = Place.edge_before(at) if at == 0 else self._crossing(track, base, at)
                at += 1
                continue
            hit = int(np.argmin(rest))
            fallen = not rest[hit]
            index = at + hit if fallen else stop
            limit = self.open.index + self._longest
            if index > limit and limit < stop:
                self._cut(track, base, limit, found)
                at = limit + 1
                continue
            if not fallen:
                break
            end = self._crossing(track, base, index)
            found.append(Island(self._label, self.open, end, index))
            self.open = None
            at = index + 1
        return found

    def finish(self, total: int) -> list[Island]:
        """The stream has ended after `total` snippets: close what is open at the outer edge of the last one."""
        if self.open is None or total <= 0:
            return []
        island = Island(self._label, self.open, Place.edge_after(total - 1), total - 1)
        self.open = None
        return [island]

    def _crossing(self, track: F32, base: int, index: int) -> Place:
        """Where the interpolant between index - 1 and index meets the threshold."""
        before, after = float(track[index - 1 - base]), float(track[index - base])
        return Place(index - 1, (float(self._threshold) - before) / (after - before))

    def _cut(self, track: F32, base: int, limit: int, found: list[Island]) -> None:
        """Split after the lowest snippet of the second half of the longest island allowed.

        The cut lies between two snippets and is an edge to both sides, like the ends of a stream: an action that
        goes on for ever must not be judged against itself as its own surroundings.
        """
        start = self.open or Place.edge_before(0)
        first = start.index + self._longest // 2
        at = first + int(np.argmin(track[first - base : limit - base]))
        found.append(Island(self._label, start, Place.edge_after(at), limit))
        self.open = Place.edge_before(at + 1)

"""Islands: maximal intervals in which one class track stays above its lowest threshold.

Post-processing never crosses the ends of an island. Where an island starts and ends, and where one that is too long is
cut, depends on the track alone and not on how the stream was chunked. This is why live and offline runs agree.

Actionness does not join islands: its runs become proposals inside an island and are clipped to it. An island therefore
depends on one class track only and closes as soon as that track falls, even if actions of other classes follow without
a pause.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
_HALF = 0.5  # from a snippet's centre to its border


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an island starts or ends.

    Index and offset are kept apart so that times stay exact after days of stream. `edge` is a field of its own because
    a track may cross the threshold exactly half-way between two snippets, which has the same offset as an edge.

    Attributes:
        index: A snippet of the section.
        offset: Distance from that snippet's centre, in snippets.
        edge: An end of the section or a cut, beyond which nothing may be read.
    """

    index: int
    offset: float
    edge: bool = False

    @classmethod
    def edge_before(cls, index: int) -> Endpoint:
        """The edge in front of a snippet."""
        return cls(index, -_HALF, True)

    @classmethod
    def edge_after(cls, index: int) -> Endpoint:
        """The edge behind a snippet."""
        return cls(index, _HALF, True)

    @property
    def position(self) -> float:
        """In snippets, where 0 is the centre of the section's first snippet."""
        return self.index + self.offset


@dataclass(frozen=True, slots=True)
class Window:
    """The snippets that scoring an island reads.

    Attributes:
        low: First snippet.
        high: One after the last snippet.
        bounds: Start and end of the island, in snippets from the centre of snippet `low`.
        inner: The window holds the whole context on both sides, so that no pooling is cut off at its ends.
    """

    low: int
    high: int
    bounds: tuple[float, float]
    inner: bool


@dataclass(frozen=True, slots=True)
class Island:
    """One closed island of one class.

    Attributes:
        label: Index of the class.
        start: Where the track rose above the threshold.
        end: Where it fell below.
        closed_at: The first snippet at which the end was known.
    """

    label: int
    start: Endpoint
    end: Endpoint
    closed_at: int

    def complete_at(self, context: int) -> int:
        """The last snippet that scoring reads, with `context` snippets on either side."""
        return self.closed_at if self.end.edge else max(self.closed_at, self.end.index + context)

    def window(self, context: int, *, first: int, known: int) -> Window:
        """The snippets that scoring reads: the island and `context` snippets on either side, but none beyond an edge.

        Args:
            context: Snippets on either side.
            first: The first snippet still in memory.
            known: Number of snippets of the section so far.
        """
        low = self.start.index if self.start.edge else max(self.start.index - context, first)
        high = self.end.index + 1 if self.end.edge else min(self.end.index + context + 1, known)
        bounds = (self.start.index - low + self.start.offset, self.end.index - low + self.end.offset)
        inner = low + context <= self.start.index and self.end.index + context < high
        return Window(low, high, bounds, inner)


class IslandFinder:
    """Finds the islands of one class track as it grows.

    Attributes:
        open: Where the island that is open now started, or None. This is all the state there is.
    """

    __slots__ = ("_label", "_longest", "_threshold", "open")

    def __init__(self, label: int, threshold: float, longest: int, *, open: Endpoint | None = None) -> None:
        """A finder for one class.

        Args:
            label: Index of the class.
            threshold: The lowest threshold of the class tracks.
            longest: Maximum length of an island in snippets.
            open: Where the island that is open started, or None.
        """
        self._label = label
        self._threshold = np.float32(threshold)
        self._longest = max(int(longest), 2)
        self.open = open

    def copy(self) -> IslandFinder:
        """An independent copy, to continue on a provisional track."""
        return IslandFinder(self._label, float(self._threshold), self._longest, open=self.open)

    def feed(self, track: F32, base: int, first: int) -> list[Island]:
        """Continue on a track and return the islands that closed.

        While no island is open, the call may be left out if no new value is above the threshold.

        Args:
            track: float32 [n], of which value 0 belongs to snippet `base`.
            base: See `track`.
            first: The first snippet whose value is new.
        """
        closed: list[Island] = []
        above = track[first - base :] > self._threshold
        at, stop = first, first + len(above)
        while at < stop:
            rest = above[at - first :]
            if self.open is None:
                rise = int(np.argmax(rest))
                if not rest[rise]:
                    break
                at += rise
                self.open = Endpoint.edge_before(at) if at == 0 else self._crossing(track, base, at)
                at += 1
                continue
            fall = int(np.argmin(rest))
            fell = not rest[fall]
            index = at + fall if fell else stop
            limit = self.open.index + self._longest
            if index > limit and limit < stop:
                self._cut(track, base, limit, closed)
                at = limit + 1
                continue
            if not fell:
                break
            end = self._crossing(track, base, index)
            closed.append(Island(self._label, self.open, end, index))
            self.open = None
            at = index + 1
        return closed

    def finish(self, total: int) -> list[Island]:
        """The section has ended after `total` snippets: an open island ends at the outer edge of the last one."""
        if self.open is None or total <= 0:
            return []
        island = Island(self._label, self.open, Endpoint.edge_after(total - 1), total - 1)
        self.open = None
        return [island]

    def _crossing(self, track: F32, base: int, index: int) -> Endpoint:
        """Where the linear interpolation between index - 1 and index meets the threshold."""
        before, after = float(track[index - 1 - base]), float(track[index - base])
        return Endpoint(index - 1, (float(self._threshold) - before) / (after - before))

    def _cut(self, track: F32, base: int, limit: int, closed: list[Island]) -> None:
        """Cut an island that is too long after the lowest value in the second half of the permitted length.

        The cut lies between two snippets and is an edge for both sides, like the ends of a section: the contrast of an
        action that never ends must not be computed against the same action beyond the cut.
        """
        start = self.open or Endpoint.edge_before(0)
        first = start.index + self._longest // 2
        at = first + int(np.argmin(track[first - base : limit - base]))
        closed.append(Island(self._label, start, Endpoint.edge_after(at), limit))
        self.open = Endpoint.edge_before(at + 1)

"""Islands: maximal intervals in which one class track stays above its lowest threshold.

Post-processing never crosses the ends of an island. Where an island starts and ends, and where one that is too long is
cut, depends on the track alone and not on how the stream was chunked. This is why live and offline runs agree.

Actionness does not join islands: its runs become proposals inside an island and are clipped to it. An island therefore
depends on one class track only and closes as soon as that track falls, even if actions of other classes follow without
a pause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from punctum import kernels

F32 = npt.NDArray[np.float32]
_HALF = 0.5  # from a snippet's center to its border


class Endpoint(NamedTuple):
    """Where an island starts or ends.

    Index and offset are kept apart so that times stay exact after days of stream. `edge` is a field of its own because
    a track may cross the threshold exactly half-way between two snippets, which has the same offset as an edge.

    Attributes:
        index: A snippet of the section.
        offset: Distance from that snippet's center, in snippets.
        edge: An end of the section or a cut, beyond which nothing may be read.
    """

    index: int  # type: ignore[assignment]  # hides a method of tuples
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
        """In snippets, where 0 is the center of the section's first snippet."""
        return self.index + self.offset


class Window(NamedTuple):
    """The snippets that scoring an island reads.

    Attributes:
        low: First snippet.
        high: One after the last snippet.
        bounds: Start and end of the island, in snippets from the center of snippet `low`.
        inner: The window holds the whole context on both sides, so that no pooling is cut off at its ends.
    """

    low: int
    high: int
    bounds: tuple[float, float]
    inner: bool


class Island(NamedTuple):
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
        start, near, cut_before = self.start
        end, far, cut_after = self.end
        low = start if cut_before else max(start - context, first)
        high = end + 1 if cut_after else min(end + context + 1, known)
        inner = low + context <= start and end + context < high
        return Window(low, high, (start - low + near, end - low + far), inner)


class IslandFinder:
    """Finds the islands of all class tracks as they grow."""

    __slots__ = ("_longest", "_open", "_threshold")

    def __init__(self, classes: int, threshold: float, longest: int) -> None:
        """A finder that has found nothing.

        Args:
            classes: Number of class tracks.
            threshold: The lowest threshold of the class tracks.
            longest: Maximum length of an island in snippets.
        """
        self._threshold = threshold
        self._longest = max(int(longest), 2)
        self._open = kernels.OpenIslands.none(classes)

    @property
    def open(self) -> list[Endpoint | None]:
        """For each class where its open island started, or None. This is all the state there is."""
        starts = zip(*(column.tolist() for column in self._open), strict=True)
        return [None if index < 0 else Endpoint(index, offset, edge) for index, offset, edge in starts]

    @open.setter
    def open(self, starts: Sequence[Endpoint | None]) -> None:
        islands = kernels.OpenIslands.none(len(starts))
        for c, start in enumerate(starts):
            if start is not None:
                islands.snippet[c], islands.offset[c], islands.edge[c] = start.index, start.offset, start.edge
        self._open = islands

    @property
    def oldest(self) -> int | None:
        """The first snippet of the islands that are open; None if there is none."""
        return min((index for index in self._open.snippet.tolist() if index >= 0), default=None)

    def mark(self) -> kernels.OpenIslands:
        """The present state, for `rewind`."""
        return self._open.copy()

    def rewind(self, mark: kernels.OpenIslands) -> None:
        """Undo everything since `mark`."""
        self._open = mark.copy()

    def ahead(self) -> IslandFinder:
        """An independent copy, to continue on provisional tracks."""
        copy = IslandFinder(0, self._threshold, self._longest)
        copy._open = self._open.copy()
        return copy

    def feed(self, tracks: F32, base: int, first: int, *, final: bool = False) -> list[Island]:
        """Continue on the tracks and return the islands that closed, by class and time.

        Args:
            tracks: float32 [n, C] or wider, of which row 0 belongs to snippet `base`.
            base: See `tracks`.
            first: The first snippet whose values are new.
            final: The section has ended with these tracks: open islands end at the outer edge of the last snippet.
        """
        places, offsets = kernels.find_islands(
            tracks, self._open, base=base, first=first, threshold=self._threshold, longest=self._longest, final=final
        )
        return [
            Island(label, Endpoint(start, near, before > 0), Endpoint(end, far, after > 0), closed_at)
            for (label, start, before, end, after, closed_at), (near, far) in zip(
                places.tolist(), offsets.tolist(), strict=True
            )
        ]

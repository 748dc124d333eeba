"""A section: an unbroken part of a stream, with its features, its tracks and the islands found so far.

A gap in the stream ends one section and begins the next. Snippets are counted from the beginning of the section. What
no later computation can read is dropped, so memory does not grow with the length of the stream.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from punctum import kernels

from .buffer import BufferMark, RowBuffer
from .islands import Endpoint, Island, IslandFinder
from .plan import Plan

F32 = npt.NDArray[np.float32]
MOST_SNIPPETS = 4e15  # indices and their sums stay exact in float64


class Carried(NamedTuple):
    """What a locator keeps from one step to the next. It follows from the features, so a snapshot leaves it out.

    Attributes:
        known: Number of snippets that it has seen.
        state: float32 [S], never changed.
    """

    known: int
    state: F32


class SectionMark(NamedTuple):
    """A section as it was; see `Section.mark`."""

    start_s: float
    advanced: int
    features: BufferMark
    tracks: BufferMark
    provisional: F32
    carried: Carried | None
    open: kernels.OpenIslands
    pending: list[Island]
    lost_frames: list[tuple[int, int]]


class Section:
    """State of one unbroken part of a stream.

    Attributes:
        start_s: Media time at which the first snippet begins, in seconds.
        advanced: Number of snippets at the last advance, a multiple of the session's hop.
        features: float32 [n, D], the latest features.
        tracks: float32 [n, C + 1], the latest tracks: classes, then actionness. They end before the features, by the
            right receptive field of the locator.
        provisional: float32 [n, C + 1], tracks of the snippets after `tracks`, computed as if the stream ended now.
        carried: What the locator has kept of the snippets so far, if it works in steps.
        finder: Finds the islands of all classes.
        pending: Closed islands whose context on the right is not known yet.
        lost_frames: Pairs (snippet, video frames missing in it).
    """

    __slots__ = (
        "_level",
        "_plan",
        "_stride_s",
        "advanced",
        "carried",
        "features",
        "finder",
        "lost_frames",
        "pending",
        "provisional",
        "start_s",
        "tracks",
    )

    def __init__(self, plan: Plan, start_s: float) -> None:
        self._plan, self._stride_s = plan, plan.stride_s
        self._level = np.float32(plan.post.class_thresholds[0])
        longest = math.floor(min(plan.post.max_island_s / plan.stride_s, MOST_SNIPPETS))
        self.start_s = start_s
        self.advanced = 0
        self.features = RowBuffer(plan.dim)
        self.tracks = RowBuffer(len(plan.labels) + 1)
        self.provisional: F32 = np.zeros((0, len(plan.labels) + 1), np.float32)
        self.carried: Carried | None = None
        self.finder = IslandFinder(len(plan.labels), plan.post.class_thresholds[0], longest)
        self.pending: list[Island] = []
        self.lost_frames: list[tuple[int, int]] = []

    @property
    def now_s(self) -> float:
        """Media time at which the last snippet ends, in seconds."""
        return self.start_s + self.features.end * self._stride_s

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        kept = 0 if self.carried is None else self.carried.state.nbytes
        return self.features.nbytes + self.tracks.nbytes + int(self.provisional.nbytes) + kept

    def time_of(self, endpoint: Endpoint) -> float:
        """Media time of an island's start or end, in seconds."""
        return self.start_s + (endpoint.position + 0.5) * self._plan.stride_s

    def in_seconds(self, low: int, segments: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        """Media times of segments, given in snippets from the center of snippet `low`."""
        begin, stride = self.start_s, self._stride_s
        return [(begin + (low + a + 0.5) * stride, begin + (low + b + 0.5) * stride) for a, b in segments]

    def frames_lost(self, start_s: float, end_s: float) -> int:
        """Number of video frames missing in the snippets that an interval of media time touches."""
        stride, begin = self._plan.stride_s, self.start_s
        return sum(
            frames
            for i, frames in self.lost_frames
            if begin + i * stride < end_s and start_s < begin + (i + 1) * stride
        )

    def find_islands(self, first: int, *, final: bool) -> None:
        """Add the islands that closed in the tracks from snippet `first` on to `pending`.

        Args:
            first: The first snippet whose tracks are new.
            final: The section ends here, and with it every open island.
        """
        if final or self.tracks.end > first:
            self.pending += self.finder.feed(self.tracks.rows, self.tracks.base, first, final=final)

    def take_complete(self, *, final: bool) -> list[Island]:
        """Remove the islands from `pending` whose whole context is known, and return them.

        Their order depends on the media alone: by the snippet that completed the context, then by class.
        """
        if not self.pending:
            return []
        context, known = self._plan.context, self.tracks.end
        complete = [i for i in self.pending if final or i.complete_at(context) < known]
        if complete:
            self.pending = [i for i in self.pending if i not in complete]
            complete.sort(key=lambda i: (i.complete_at(context), i.label, i.start.index))
        return complete

    def is_active(self) -> bool:
        """Whether an island is open, or the provisional tracks would open one."""
        if self.finder.oldest is not None:
            return True
        return len(self.provisional) > 0 and bool(self.provisional[:, :-1].max() > self._level)

    def trim(self) -> None:
        """Drop what neither an open or pending island nor the next locator window can read."""
        plan = self._plan
        oldest = self.tracks.end - 1
        begun = self.finder.oldest
        if begun is not None:
            oldest = min(oldest, begun)
        for island in self.pending:
            oldest = min(oldest, island.start.index)
        oldest -= plan.context + 1
        self.features.drop_before(min(oldest, self.tracks.end - plan.left))
        self.tracks.drop_before(oldest)
        if self.lost_frames:
            self.lost_frames = [lost for lost in self.lost_frames if lost[0] >= oldest]

    def mark(self) -> SectionMark:
        """The present state, for `rewind`. It copies short lists only; rows are never overwritten in place."""
        return SectionMark(
            self.start_s,
            self.advanced,
            self.features.mark(),
            self.tracks.mark(),
            self.provisional,
            self.carried,
            self.finder.mark(),
            self.pending.copy(),
            self.lost_frames.copy(),
        )

    def rewind(self, mark: SectionMark) -> None:
        """Undo everything since `mark`."""
        self.start_s, self.advanced, self.provisional = mark.start_s, mark.advanced, mark.provisional
        self.carried = mark.carried
        self.features.rewind(mark.features)
        self.tracks.rewind(mark.tracks)
        self.finder.rewind(mark.open)
        self.pending, self.lost_frames = mark.pending, mark.lost_frames

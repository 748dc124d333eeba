"""Proposals of many islands in one call: a session has a few islands at a time, and each is small.

Per island this is `find_runs`, a cut to the island's bounds, and `outer_inner_contrast`, with the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ._contrast import _contrast
from ._jit import jit
from ._order import argsort_stable
from ._runs import _runs
from ._validate import F32, F64, I64, KernelInputError, positive

SHORTEST = 1e-6  # snippets; a shorter segment has no interior to average


class IslandProposals(NamedTuple):
    """Proposals of G islands, one island after the other.

    Attributes:
        segments: float64 [M, 2], in snippet-center coordinates of the island's own window.
        contrast: float64 [M], outer-inner contrast.
        inner: float64 [M], mean of the track inside the segment.
        offsets: int64 [G + 1]; island g has the rows offsets[g] to offsets[g + 1].
    """

    segments: F64
    contrast: F64
    inner: F64
    offsets: I64


@jit(
    "void(f4[:, ::1], i8[:, ::1], f8[:, ::1], f8[::1], f8[::1], f8, f8, i8, f8[:, ::1], f8[::1], f8[::1], i8[::1])",
    writes=("segments", "inner", "outer", "offsets"),
)
def _propose(  # type: ignore[no-untyped-def]
    tracks, islands, bounds, levels, actions, margin, max_margin, most, segments, inner, outer, offsets
):
    """islands: [G, 3], class, first and last row + 1. The arrays that are written have room for every run."""
    total = 0
    offsets[0] = 0
    for g in range(len(islands)):
        label, low, high = islands[g]
        low_bound, high_bound = bounds[g]
        length = high - low
        room = (len(levels) + len(actions)) * ((length + 1) // 2)
        runs, which, level = np.empty((room, 2)), np.empty(room, np.int64), np.empty(room, np.int64)
        column = np.empty((length, 1))
        count, extra = 0, runs[:0].copy()
        if len(actions) > 0:
            for t in range(length):
                column[t, 0] = tracks[low + t, tracks.shape[1] - 1]
            count = _runs(column, actions, runs, which, level, True)
            extra = runs[:count].copy()
        for t in range(length):
            column[t, 0] = tracks[low + t, label]
        own = _runs(column, levels, runs, which, level, True)
        if count > 0:
            runs[own : own + count] = extra
        first = total
        for r in range(own + count):
            start = min(max(runs[r, 0], low_bound), high_bound)
            end = min(max(runs[r, 1], low_bound), high_bound)
            if end - start > SHORTEST:
                segments[total, 0], segments[total, 1] = start, end
                total += 1
        kept = total - first
        zeros = np.zeros(kept, np.int64)
        row = column.reshape((1, length))
        _contrast(row, segments[first:total], zeros, margin, max_margin, inner[first:total], outer[first:total])
        if kept > most:
            contrast = inner[first:total] - outer[first:total]
            chosen = np.zeros(kept, np.bool_)
            order = argsort_stable(contrast, True)
            for r in range(most):
                chosen[order[r]] = True
            total = first
            for r in range(first, first + kept):
                if chosen[r - first]:
                    segments[total, 0], segments[total, 1] = segments[r, 0], segments[r, 1]
                    inner[total], outer[total] = inner[r], outer[r]
                    total += 1
        offsets[g + 1] = total


def propose_islands(
    tracks: F32,
    islands: Sequence[tuple[int, int, int]],
    bounds: Sequence[tuple[float, float]],
    *,
    thresholds: Sequence[float],
    action_thresholds: Sequence[float] = (),
    margin: float = 0.25,
    max_margin: float = np.inf,
    most: int = 1 << 32,
) -> IslandProposals:
    """The runs of islands above thresholds, cut to their bounds, with their contrast.

    Each island is processed in its own window, the rows that it names: nothing beyond them is read.

    Args:
        tracks: float32 [T, C + 1], finite: class tracks, then actionness.
        islands: (class, first row, one after the last row) of each.
        bounds: start and end of each, in snippet-center coordinates of its window; runs are cut to them.
        thresholds: levels of the class track.
        action_thresholds: levels of actionness.
        margin: see `outer_inner_contrast`.
        max_margin: see `outer_inner_contrast`.
        most: proposals of an island; those of the highest contrast stay, in their order.

    Returns:
        For each island the runs of its class, then those of actionness, by threshold and start.

    Raises:
        KernelInputError: the tracks have another form, or an island is not within them.

    Example:
        >>> import numpy as np
        >>> from punctum import kernels
        >>> tracks = np.array([[0.0, 0.0], [1.0, 0.5], [1.0, 0.5], [0.0, 0.0]], np.float32)
        >>> found = kernels.propose_islands(tracks, [(0, 0, 4)], [(0.25, 2.75)], thresholds=[0.25, 0.5])
        >>> found.segments.tolist()
        [[0.25, 2.75], [0.5, 2.5]]
    """
    if tracks.dtype != np.float32 or tracks.ndim != 2:
        raise KernelInputError(
            f"tracks is {tracks.dtype} {list(tracks.shape)}", "float32 [T, C + 1]", "convert the tracks"
        )
    rows, columns = tracks.shape
    room, levels = 0, len(thresholds) + len(action_thresholds)
    for label, low, high in islands:
        if not (0 <= label < columns and 0 <= low < high <= rows):
            raise KernelInputError(
                f"an island of class {label} in the rows {low} to {high}",
                f"classes below {columns} and rows within 0 to {rows}",
                "correct the island",
            )
        room += levels * ((high - low + 1) // 2)
    segments, inner, outer = np.empty((room, 2)), np.empty(room), np.empty(room)
    offsets = np.empty(len(islands) + 1, np.int64)
    _propose(
        np.ascontiguousarray(tracks),
        np.array(islands, np.int64).reshape(-1, 3),
        np.array(bounds, np.float64).reshape(-1, 2),
        np.array(thresholds, np.float64),
        np.array(action_thresholds, np.float64),
        positive(margin, "margin"),
        positive(max_margin, "max_margin"),
        most,
        segments,
        inner,
        outer,
        offsets,
    )
    count = int(offsets[-1])
    return IslandProposals(segments[:count], inner[:count] - outer[:count], inner[:count], offsets)

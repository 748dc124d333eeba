"""Which segments touch which others, without a matrix: a video of a day has 100,000 events and thousands of actions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def touching(segments: F64, others: F64) -> tuple[I64, I64]:
    """All pairs of a segment and another one that share at least a point, as indices, in order of the first.

    Args:
        segments: float64 [N, 2].
        others: float64 [M, 2].
    """
    order = np.argsort(others[:, 0], kind="stable")
    starts, ends = others[order, 0], others[order, 1]
    # The largest end so far rises, so that everything before `low` ends too early; what follows may, too.
    low = np.searchsorted(np.maximum.accumulate(ends), segments[:, 0], side="left") if len(ends) else np.zeros(0, int)
    high = np.searchsorted(starts, segments[:, 1], side="right") if len(ends) else np.zeros(0, int)
    count = np.maximum(high - low, 0) if len(ends) else np.zeros(len(segments), np.int64)
    first = np.repeat(np.arange(len(segments)), count)
    if not len(first):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    second = order[np.repeat(low, count) + within]
    keep = others[second, 1] >= segments[first, 0]
    return first[keep], second[keep]


def pairwise_iou(segments: F64, others: F64, first: I64, second: I64) -> F64:
    """Overlap of each pair, with the operations of `kernels.segment_iou`."""
    a, b = segments[first], others[second]
    shared = np.maximum(np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0]), 0.0)
    union = (a[:, 1] - a[:, 0]) + (b[:, 1] - b[:, 0]) - shared
    return np.asarray(np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0))


def best_of_each(first: I64, second: I64, value: F64, keep: Flags) -> tuple[I64, I64]:
    """For each first index with a kept pair: the index, and the second index with the largest value.

    Among equal values the smallest second index wins.
    """
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((second[rows], -value[rows], first[rows]))]
    heads, at = np.unique(first[rows], return_index=True)
    return heads, second[rows[at]]

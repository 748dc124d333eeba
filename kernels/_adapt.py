"""Alignment-based boundary adaptation (ABA): TSPNet, CVPR 2024, and `test_proposal` of its released code."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import cuda
from ._jit import jit
from ._order import order_in_groups
from ._overlap import iou_of
from ._validate import F64, I64, offsets_of, positive, segments_of, vector_of


@jit("f8[:, ::1](f8[:, ::1], f8[::1], i8[::1], i8[::1], i8[::1], f8)")
def _adapt(segments, scores, offsets, by_start, by_score, threshold):  # type: ignore[no-untyped-def]
    """by_start, by_score: the rows of each group in these orders."""
    n = len(scores)
    out = segments.copy()
    start, end, score = np.empty(n), np.empty(n), np.empty(n)
    reach, rank, locked = np.empty(n), np.empty(n, np.int64), np.zeros(n, np.bool_)
    # IoU > t leaves room for a start at most length (1/t - 1) earlier and length (1 - t) later.
    slack = 1.0 + 1e-9  # above the rounding of IoU
    left = (1.0 / threshold - 1.0) * slack if threshold > 0.0 else np.inf
    right = (1.0 - threshold) * slack
    for g in range(len(offsets) - 1):
        a, b = offsets[g], offsets[g + 1]
        top = -np.inf
        for r in range(a, b):
            i = by_start[r]
            start[r], end[r], score[r], rank[i] = segments[i, 0], segments[i, 1], scores[i], r
            top = max(top, end[r])
            reach[r] = top
        # The published code reverses an ascending sort, so the order of equal scores is arbitrary there.
        for q in range(a, b):
            p = rank[by_score[q]]
            s, e = start[p], end[p]
            if locked[p] or e <= s:
                continue
            low, high = p, p + 1
            while low > a and reach[low - 1] > s and s - start[low - 1] <= left * (e - s):
                low -= 1
            while high < b and start[high] - s <= right * (e - s):
                high += 1
            weight, near, far = 0.0, 0.0, 0.0
            for r in range(low, high):
                iou = iou_of(s, e, start[r], end[r], 0.0)
                if iou > threshold:
                    w = iou * score[r]
                    weight += w
                    # Offsets relative to the segment: exact even on streams that have run for days.
                    near += w * (start[r] - s)
                    far += w * (end[r] - e)
                    locked[r] = True
            if weight > 0.0:
                near, far = s + near / weight, e + far / weight
                if near <= far:  # negative scores of some locators could swap start and end
                    out[by_score[q], 0], out[by_score[q], 1] = near, far
    return out


def adapt_groups(
    segments: ArrayLike, scores: ArrayLike, group_offsets: ArrayLike, *, iou_threshold: float = 0.4
) -> F64:
    """`adapt_boundaries` within each of many groups, in one call.

    Args:
        segments: [N, 2], start and end in any one unit; or an array on a CUDA device (see `kernels.cuda.adapt_groups`).
        scores: [N], each >= 0.
        group_offsets: [G + 1]; group g holds the rows group_offsets[g] to group_offsets[g + 1].
        iou_threshold: see `adapt_boundaries`.

    Returns:
        float64 [N, 2] in the order of the input.

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN, or the offsets are not a partition.
    """
    if cuda.on_device(segments):
        on_device: F64 = cuda.adapt_groups(segments, scores, group_offsets, iou_threshold=iou_threshold)
        return on_device
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = offsets_of(group_offsets, len(seg))
    return adapted(seg, value, offsets, positive(iou_threshold, "iou_threshold"))


def adapted(segments: F64, scores: F64, offsets: I64, threshold: float) -> F64:
    """`adapt_groups` of arguments that are checked."""
    by_start = order_in_groups(np.ascontiguousarray(segments[:, 0]), offsets)
    by_score = order_in_groups(scores, offsets, descending=True)
    moved: F64 = _adapt(segments, scores, offsets, by_start, by_score, threshold)
    return moved


def adapt_boundaries(segments: ArrayLike, scores: ArrayLike, *, iou_threshold: float = 0.4) -> F64:
    """Move the best proposal of each cluster to the weighted mean of its neighbors (ABA).

    Proposals are visited from the highest score down. A proposal that is not locked moves to the mean of all original
    segments whose IoU with it is above `iou_threshold`, weighted by IoU x score, and locks them. A locked proposal
    keeps its original segment.

    Two cases in which the published code returns NaN keep their segment here: a proposal without length (its IoU with
    itself is 0/0), and a neighborhood in which all scores are 0.

    Args:
        segments: [N, 2], start and end in any one unit.
        scores: [N], each >= 0.
        iou_threshold: IoU above which two proposals belong to one cluster.

    Returns:
        float64 [N, 2] in the order of the input.

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Source:
        TSPNet (Xia et al., CVPR 2024), alignment-based boundary adaptation; `test_proposal` of the released code.

    Example:
        >>> from punctum import kernels
        >>> segments = [[0.0, 4.0], [1.0, 5.0], [9.0, 11.0]]
        >>> kernels.adapt_boundaries(segments, [0.9, 0.6, 0.5]).round(2).tolist()
        [[0.29, 4.29], [1.0, 5.0], [9.0, 11.0]]
    """
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    return adapt_groups(seg, value, np.array([0, len(seg)], np.int64), iou_threshold=iou_threshold)

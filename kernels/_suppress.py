"""Non-maximum suppression, hard and Gaussian, for one group or for many groups in one call.

Soft-NMS: Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017, equation 2
(Gaussian), with lengths in one dimension.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import cuda
from ._jit import jit
from ._order import argsort_stable
from ._overlap import iou_of
from ._soft import soft_groups
from ._validate import F64, I64, offsets_of, positive, segments_of, vector_of


@jit("i8[::1](f8[:, ::1], i8[::1], i8[::1], f8, f8)")
def _hard(segments, by_start, by_score, threshold, extra):  # type: ignore[no-untyped-def]
    n = len(by_start)
    start, end, reach, rank = np.empty(n), np.empty(n), np.empty(n), np.empty(n, np.int64)
    top = -np.inf
    for r in range(n):
        i = by_start[r]
        start[r], end[r], rank[i] = segments[i, 0], segments[i, 1], r
        top = max(top, end[r])
        reach[r] = top
    dropped = np.zeros(n, np.bool_)
    selected = np.empty(n, np.int64)
    count = 0
    for q in range(n):
        i = by_score[q]
        p = rank[i]
        if dropped[p]:
            continue
        selected[count] = i
        count += 1
        low, high = p, p + 1
        while low > 0 and reach[low - 1] + extra > start[p]:
            low -= 1
        while high < n and start[high] - extra < end[p]:
            high += 1
        for r in range(low, high):
            if iou_of(start[p], end[p], start[r], end[r], extra) >= threshold:
                dropped[r] = True
    return selected[:count]


def nms(segments: ArrayLike, scores: ArrayLike, *, iou_threshold: float, length_offset: float = 0.0) -> I64:
    """Greedy non-maximum suppression: keep the best, drop everything that overlaps it.

    Args:
        segments: [N, 2], start and end in any one unit.
        scores: [N].
        iou_threshold: segments with this IoU or more are dropped.
        length_offset: 1.0 reproduces the published "+1" lengths.

    Returns:
        int64 [K], indices of the kept segments, best first; of equal scores the earlier one in the input is kept.

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Example:
        >>> from punctum import kernels
        >>> kernels.nms([[0.0, 2.0], [0.1, 2.1], [5.0, 6.0]], [0.9, 0.8, 0.7], iou_threshold=0.5).tolist()
        [0, 2]
    """
    seg = segments_of(segments)
    threshold = positive(iou_threshold, "iou_threshold", zero=False)
    by_score = argsort_stable(vector_of(scores, "scores", len(seg)), True)
    by_start = argsort_stable(np.ascontiguousarray(seg[:, 0]), False)
    kept: I64 = _hard(seg, by_start, by_score, threshold, float(length_offset))
    return kept


def soft_nms(
    segments: ArrayLike, scores: ArrayLike, *, sigma: float = 0.3, min_score: float = 0.0, length_offset: float = 0.0
) -> tuple[I64, F64]:
    """Gaussian soft-NMS: each pick multiplies the scores of its neighbors by exp(-iou^2 / sigma).

    Args:
        segments: [N, 2], start and end in any one unit.
        scores: [N], each >= 0.
        sigma: width of the Gaussian; smaller values suppress more.
        min_score: the picking ends at the first score below it.
        length_offset: 1.0 reproduces the published "+1" lengths.

    Returns:
        (int64 [K], indices in the order of picking; float64 [K], their decayed scores, never increasing). Of equal
        scores the earlier one in the input is picked first.

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Source:
        Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017, equation 2.

    Example:
        >>> from punctum import kernels
        >>> index, scores = kernels.soft_nms([[0.0, 2.0], [0.0, 2.0]], [0.9, 0.8], sigma=0.3)
        >>> index.tolist(), scores.round(3).tolist()
        ([0, 1], [0.9, 0.029])
    """
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = np.array([0, len(seg)], np.int64)
    sigma = positive(sigma, "sigma", zero=False)
    index, decayed, _ = soft_groups(seg, value, offsets, sigma, float(min_score), float(length_offset))
    return index, decayed


def suppress_groups(
    segments: ArrayLike,
    scores: ArrayLike,
    group_offsets: ArrayLike,
    *,
    sigma: float = 0.3,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> tuple[I64, F64, I64]:
    """`soft_nms` within each of many groups, in one call; a group is for example one island of one class.

    Args:
        segments: [N, 2]; or an array on a CUDA device (see `kernels.cuda.suppress_groups`).
        scores: [N], each >= 0.
        group_offsets: [G + 1]; group g holds the rows group_offsets[g] to group_offsets[g + 1].
        sigma: see `soft_nms`.
        min_score: see `soft_nms`.
        length_offset: see `soft_nms`.

    Returns:
        (int64 [K], indices into the input; float64 [K], decayed scores; int64 [G + 1], offsets of the groups in these).

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN, or the offsets are not a partition.
    """
    if cuda.on_device(segments):
        return cuda.suppress_groups(
            segments, scores, group_offsets, sigma=sigma, min_score=min_score, length_offset=length_offset
        )
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = offsets_of(group_offsets, len(seg))
    sigma = positive(sigma, "sigma", zero=False)
    return soft_groups(seg, value, offsets, sigma, float(min_score), float(length_offset))

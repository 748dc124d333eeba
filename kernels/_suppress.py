"""Non-maximum suppression, hard and Gaussian, for one group or for many groups in one call.

Soft-NMS: Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017, equation 2
(Gaussian), with lengths in one dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cuda
from ._jit import jit
from ._order import argsort_stable
from ._overlap import iou_of, sort_sweep, window_of
from ._soft import soft_groups
from ._validate import F64, I64, offsets_of, positive, segments_of, vector_of


@jit
def _hard(segments, scores, threshold, extra):  # type: ignore[no-untyped-def]
    n = len(scores)
    order, reach = sort_sweep(segments)
    rank = np.empty(n, np.int64)
    for r in range(n):
        rank[order[r]] = r
    by_score = argsort_stable(scores, True)
    dropped = np.zeros(n, np.bool_)
    kept = np.empty(n, np.int64)
    count = 0
    for q in range(n):
        i = by_score[q]
        if dropped[i]:
            continue
        kept[count] = i
        count += 1
        low, high = window_of(segments, order, reach, rank[i], extra)
        for r in range(low, high):
            j = order[r]
            if iou_of(segments[i, 0], segments[i, 1], segments[j, 0], segments[j, 1], extra) >= threshold:
                dropped[j] = True
    return kept[:count]


def nms(segments: Any, scores: Any, *, iou_threshold: float, length_offset: float = 0.0) -> I64:
    """Greedy suppression: take the best, drop what overlaps it by `iou_threshold` or more.

    segments [N, 2], scores [N]. Returns int64 indices of the survivors, best first; among equal scores the
    earlier one in the input wins.
    """
    seg = segments_of(segments)
    threshold = positive(iou_threshold, "iou_threshold", zero=False)
    return _hard(seg, vector_of(scores, "scores", len(seg)), threshold, float(length_offset))  # type: ignore[no-any-return]


def soft_nms(
    segments: Any, scores: Any, *, sigma: float = 0.3, min_score: float = 0.0, length_offset: float = 0.0
) -> tuple[I64, F64]:
    """Gaussian soft-NMS: each pick multiplies its neighbours' scores by exp(-iou^2 / sigma).

    segments [N, 2], scores [N] >= 0. Returns (indices in the order picked, their decayed scores, never
    increasing). It stops at the first score below `min_score`. Ties: the earlier one in the input wins.
    """
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = np.array([0, len(seg)], np.int64)
    sigma = positive(sigma, "sigma", zero=False)
    index, decayed, _ = soft_groups(seg, value, offsets, sigma, float(min_score), float(length_offset))
    return index, decayed


def suppress_groups(
    segments: Any,
    scores: Any,
    group_offsets: Any,
    *,
    sigma: float = 0.3,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> tuple[I64, F64, I64]:
    """`soft_nms` within each group [offsets[g], offsets[g+1]) in one call: (video, class, island) groups.

    Returns (indices into the input, decayed scores, offsets of the groups in the output). Arrays that are on a CUDA
    device stay there: see `kernels.cuda.suppress_groups`.
    """
    if cuda.on_device(segments):
        return cuda.suppress_groups(
            segments, scores, group_offsets, sigma=sigma, min_score=min_score, length_offset=length_offset
        )
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = offsets_of(group_offsets, len(seg))
    sigma = positive(sigma, "sigma", zero=False)
    return soft_groups(seg, value, offsets, sigma, float(min_score), float(length_offset))  # type: ignore[no-any-return]

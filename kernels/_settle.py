"""From the scored proposals of many islands to their segments, in one call."""

from __future__ import annotations

import numpy as np

from ._adapt import adapted
from ._soft import soft_groups
from ._validate import F64, I64, KernelInputError, positive


def settle_islands(
    segments: F64, scores: F64, offsets: I64, *, adapt_iou: float | None, sigma: float, min_score: float
) -> tuple[F64, F64, I64]:
    """`adapt_groups` and then `suppress_groups`, for arrays that other kernels have made.

    Args:
        segments: float64 [N, 2].
        scores: float64 [N], finite, each >= 0.
        offsets: int64 [G + 1]; island g holds the rows offsets[g] to offsets[g + 1].
        adapt_iou: see `adapt_boundaries`; None: segments stay where they are.
        sigma: see `soft_nms`.
        min_score: see `soft_nms`.

    Returns:
        (float64 [K, 2], float64 [K], int64 [G + 1]): segments and decayed scores of each island, best first, and the
        offsets of the islands in these.

    Raises:
        KernelInputError: an array has another type or shape, a score is not finite, or the offsets are not a partition.

    Example:
        >>> import numpy as np
        >>> from punctum import kernels
        >>> segments, scores = np.array([[0.0, 2.0], [5.0, 6.0]]), np.array([0.4, 0.9])
        >>> ends, settings = np.array([0, 2]), {"adapt_iou": 0.4, "sigma": 0.3, "min_score": 0.0}
        >>> kernels.settle_islands(segments, scores, ends, **settings)[1].tolist()
        [0.9, 0.4]
    """
    n = len(scores)
    kinds = segments.dtype.char + scores.dtype.char + offsets.dtype.str[1:]
    if kinds != "ddi8" or segments.shape != (n, 2) or scores.ndim != 1 or not np.isfinite(scores).all():
        raise KernelInputError(
            f"segments is {segments.dtype} {list(segments.shape)}, scores {scores.dtype} {list(scores.shape)}, offsets "
            f"{offsets.dtype}",
            "float64 [N, 2], finite float64 [N], int64 [G + 1]",
            "convert them",
        )
    ends = offsets.tolist()
    if not ends or ends[0] != 0 or ends[-1] != n or sorted(ends) != ends:
        raise KernelInputError("offsets is not a partition", f"0 = o[0] <= ... <= o[-1] = {n}", "rebuild it")
    segments, scores = np.ascontiguousarray(segments), np.ascontiguousarray(scores)
    if adapt_iou is not None:
        segments = adapted(segments, scores, offsets, positive(adapt_iou, "adapt_iou"))
    kept, decayed, groups = soft_groups(
        segments, scores, offsets, positive(sigma, "sigma", zero=False), float(min_score), 0.0
    )
    return segments[kept], decayed, groups

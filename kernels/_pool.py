"""Integral pooling: the exact mean of the features' interpolant over each bin of a widened segment.

Where RoIAlign samples the interpolant ceil(bin) times a bin, a difference of its running integral is the
mean itself, at a cost that does not grow with the segment, and it has an exact twin in ONNX (CumSum, Gather).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._jit import jit
from ._validate import F32, F64, I64, KernelInputError, matrix_of, offsets_of, positive, segments_of


@jit
def _integral(features, total, x, out):  # type: ignore[no-untyped-def]
    """The running integral of the interpolant up to x, for each column."""
    n, width = features.shape
    x = min(max(x, -0.5), n - 0.5)
    if x <= 0.0:
        for d in range(width):
            out[d] = (x + 0.5) * features[0, d]
        return
    t = min(int(x), n - 1)
    f = x - t
    if t == n - 1:
        for d in range(width):
            out[d] = total[t, d] + f * features[t, d]
        return
    half = 0.5 * f * f
    for d in range(width):
        out[d] = total[t, d] + (f - half) * features[t, d] + half * features[t + 1, d]


@jit("void(f4[:, ::1], i8[::1], f8[:, ::1], i8[::1], f4[:, :, ::1])", writes=("out",))
def _pool(rows, ends, edges, offsets, out):  # type: ignore[no-untyped-def]
    """Window g has the rows ends[g] to ends[g + 1], and the segments offsets[g] to offsets[g + 1]."""
    width, bins, longest = rows.shape[1], edges.shape[1] - 1, 0
    for g in range(len(ends) - 1):
        longest = max(longest, ends[g + 1] - ends[g])
    sums, before, after = np.empty((longest, width)), np.empty(width), np.empty(width)
    for g in range(len(ends) - 1):
        features = rows[ends[g] : ends[g + 1]]
        n = len(features)
        if offsets[g] == offsets[g + 1]:
            continue
        if n == 0:
            out[offsets[g] : offsets[g + 1]] = 0.0
            continue
        total = sums[:n]
        for d in range(width):
            total[0, d] = 0.5 * features[0, d]
        for t in range(1, n):
            for d in range(width):
                total[t, d] = total[t - 1, d] + 0.5 * (np.float64(features[t - 1, d]) + np.float64(features[t, d]))
        for i in range(offsets[g], offsets[g + 1]):
            _integral(features, total, edges[i, 0], before)
            for b in range(bins):
                span = edges[i, b + 1] - edges[i, b]
                _integral(features, total, edges[i, b + 1], after)
                if span > 0.0:
                    for d in range(width):
                        out[i, b, d] = (after[d] - before[d]) / span
                else:
                    for d in range(width):
                        out[i, b, d] = 0.0
                before, after = after, before


def bin_edges(segments: ArrayLike, *, bins: int = 12, context: float = 0.25, max_context: float = np.inf) -> F64:
    """The bin borders of `pool_segments`.

    Args:
        segments: see `pool_segments`.
        bins: see `pool_segments`.
        context: see `pool_segments`.
        max_context: see `pool_segments`.

    Returns:
        float64 [N, bins + 1] in snippet-center coordinates.

    Raises:
        KernelInputError: bins is not a multiple of 6, or the segments are not valid.
    """
    if bins < 6 or bins % 6:
        raise KernelInputError(f"bins is {bins}", "a multiple of 6", "use 6, 12, 18, ...")
    seg = segments_of(segments)
    side = bins // 6
    length = seg[:, 1] - seg[:, 0]
    wide = np.minimum(positive(context, "context") * length, positive(max_context, "max_context"))
    inside = np.arange(4 * side + 1) / (4 * side)
    outside = np.arange(side) / side
    return np.concatenate(
        [
            (seg[:, 0] - wide)[:, None] + wide[:, None] * outside,
            seg[:, :1] + length[:, None] * inside,
            seg[:, 1:] + wide[:, None] * (outside + 1.0 / side),
        ],
        axis=1,
    )


def pool_segments(
    features: ArrayLike, segments: ArrayLike, *, bins: int = 12, context: float = 0.25, max_context: float = np.inf
) -> F32:
    """Mean feature in each bin of each segment, widened on both sides (integral pooling).

    A sixth of the bins lies in the left context, a sixth in the right, and four sixths inside the segment. Features
    outside [-0.5, T - 0.5] count as zero, as published.

    Args:
        features: [T, D].
        segments: [N, 2] in snippet-center coordinates.
        bins: number of bins, a multiple of 6.
        context: width of each context, as a fraction of the segment's length. With the default all bins are equal.
        max_context: largest width of a context, in snippets.

    Returns:
        float32 [N, bins, D]; bins without width are 0.

    Raises:
        KernelInputError: bins is not a multiple of 6, or an array has the wrong shape or contains NaN.

    Example:
        >>> from punctum import kernels
        >>> kernels.pool_segments([[0.0], [1.0], [2.0], [3.0]], [[1.0, 2.0]], bins=6).shape
        (1, 6, 1)
    """
    values, seg = matrix_of(features, "features", np.float32), segments_of(segments)
    ends, offsets = np.array([0, len(values)]), np.array([0, len(seg)])
    return pool_windows(values, ends, seg, offsets, bins=bins, context=context, max_context=max_context)


def pool_windows(
    rows: F32,
    ends: I64,
    segments: ArrayLike,
    offsets: I64,
    *,
    bins: int = 12,
    context: float = 0.25,
    max_context: float = np.inf,
) -> F32:
    """`pool_segments` for windows that lie one after the other, in one call.

    Args:
        rows: float32 [R, D], the features of all windows.
        ends: int64 [G + 1]; window g has the rows ends[g] to ends[g + 1].
        segments: [N, 2] in snippet-center coordinates of the window of each.
        offsets: int64 [G + 1]; window g has the segments offsets[g] to offsets[g + 1].
        bins: see `pool_segments`.
        context: see `pool_segments`.
        max_context: see `pool_segments`.

    Returns:
        float32 [N, bins, D].

    Raises:
        KernelInputError: as `pool_segments`, or the windows do not divide the rows and the segments.

    Example:
        >>> import numpy as np
        >>> from punctum import kernels
        >>> rows, segments = np.array([[0.0], [2.0], [5.0]], np.float32), [[0.0, 1.0], [-0.5, 0.5]]
        >>> ends, offsets = np.array([0, 2, 3]), np.array([0, 1, 2])
        >>> kernels.pool_windows(rows, ends, segments, offsets, bins=6)[:, 1:5, 0].tolist()
        [[0.25, 0.75, 1.25, 1.75], [5.0, 5.0, 5.0, 5.0]]
    """
    values = matrix_of(rows, "rows", np.float32)
    edges = bin_edges(segments, bins=bins, context=context, max_context=max_context)
    row_ends, of_window = offsets_of(ends, len(values)), offsets_of(offsets, len(edges))
    if len(row_ends) != len(of_window):
        raise KernelInputError(
            f"ends has {len(row_ends)} entries and offsets {len(of_window)}",
            "one more than windows in both",
            "check both",
        )
    out = np.empty((len(edges), bins, values.shape[1]), np.float32)
    _pool(values, row_ends, edges, of_window, out)
    return out

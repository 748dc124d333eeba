"""Integral pooling: the exact mean of the features' interpolant over each bin of a widened segment.

Where RoIAlign samples the interpolant ceil(bin) times a bin, a difference of its running integral is the
mean itself, at a cost that does not grow with the segment, and it has an exact twin in ONNX (CumSum, Gather).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._jit import jit
from ._validate import F32, F64, KernelInputError, matrix_of, positive, segments_of


@jit
def _add_integral(features, total, x, sign, out):  # type: ignore[no-untyped-def]
    n, width = features.shape
    x = min(max(x, -0.5), n - 0.5)
    if x <= 0.0:
        for d in range(width):
            out[d] += sign * (x + 0.5) * features[0, d]
        return
    t = min(int(x), n - 1)
    f = x - t
    if t == n - 1:
        for d in range(width):
            out[d] += sign * (total[t, d] + f * features[t, d])
        return
    half = 0.5 * f * f
    for d in range(width):
        out[d] += sign * (total[t, d] + (f - half) * features[t, d] + half * features[t + 1, d])


@jit("void(f4[:, ::1], f8[:, ::1], f4[:, :, ::1])", writes=("out",))
def _pool(features, edges, out):  # type: ignore[no-untyped-def]
    n, width = features.shape
    total = np.empty((n, width))
    for d in range(width):
        total[0, d] = 0.5 * features[0, d]
    for t in range(1, n):
        for d in range(width):
            total[t, d] = total[t - 1, d] + 0.5 * (np.float64(features[t - 1, d]) + np.float64(features[t, d]))
    bins = edges.shape[1] - 1
    acc = np.empty(width)
    for i in range(len(edges)):
        for b in range(bins):
            span = edges[i, b + 1] - edges[i, b]
            acc[:] = 0.0
            if span > 0.0:
                _add_integral(features, total, edges[i, b], -1.0, acc)
                _add_integral(features, total, edges[i, b + 1], 1.0, acc)
                for d in range(width):
                    out[i, b, d] = acc[d] / span
            else:
                for d in range(width):
                    out[i, b, d] = 0.0


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
    values = matrix_of(features, "features", np.float32)
    edges = bin_edges(segments, bins=bins, context=context, max_context=max_context)
    out = np.zeros((len(edges), bins, values.shape[1]), np.float32)
    if len(values):
        _pool(values, edges, out)
    return out

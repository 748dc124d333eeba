"""Outer-inner contrast: how much higher a track is inside a segment than just outside it.

AutoLoc (Shou et al., ECCV 2018), equation 2, as LACP uses it for ranking; here on the exact interpolant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._integral import cumulate, integral_to, value_at
from ._jit import jit
from ._validate import F64, index_of, matrix_of, positive, segments_of


@jit("void(f8[:, ::1], f8[:, ::1], i8[::1], f8, f8, f8[::1], f8[::1])", writes=("inner", "outer"))
def _contrast(columns, segments, labels, margin, max_margin, inner, outer):  # type: ignore[no-untyped-def]
    n_columns, length = columns.shape
    totals = np.empty(columns.shape)
    ready = np.zeros(n_columns, np.bool_)
    for i in range(len(segments)):
        c = labels[i]
        column = columns[c]
        total = totals[c]
        if not ready[c]:
            cumulate(column, total)
            ready[c] = True
        start = min(max(segments[i, 0], -0.5), length - 0.5)
        end = min(max(segments[i, 1], -0.5), length - 0.5)
        low = integral_to(column, total, start)
        high = integral_to(column, total, end)
        if end > start:
            inner[i] = (high - low) / (end - start)
        else:
            inner[i] = value_at(column, start)
        width = min(margin * (segments[i, 1] - segments[i, 0]), max_margin)
        left = max(segments[i, 0] - width, -0.5)
        right = min(segments[i, 1] + width, length - 0.5)
        room = max(start - left, 0.0) + max(right - end, 0.0)
        outer[i] = 0.0
        if room > 0.0:
            outside = low - integral_to(column, total, left) + integral_to(column, total, right) - high
            outer[i] = outside / room


def _inner_outer(
    track: ArrayLike, segments: ArrayLike, labels: ArrayLike | None, margin: float, max_margin: float
) -> tuple[F64, F64]:
    tracks = matrix_of(track, "track")
    seg = segments_of(segments)
    if len(tracks) == 0:
        return np.zeros(len(seg)), np.zeros(len(seg))
    which = np.zeros(len(seg), np.int64) if labels is None else labels
    which = index_of(which, "labels", len(seg), tracks.shape[1])
    inner, outer = np.empty(len(seg)), np.empty(len(seg))
    columns = np.ascontiguousarray(tracks.T)
    _contrast(columns, seg, which, positive(margin, "margin"), positive(max_margin, "max_margin"), inner, outer)
    return inner, outer


def outer_inner_contrast(
    track: ArrayLike,
    segments: ArrayLike,
    *,
    margin: float = 0.25,
    max_margin: float = np.inf,
    labels: ArrayLike | None = None,
) -> F64:
    """Mean of a track inside each segment minus its mean in the margins just outside.

    The outer mean covers the part of the margins that lies within [-0.5, T - 0.5]; it is 0 if nothing is left of them.

    Args:
        track: [T], or [T, C] with `labels`.
        segments: [N, 2] in snippet-center coordinates.
        margin: width of each margin, as a fraction of the segment's length.
        max_margin: largest width of a margin, in snippets.
        labels: [N], the column of `track` for each segment.

    Returns:
        float64 [N].

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Source:
        AutoLoc (Shou et al., ECCV 2018), equation 2, on the exact interpolant.

    Example:
        >>> from punctum import kernels
        >>> kernels.outer_inner_contrast([0.0, 1.0, 1.0, 0.0], [[0.5, 2.5]]).round(3).tolist()
        [0.625]
    """
    inner, outer = _inner_outer(track, segments, labels, margin, max_margin)
    return np.asarray(inner - outer)


def segment_mean(track: ArrayLike, segments: ArrayLike, *, labels: ArrayLike | None = None) -> F64:
    """Mean of the interpolant of a track inside each segment.

    Args:
        track: [T], or [T, C] with `labels`.
        segments: [N, 2] in snippet-center coordinates.
        labels: [N], the column of `track` for each segment.

    Returns:
        float64 [N].

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.
    """
    return _inner_outer(track, segments, labels, 0.0, 0.0)[0]

"""Overlap of one-dimensional segments.

Suppression needs only pairs that overlap. Segments sorted by start, with the running maximum of the ends, bound each
segment's neighbors to a contiguous window: the cost follows local overlap and a ten times longer video costs ten times
as much, not a hundred. The sorting is a kernel of its own, so that it is compiled once and not as a part of each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._jit import jit
from ._validate import F64, segments_of


@jit
def iou_of(s0: float, e0: float, s1: float, e1: float, extra: float) -> float:
    """Intersection over union; `extra` is the published "+1" added to lengths and to the intersection."""
    inter = min(e0, e1) - max(s0, s1) + extra
    if inter <= 0.0:
        return 0.0
    union = (e0 - s0 + extra) + (e1 - s1 + extra) - inter
    return inter / union if union > 0.0 else 0.0


@jit("f8[:, ::1](f8[:, ::1], f8[:, ::1], f8)")
def _iou_matrix(a, b, extra):  # type: ignore[no-untyped-def]
    out = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            out[i, j] = iou_of(a[i, 0], a[i, 1], b[j, 0], b[j, 1], extra)
    return out


def segment_iou(a: ArrayLike, b: ArrayLike, *, length_offset: float = 0.0) -> F64:
    """Intersection over union of every pair of segments (tIoU).

    Args:
        a: [N, 2], start and end in any one unit.
        b: [M, 2], in the same unit.
        length_offset: added to every length and intersection; 1.0 reproduces the published "+1" lengths.

    Returns:
        float64 [N, M]; 0 where a pair does not overlap, and where both have no length.

    Raises:
        KernelInputError: an array is not [N, 2], contains NaN, or has a start after its end.

    Example:
        >>> from punctum import kernels
        >>> kernels.segment_iou([[0.0, 2.0]], [[1.0, 3.0], [5.0, 6.0]]).round(3).tolist()
        [[0.333, 0.0]]
    """
    iou: F64 = _iou_matrix(segments_of(a, "a"), segments_of(b, "b"), float(length_offset))
    return iou

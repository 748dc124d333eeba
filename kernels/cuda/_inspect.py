"""Kernels that look for invalid input: one thread for each element, one word with the first fault as the result."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from ._jit import kernel
from ._kernels import I64, Reals

SOUND = np.iinfo(np.int64).max
NOT_FINITE, SWAPPED, SCORE_NOT_FINITE, LABEL = range(4)


@kernel
def inspect_segments(segments: Reals, scores: Reals, fault: I64) -> None:
    """fault[0] = the lowest 4 row + what is wrong with it, SOUND where nothing is."""
    i = cuda.grid(1)
    if i < scores.shape[0]:
        s, e = np.float64(segments[i, 0]), np.float64(segments[i, 1])
        if not (math.isfinite(s) and math.isfinite(e)):
            cuda.atomic.min(fault, 0, 4 * i + NOT_FINITE)
        elif e < s:
            cuda.atomic.min(fault, 0, 4 * i + SWAPPED)
        elif not math.isfinite(np.float64(scores[i])):
            cuda.atomic.min(fault, 0, 4 * i + SCORE_NOT_FINITE)


@kernel
def inspect_scores(scores: Reals, fault: I64) -> None:
    i = cuda.grid(1)
    if i < scores.shape[0] and not math.isfinite(scores[i]):
        cuda.atomic.min(fault, 0, 4 * i + SCORE_NOT_FINITE)


@kernel
def inspect_labels(labels: I64, classes: int, fault: I64) -> None:
    i = cuda.grid(1)
    if i < labels.shape[0] and not 0 <= labels[i] < classes:
        cuda.atomic.min(fault, 0, 4 * i + LABEL)

"""Arithmetic that rounds on the device as it does on the CPU, so that both decide alike.

A GPU compiler joins a product and a sum into one operation with one rounding where it may. Products that a sum follows
therefore go through `times`, which it must round. Nothing here names `numba.cuda` at run time: in Numba's simulator
functions that do have to live in the module of their kernel.
"""

from __future__ import annotations

import math

import numpy as np
from numba.core import config

from ._jit import device

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:

    def times(a: float, b: float) -> float:
        """a b, rounded."""
        return a * b

    def scaled(a: float, k: float) -> float:
        """a 2^k, k a whole number."""
        return math.ldexp(a, int(k))

else:
    from numba.cuda import libdevice

    times = libdevice.dmul_rn

    @device
    def scaled(a: float, k: float) -> float:
        """a 2^k, k a whole number."""
        result: float = libdevice.ldexp(a, np.int32(k))
        return result

# Numba's own `min` and `max` of two numbers do not compile for the device in 0.68.


@device
def shared_length(s0: float, e0: float, s1: float, e1: float, extra: float) -> float:
    """Length of the intersection plus `extra`; below 0 by the gap where there is none."""
    return (e0 if e0 < e1 else e1) - (s0 if s0 > s1 else s1) + extra


ROUND = 6755399441055744.0
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@device
def iou_of(s0: float, e0: float, s1: float, e1: float, extra: float) -> float:
    """Intersection over union, as `kernels._overlap.iou_of`."""
    inter = shared_length(s0, e0, s1, e1, extra)
    if inter <= 0.0:
        return 0.0
    union = (e0 - s0 + extra) + (e1 - s1 + extra) - inter
    return inter / union if union > 0.0 else 0.0


@device
def decayed(score: float, start: float, end: float, s: float, e: float, extra: float, scale: float) -> float:
    """score exp(scale iou^2) of [start, end] with [s, e]: the series of `kernels._soft`, operation by operation."""
    inter = shared_length(s, e, start, end, extra)
    if inter <= 0.0:
        return score
    union = (e - s + extra) + (end - start + extra) - inter
    iou = inter / (union if union > 0.0 else 1.0)
    x = times(times(scale, iou), iou)
    if not x > -708.0:
        return times(score, 0.0)
    shifted = times(x, 1.4426950408889634) + ROUND
    k = shifted - ROUND
    y = x - times(k, LN2_HIGH) - times(k, LN2_LOW)
    p = times(y, 1.0 / 479001600.0) + 1.0 / 39916800.0
    p = times(p, y) + 1.0 / 3628800.0
    p = times(p, y) + 1.0 / 362880.0
    p = times(p, y) + 1.0 / 40320.0
    p = times(p, y) + 1.0 / 5040.0
    p = times(p, y) + 1.0 / 720.0
    p = times(p, y) + 1.0 / 120.0
    p = times(p, y) + 1.0 / 24.0
    p = times(p, y) + 1.0 / 6.0
    p = times(p, y) + 0.5
    p = times(p, y) + 1.0
    p = times(p, y) + 1.0
    return times(score, scaled(p, k))


@device
def raised(value: float, weight: float) -> float:
    """max(value, 0) ** weight with NumPy's short cuts for 1, 2 and 1/2; NaN stays NaN."""
    if value < 0.0:
        value = 0.0
    if weight == 1.0:
        return value
    if weight == 2.0:
        return value * value
    if weight == 0.5:
        return math.sqrt(value)
    return math.pow(value, weight)

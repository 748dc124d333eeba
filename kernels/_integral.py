"""Exact integrals of the linear interpolant of a track, in snippet-center coordinates.

x = t is the center of snippet t, which covers [t - 0.5, t + 0.5). Between centers the track is linear; from
the first and last center it runs on flat to the outer edges -0.5 and T - 0.5; outside it does not exist.
"""

from __future__ import annotations

import numpy as np

from ._jit import jit


@jit
def cumulate(column, out):  # type: ignore[no-untyped-def]
    """out[t] = integral from -0.5 to the center t."""
    out[0] = 0.5 * column[0]
    for t in range(1, len(column)):
        out[t] = out[t - 1] + 0.5 * (np.float64(column[t - 1]) + np.float64(column[t]))


@jit
def integral_to(column, total, x):  # type: ignore[no-untyped-def]
    """Integral from -0.5 to x (x is clamped to the track)."""
    n = len(column)
    if x <= -0.5:
        return 0.0
    if x >= n - 0.5:
        return total[n - 1] + 0.5 * column[n - 1]
    if x <= 0.0:
        return (x + 0.5) * column[0]
    t = int(x)
    if t >= n - 1:
        return total[n - 1] + (x - (n - 1)) * column[n - 1]
    f = x - t
    return total[t] + f * column[t] + 0.5 * f * f * (np.float64(column[t + 1]) - np.float64(column[t]))


@jit
def value_at(column, x):  # type: ignore[no-untyped-def]
    """The interpolant at x, flat beyond the first and last center."""
    n = len(column)
    if x <= 0.0:
        return np.float64(column[0])
    if x >= n - 1:
        return np.float64(column[n - 1])
    t = int(x)
    f = x - t
    return (1.0 - f) * column[t] + f * column[t + 1]

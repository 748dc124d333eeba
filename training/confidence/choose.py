"""The default minimum score, and what other minimum scores give."""

from __future__ import annotations

import numpy as np
from punctum.runtime.bundle.calibration import Choice

from ..arrays import F64
from .judge import JudgedEvents

_GRID = np.round(np.arange(0.01, 1.0, 0.01), 2)


def best_minimum(scores: F64, judged: JudgedEvents, clicks: int) -> float:
    """The minimum calibrated score with the best F1.

    Args:
        scores: float64 [N], calibrated scores of the judged events.
        judged: the events.
        clicks: number of clicks in the held-out videos.

    Returns:
        A multiple of 0.01. Among equals the middle one: with few clicks many minima give the same result.
    """
    f1 = np.array([_f1(int(judged.right[scores >= t].sum()), int((scores >= t).sum()), clicks) for t in _GRID])
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(_GRID[best[len(best) // 2]])


def choices(scores: F64, judged: JudgedEvents, clicks: int, hours: float) -> tuple[Choice, ...]:
    """Precision, recall and false alarms per hour of minimum scores from 0.01 to 0.99.

    Args:
        scores: float64 [N], calibrated scores of the judged events.
        judged: the events.
        clicks: number of clicks in the held-out videos.
        hours: duration of the held-out videos.
    """
    rows = []
    for t in _GRID:
        chosen = scores >= t
        right, shown = int(judged.right[chosen].sum()), int(chosen.sum())
        if shown == 0:
            break
        rows.append(
            Choice(
                min_score=float(t),
                precision=round(right / shown, 4),
                recall=round(right / max(clicks, 1), 4),
                false_alarms_per_hour=round((shown - right) / hours, 4),
            )
        )
    return tuple(rows)


def _f1(right: int, shown: int, clicks: int) -> float:
    return 2 * right / max(shown + clicks, 1)

"""The default minimum score, and what other minimum scores give."""

from __future__ import annotations

import numpy as np
from punctum.runtime.bundle.calibration import Choice

from ..arrays import F64
from .judge import JudgedEvents

_GRID = np.concatenate([[0.0, 0.001, 0.002, 0.005], np.round(np.arange(0.01, 1.0, 0.01), 2), [0.995, 0.998, 0.999]])
"""From 0 on: events can all be improbable, and the table must have a row that keeps them."""


_NEARLY_BEST = 0.995
"""F1 is flat around its best minimum. On other videos than those of the training, right events tend to have lower
scores, so the lowest minimum that costs almost nothing is safer than the best one."""


def default_minimum(scores: F64, clicks: int) -> float:
    """The lowest minimum calibrated score whose expected F1 is at least 0.995 of the best.

    The sum of the probabilities takes the place of the number of right events: with few clicks, the minimum that
    happens to be the best on them depends on single events.

    Args:
        scores: float64 [N], calibrated scores of the judged events.
        clicks: number of clicks in the held-out videos.

    Returns:
        A minimum that at least one event reaches.
    """
    f1 = [2 * float(scores[scores >= t].sum()) / max(int((scores >= t).sum()) + clicks, 1) for t in _GRID]
    return float(_GRID[int(np.argmax(np.array(f1) >= _NEARLY_BEST * max(f1)))])


def choices(scores: F64, judged: JudgedEvents, clicks: int, hours: float) -> tuple[Choice, ...]:
    """Precision, recall and false alarms per hour of minimum scores from 0 to 0.999.

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

"""The map from raw scores to probabilities: logistic regression per class, with shrinkage to all classes.

For an event of class c with raw score x

    p = sigmoid(a + o_c + b * log(x) - d * log(1 - x)),   b > 0, d >= 0

which is beta calibration (Kull et al., 2017) with one curve for all classes and an offset o_c per class. A Gaussian
prior keeps the offsets near 0 where a class has few clicks, and b and d near 1 and 0, the map that only scales odds.
"""

from __future__ import annotations

import numpy as np
from punctum.runtime.bundle.calibration import ScoreMap

from ..arrays import F64
from .judge import JudgedEvents

OFFSET_SPREAD = 1.0
"""Prior standard deviation of a class's offset, in log-odds."""
SHAPE_SPREAD = 2.0
"""Prior standard deviation of b and d."""
LEAST_SLOPE = 0.05
"""Lower bound of b: the map has to rise."""
LEAST_SCORE = 1e-4
"""Raw scores are limited to [LEAST_SCORE, 1 - LEAST_SCORE]."""
_KNOTS = 48
_DIGITS = 6


def fit_maps(judged: JudgedEvents, classes: int, *, min_scores: F64 | None = None) -> tuple[ScoreMap, ...]:
    """A map per class.

    Args:
        judged: events of held-out videos; at least one is right and one is wrong.
        classes: number of classes.
        min_scores: default minimum of the calibrated score of each class; 0 if left out.
    """
    weights = _fit(judged, classes)
    x = _grid()
    maps = []
    for c in range(classes):
        rows = np.concatenate([np.ones((len(x), 1)), _terms(x)], axis=1)
        y = _sigmoid(rows @ weights[:3] + weights[3 + c])
        raw, score = _knots(x, y)
        maps.append(ScoreMap(raw=raw, score=score, min_score=0.0 if min_scores is None else float(min_scores[c])))
    return tuple(maps)


def _fit(judged: JudgedEvents, classes: int) -> F64:
    """Weights [a, b, d, o_1 ... o_C] of largest posterior probability, by Newton's method."""
    design = np.concatenate([np.ones((len(judged.raw), 1)), _terms(judged.raw), np.eye(classes)[judged.label]], axis=1)
    target = judged.right.astype(np.float64)
    mean = np.array([0.0, 1.0, 0.0, *[0.0] * classes])
    precision = np.array([1e-6, SHAPE_SPREAD**-2, SHAPE_SPREAD**-2, *[OFFSET_SPREAD**-2] * classes])
    least = np.array([-np.inf, LEAST_SLOPE, 0.0, *[-np.inf] * classes])
    free, weights = np.ones(len(mean), bool), mean.copy()
    while True:
        for _ in range(100):
            p = _sigmoid(design @ weights)
            gradient = design.T @ (p - target) + precision * (weights - mean)
            hessian = (design * np.maximum(p * (1 - p), 1e-9)[:, None]).T @ design + np.diag(precision)
            step = np.zeros_like(weights)
            step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
            size = float(np.abs(step).max())
            weights = weights - step * min(1.0, 3.0 / max(size, 1e-12))
            if size < 1e-9:
                break
        below = free & (weights < least)
        if not below.any():
            return weights
        weights[below] = least[below]
        free &= ~below


def _terms(raw: F64) -> F64:
    """log(x) and -log(1 - x) of raw scores, float64 [N, 2]."""
    x = np.clip(raw, LEAST_SCORE, 1 - LEAST_SCORE)
    return np.stack([np.log(x), -np.log1p(-x)], axis=1)


def _sigmoid(z: F64) -> F64:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0))))


def _grid() -> F64:
    """Raw scores at the knots: even steps of log-odds, dense where scores are small."""
    z = np.linspace(np.log(LEAST_SCORE), -np.log(LEAST_SCORE), _KNOTS)
    return _sigmoid(z)


def _knots(x: F64, y: F64) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots rounded to `_DIGITS` decimals, from 0 to 1, that rise strictly: equal ones after rounding are left out."""
    points = [(0.0, 0.0)]
    for a, b in zip(np.round(x, _DIGITS).tolist(), np.round(y, _DIGITS).tolist(), strict=True):
        if a > points[-1][0] and b > points[-1][1] and a < 1.0 and b < 1.0:
            points.append((a, b))
    points.append((1.0, min(1.0, points[-1][1] + 10.0**-_DIGITS)))
    raw, score = zip(*points, strict=True)
    return raw, score

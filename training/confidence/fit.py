"""The map from raw scores to probabilities: logistic regression per class, with shrinkage to all classes.

For an event of class c with raw score x

    p = sigmoid(a + o_c + b * log(x) - d * log(1 - x)),   b > 0, d >= 0

which is beta calibration (Kull et al., 2017) with one curve for all classes and an offset o_c per class. A Gaussian
prior keeps the offsets near 0 where a class has few clicks, and b and d near 1 and 0, the map that only scales odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from punctum.runtime.bundle.calibration import ScoreMap

from ..arrays import F64
from .judge import JudgedEvents

LEAST_SCORE = 1e-4
"""Raw scores are limited to [LEAST_SCORE, 1 - LEAST_SCORE]."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Prior:
    """Gaussian prior of the weights [a, slopes ..., o_1 ... o_C], and lower bounds of the slopes.

    Attributes:
        slopes: mean of each slope.
        spread: standard deviation of each slope.
        least: lower bound of each slope.
        intercept: standard deviation of a, whose mean is 0.
        offset: standard deviation of the classes' offsets.
    """

    slopes: tuple[float, ...] = (1.0, 0.0)
    spread: tuple[float, ...] = (2.0, 2.0)
    least: tuple[float, ...] = (0.05, 0.0)
    intercept: float = 1000.0
    offset: float = 1.0


def fit_maps(judged: JudgedEvents, classes: int) -> tuple[ScoreMap, ...]:
    """A map per class, whose default minimum is 0.

    Args:
        judged: events of videos that the networks have not seen; at least one is right and one is wrong.
        classes: number of classes.
    """
    weights = fit_weights(raw_terms(judged.raw), judged, classes, Prior())
    return tuple(map_of(sigmoid(weights[0] + raw_terms(KNOTS) @ weights[1:3] + o)) for o in weights[3:])


def fit_weights(terms: F64, judged: JudgedEvents, classes: int, prior: Prior) -> F64:
    """Weights [a, slopes ..., o_1 ... o_C] of largest posterior probability, by Newton's method.

    Args:
        terms: float64 [N, K], what the slopes multiply.
        judged: the N events.
        classes: number of classes.
        prior: of the weights.
    """
    design = np.concatenate([np.ones((len(terms), 1)), terms, np.eye(classes)[judged.label]], axis=1)
    target = judged.right.astype(np.float64)
    mean = np.array([0.0, *prior.slopes, *[0.0] * classes])
    precision = np.array([prior.intercept, *prior.spread, *[prior.offset] * classes]) ** -2
    least = np.array([-np.inf, *prior.least, *[-np.inf] * classes])
    free, weights = np.ones(len(mean), bool), mean.copy()
    while True:
        for _ in range(100):
            p = sigmoid(design @ weights)
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


def raw_terms(raw: F64) -> F64:
    """log(x) and -log(1 - x) of raw scores, float64 [N, 2]."""
    x = np.clip(raw, LEAST_SCORE, 1 - LEAST_SCORE)
    return np.stack([np.log(x), -np.log1p(-x)], axis=1)


def sigmoid(z: F64) -> F64:
    """1 / (1 + exp(-z)), without overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0))))


def logit(p: F64) -> F64:
    """log(p / (1 - p)) of probabilities, which are limited to [LEAST_SCORE, 1 - LEAST_SCORE]."""
    p = np.clip(p, LEAST_SCORE, 1 - LEAST_SCORE)
    return np.asarray(np.log(p) - np.log1p(-p))


KNOTS: F64 = sigmoid(np.linspace(np.log(LEAST_SCORE), -np.log(LEAST_SCORE), 48))
"""Raw scores at the knots: even steps of log-odds, dense where scores are small."""


def map_of(score: F64) -> ScoreMap:
    """The map with these calibrated scores at KNOTS, and from 0 to 1.

    Knots are rounded to six decimals and rise strictly: those that are equal after rounding are left out.
    """
    points = [(0.0, 0.0)]
    for x, y in zip(np.round(KNOTS, _DIGITS).tolist(), np.round(score, _DIGITS).tolist(), strict=True):
        if x > points[-1][0] and y > points[-1][1] and x < 1.0 and y < 1.0:
            points.append((x, y))
    points.append((1.0, min(1.0, points[-1][1] + 10.0**-_DIGITS)))
    raw, calibrated = zip(*points, strict=True)
    return ScoreMap(raw=raw, score=calibrated)

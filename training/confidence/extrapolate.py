"""How accuracy grows with clicks: a power law of the error, and what it says about more clicks.

    1 - accuracy = a * clicks^-b,   0 <= b <= 1

is the usual shape of learning curves in the range between guessing and the irreducible error. It is fitted to the
logarithms by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_ERROR = 1e-3
"""Errors are limited to this: a power law never reaches 0."""
SPREAD = 0.25
"""Standard deviation of the exponent of one class around that of all classes."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """1 - accuracy = exp(log_a) * clicks^-b."""

    log_a: float
    b: float

    def accuracy(self, clicks: float) -> float:
        """The accuracy that this number of clicks gives."""
        return 1.0 - min(float(np.exp(self.log_a - self.b * np.log(max(clicks, 1.0)))), 1.0)


def fit_power_law(clicks: Sequence[float], accuracy: Sequence[float], *, known: float | None = None) -> PowerLaw | None:
    """Fit the law.

    Args:
        clicks: numbers of clicks, above 0.
        accuracy: accuracy with each, at most 1.
        known: exponent of all classes, for the curve of one class.

    Returns:
        The law; None without two different numbers of clicks.
    """
    x = np.log(np.asarray(clicks, np.float64))
    y = np.log(np.maximum(1.0 - np.asarray(accuracy, np.float64), LEAST_ERROR))
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    centered = x - x.mean()
    # With a known exponent, ridge regression towards it; the noise of a class's log-error is taken as its residual.
    slope = -float(centered @ y / (centered @ centered))
    if known is not None:
        noise = float(np.mean((y - y.mean() + slope * centered) ** 2)) + 0.05
        weight = float(centered @ centered) / noise
        slope = (weight * slope + known / SPREAD**2) / (weight + 1 / SPREAD**2)
    b = float(np.clip(slope, 0.0, 1.0))
    return PowerLaw(float(y.mean() + b * x.mean()), b)

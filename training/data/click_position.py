"""Where the background between two clicks lies, estimated from the features.

Some people click when an action begins, others in its middle; the background between two actions then lies closer to
the next click or halfway. The clicks do not show this, and a network trained on a guess confirms the guess. The
features do show it: they change where the first action ends and where the next one starts. The snippets between two
clicks are divided into three parts with minimal scatter (two change points, exact search). The center of the second
part, as a share of the gap, is averaged over all gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..arrays import F32, F64
from .videos import Sample

MAX_GAP = 160  # snippets; longer gaps say little about where the two actions end
MAX_GAPS = 500  # more do not make the mean more accurate
STEP = 0.05  # about the accuracy of the estimate (spread over folds of one labeler: 0.02)
OFFSET = 0.2  # added for the uniform background of the default recipe; measured on two data sets


def background_position(samples: Sequence[Sample]) -> float:
    """Center of the background between two clicks, as a share of the gap.

    Returns:
        A multiple of STEP from 0.5 to 0.9; 0.7 if clicks lie in the middle of their actions, or if there are too few
        gaps for an estimate.
    """
    steps = round((pause_position(samples) + OFFSET) / STEP)
    return float(np.clip(round(steps * STEP, 2), 0.5, 0.9))


def pause_position(samples: Sequence[Sample]) -> float:
    """Mean center of the background in the gaps, from 0 (first click) to 1 (next click); 0.5 with too few gaps."""
    gaps = [
        (k, low, high)
        for k, sample in enumerate(samples)
        if not sample.partly
        for low, high in zip(sample.clicks.position[:-1], sample.clicks.position[1:], strict=True)
        if 4 <= round(high) - round(low) <= MAX_GAP
    ]
    if len(gaps) < 10:
        return 0.5
    step = -(-len(gaps) // MAX_GAPS)
    scaling = _Scaling(samples)
    positions = []
    for k, low, high in gaps[::step]:
        rows = scaling.rows(samples[k].features[max(round(low), 0) : round(high) + 1])
        begin, end = change_points(rows)
        positions.append(((begin + end) / 2 + round(low) - 0.5 - low) / (high - low))
    return float(np.mean(positions))


def change_points(rows: F64) -> tuple[int, int]:
    """Divide rows into three parts with minimal scatter: the sum of squared distances of rows from their part's mean.

    Args:
        rows: [n, D], n >= 3.

    Returns:
        First rows of the second and of the third part; among equals the earliest.
    """
    n = len(rows)
    inner = np.zeros((n + 1, n + 1))
    inner[1:, 1:] = np.cumsum(np.cumsum(rows @ rows.T, axis=0), axis=1)
    at = np.arange(n + 1)
    # squares[a, b] = |sum of rows a..b-1|^2; over b - a it is what a part's mean explains. The rest of the scatter is
    # the sum of squared rows, which does not depend on the cuts.
    squares = inner[at[None, :], at[None, :]] - 2 * inner[at[:, None], at[None, :]] + inner[at[:, None], at[:, None]]
    length = at[None, :] - at[:, None]
    explained = np.where(length > 0, squares / np.maximum(length, 1), -np.inf)
    total = explained[0, :, None] + explained + explained[:, n][None, :]
    total = np.where((at[:, None] >= 1) & (at[None, :] <= n - 1) & (length > 0), total, -np.inf)
    begin, end = divmod(int(np.argmax(total)), n + 1)
    return begin, end


class _Scaling:
    """Standardizes every dimension over the training videos and scales every snippet to unit length."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        count = sum(len(s.features) for s in samples)
        self._mean = sum(part.sum(0) for part in _parts(samples)) / count
        square = sum(((part - self._mean) ** 2).sum(0) for part in _parts(samples)) / count
        self._scale = np.where(square > 1e-12, 1.0 / np.sqrt(np.maximum(square, 1e-12)), 0.0)

    def rows(self, features: F32) -> F64:
        rows = (features - self._mean) * self._scale
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norm, 1e-12), np.float64)


def _parts(samples: Sequence[Sample]) -> Iterator[F64]:
    """Features as float64, about 16 MB at a time."""
    for sample in samples:
        size = max((1 << 21) // sample.features.shape[1], 1)
        for at in range(0, len(sample.features), size):
            yield sample.features[at : at + size].astype(np.float64)

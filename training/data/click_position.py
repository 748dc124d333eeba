"""Where between two clicks the pause lies: read off the features, so that a labeller's habit is learned, not assumed.

Some people click as soon as an action begins, others in its middle; the pause between two actions then lies nearer to
the next click, or half way. No click says so, and a network that was trained on a guess confirms the guess. The
features do: between two clicks they change where the first action ends and where the next one starts. For every gap
the stretch between its clicks is cut into three parts of least scatter (two change points, exact search); the middle of
the second part, as a share of the gap, is averaged over all gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..arrays import F32, F64
from .videos import Sample

LONGEST = 160  # snippets; longer gaps say little about where the two actions end
MOST_GAPS = 500  # more do not sharpen the mean
STEP = 0.05  # the estimate is good to about that (spread over folds of one labeller: 0.02)
AHEAD = 0.2  # what the even background of the default recipe wants on top, by measurement on two data sets


def background_position(samples: Sequence[Sample]) -> float:
    """Centre of the background between two clicks, as a share of the gap: a multiple of STEP in 0.5 to 0.9.

    0.7 where clicks lie in the middle of their actions, or where there are too few gaps to tell.
    """
    steps = round((pause_position(samples) + AHEAD) / STEP)
    return float(np.clip(round(steps * STEP, 2), 0.5, 0.9))


def pause_position(samples: Sequence[Sample]) -> float:
    """Mean position of the middle part of the gaps, 0 (at the first click) to 1 (at the next); 0.5 when unknown."""
    gaps = [
        (k, low, high)
        for k, sample in enumerate(samples)
        for low, high in zip(sample.clicks.position[:-1], sample.clicks.position[1:], strict=True)
        if 4 <= round(high) - round(low) <= LONGEST
    ]
    if len(gaps) < 10:
        return 0.5
    step = -(-len(gaps) // MOST_GAPS)
    scaling = _Scaling(samples)
    found = []
    for k, low, high in gaps[::step]:
        rows = scaling.rows(samples[k].features[max(round(low), 0) : round(high) + 1])
        begin, end = change_points(rows)
        found.append(((begin + end) / 2 + round(low) - 0.5 - low) / (high - low))
    return float(np.mean(found))


def change_points(rows: F64) -> tuple[int, int]:
    """The two cuts (first rows of the second and of the third part) of rows [n, D], n >= 3, with the least scatter.

    Scatter: sum of squared distances of a part's rows from their mean. Ties: the earliest cuts.
    """
    n = len(rows)
    inner = np.zeros((n + 1, n + 1))
    inner[1:, 1:] = np.cumsum(np.cumsum(rows @ rows.T, axis=0), axis=1)
    at = np.arange(n + 1)
    # whole[a, b] = |sum of rows a..b-1|^2 / (b - a): what a part's mean explains; the squares themselves are constant.
    whole = inner[at[None, :], at[None, :]] - 2 * inner[at[:, None], at[None, :]] + inner[at[:, None], at[:, None]]
    length = at[None, :] - at[:, None]
    explained = np.where(length > 0, whole / np.maximum(length, 1), -np.inf)
    total = explained[0, :, None] + explained + explained[:, n][None, :]
    total = np.where((at[:, None] >= 1) & (at[None, :] <= n - 1) & (length > 0), total, -np.inf)
    begin, end = divmod(int(np.argmax(total)), n + 1)
    return begin, end


class _Scaling:
    """Standardises every dimension over the training videos, and gives every snippet the length 1."""

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

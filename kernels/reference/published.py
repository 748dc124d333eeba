"""What the released code of LACP (ICCV 2021) and TSPNet (CVPR 2024) computes, restated: for parity tests and timing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

F64 = npt.NDArray[np.float64]


def upgrade_resolution(track: ArrayLike, scale: int) -> F64:
    """LACP: [T, C] upsampled `scale` times; position u lies at u / scale, extrapolated beyond the last snippet."""
    track = np.asarray(track, np.float64)
    position = np.arange(0, len(track), 1 / scale)
    left = np.minimum(position.astype(int), len(track) - 2)
    part = (position - left)[:, None]
    return np.asarray((1 - part) * track[left] + part * track[left + 1])


def contrast_of_run(score: ArrayLike, start: int, end: int, share: float = 0.25) -> float:
    """LACP `get_oic_score`: mean of score[start..end] minus the mean of margins of int(share * n), 0 where empty."""
    score = np.asarray(score, np.float64)
    n = end - start + 1
    low, high = max(0, int(start - share * n)), min(len(score) - 1, int(end + share * n))
    outer = np.concatenate([score[low:start], score[end + 1 : high + 1]])
    return float(score[start : end + 1].mean() - (outer.mean() if len(outer) else 0.0))


def proposals_of_track(track: ArrayLike, thresholds: Iterable[float], *, scale: int = 24) -> list[list[float]]:
    """LACP's way from one class track [T] to proposals: upsample, zero below, cut into runs, score each.

    Rows of (start, end, score) in upsampled samples / scale, that is left-edge snippet coordinates.
    """
    fine = upgrade_resolution(np.asarray(track)[:, None], scale)[:, 0]
    rows = []
    for level in thresholds:
        zeroed = np.where(fine < level, 0.0, fine)
        places = np.flatnonzero(zeroed > 0)
        if not places.any():
            continue
        for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1):
            rows.append([run[0] / scale, (run[-1] + 1) / scale, contrast_of_run(zeroed, run[0], run[-1])])
    return rows


def roi_align_1d(features: ArrayLike, proposals: ArrayLike, bins: int) -> npt.NDArray[np.float32]:
    """TSPNet's proposal features: RoIAlign (aligned=False) on zero-padded features, -0.5 shift, ceil(bin) samples each.

    features [T, D], proposals [M, 2] in snippets from the left edge. Returns [M, bins, D].
    """
    features = np.asarray(features, np.float64)
    proposals = np.asarray(proposals, np.float64).reshape(-1, 2)
    length = proposals[:, 1] - proposals[:, 0]
    pad = int(np.ceil(0.25 * length.max())) + 1 if len(length) else 1
    padded = np.pad(features, ((pad, pad), (0, 0)))
    height = len(padded)
    out = np.zeros((len(proposals), bins, features.shape[1]))
    for m, (start, end) in enumerate(proposals):
        wide = 0.25 * (end - start)
        a, b = start - wide + pad - 0.5, end + wide + pad - 0.5
        size = max(b - a, 1.0) / bins
        count = int(np.ceil(size))
        for p in range(bins):
            for i in range(count):
                y = a + p * size + (i + 0.5) * size / count
                if y < -1 or y > height:
                    continue
                y = max(y, 0.0)
                low = int(y)
                if low >= height - 1:
                    out[m, p] += padded[-1]
                else:
                    out[m, p] += (1 - (y - low)) * padded[low] + (y - low) * padded[low + 1]
            out[m, p] /= count
    return out.astype(np.float32)

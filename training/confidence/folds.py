"""Division of the training videos into folds: each video is held out once, and its events come from networks that have
not seen it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.videos import TrainingSet


def fold_of_videos(data: TrainingSet, folds: int, *, seed: int) -> list[int]:
    """The fold of each training video.

    Videos are dealt out in turn by the class of their clicks, rare classes first, so that every fold holds some of each
    class wherever that is possible; videos without clicks last.

    Args:
        data: the training set.
        folds: number of folds wanted; there are never more than videos with clicks.
        seed: of the order among equals.

    Returns:
        The fold of each sample; empty if fewer than two videos have clicks, so that nothing can be held out.
    """
    clicked = sum(len(sample.clicks) > 0 for sample in data.samples)
    folds = min(folds, clicked)
    if folds < 2:
        return []
    rng = np.random.default_rng([seed, 0xF01D])
    counts = np.zeros((len(data.samples), len(data.labels)), np.int64)
    for i, sample in enumerate(data.samples):
        np.add.at(counts[i], sample.clicks.label, 1)
    frequency = counts.sum(0)
    assigned = np.full(len(data.samples), -1)
    held = np.zeros((folds, len(data.labels)), np.int64)
    sizes = np.zeros(folds, np.int64)
    order = rng.permutation(len(data.samples))
    for label in np.argsort(np.where(frequency > 0, frequency, np.iinfo(np.int64).max), kind="stable"):
        for i in order[np.argsort(-counts[order, label], kind="stable")]:
            if assigned[i] >= 0 or counts[i, label] == 0:
                continue
            k = min(range(folds), key=lambda k: (held[k, label], sizes[k]))
            assigned[i] = k
            held[k] += counts[i]
            sizes[k] += 1
    for i in order[assigned[order] < 0]:
        assigned[i] = int(np.argmin(sizes))
        sizes[assigned[i]] += 1
    return [int(k) for k in assigned]


def without_fold(data: TrainingSet, assigned: list[int], fold: int) -> TrainingSet:
    """The training set without the videos of one fold."""
    return replace(data, samples=tuple(s for s, k in zip(data.samples, assigned, strict=True) if k != fold))

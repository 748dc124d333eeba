"""Division of the training videos into folds: each video is held out once, and its events come from networks that have
not seen it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..data.videos import Sample, TrainingSet


def fold_of_videos(data: TrainingSet, folds: int, *, seed: int) -> list[int]:
    """The fold of each training video.

    Videos are dealt out in turn by the class of their clicks, rare classes first, so that every fold holds some of each
    class wherever that is possible; videos without clicks last. Videos of one group stay together.

    Args:
        data: the training set.
        folds: number of folds wanted; there are never more than videos, or groups, with clicks. Videos that are labeled
            in part are in no fold: events there cannot be judged.
        seed: of the order among equals.

    Returns:
        The fold of each sample, -1 for none; empty if fewer than two videos or groups have clicks, so that nothing can
        be held out.
    """
    units: dict[str, int] = {}
    unit = np.array([units.setdefault(s.group or f"\0{i}", len(units)) for i, s in enumerate(data.samples)], np.int64)
    whole = np.array([not sample.partly for sample in data.samples], bool)
    counts = np.zeros((len(units), len(data.labels)), np.int64)
    for i in np.flatnonzero(whole):
        np.add.at(counts[unit[i]], data.samples[i].clicks.label, 1)
    folds = min(folds, int((counts.sum(1) > 0).sum()))
    if folds < 2:
        return []
    rng = np.random.default_rng([seed, 0xF01D])
    videos = np.bincount(unit[whole], minlength=len(units))
    frequency = counts.sum(0)
    assigned = np.full(len(units), -1)
    held = np.zeros((folds, len(data.labels)), np.int64)
    sizes = np.zeros(folds, np.int64)
    order = rng.permutation(len(units))
    for label in np.argsort(np.where(frequency > 0, frequency, np.iinfo(np.int64).max), kind="stable"):
        for u in order[np.argsort(-counts[order, label], kind="stable")]:
            if assigned[u] >= 0 or counts[u, label] == 0:
                continue
            k = min(range(folds), key=lambda k: (held[k, label], sizes[k]))
            assigned[u] = k
            held[k] += counts[u]
            sizes[k] += videos[u]
    for u in order[assigned[order] < 0]:
        assigned[u] = int(np.argmin(sizes))
        sizes[assigned[u]] += videos[u]
    return [int(assigned[u]) if whole[i] else -1 for i, u in enumerate(unit)]


def without_fold(data: TrainingSet, assigned: list[int], fold: int) -> TrainingSet:
    """The training set without the videos of one fold, and without those of its groups that are labeled in part."""
    judged = list(zip(data.samples, assigned, strict=True))
    held = {sample.group for sample, k in judged if k == fold and sample.group}
    return replace(data, samples=tuple(s for s, k in judged if k != fold and s.group not in held))


def unjudged_classes(data: TrainingSet, assigned: list[int]) -> frozenset[int]:
    """Classes of which all clicks are held out at once, so that the networks that are judged have not learned them."""

    def classes_of(samples: Iterable[Sample]) -> set[int]:
        return {int(label) for sample in samples for label in sample.clicks.label}

    found: set[int] = set()
    for fold in sorted(set(assigned) - {-1}):
        held = classes_of(s for s, k in zip(data.samples, assigned, strict=True) if k == fold)
        found |= held - classes_of(without_fold(data, assigned, fold).samples)
    return frozenset(found)

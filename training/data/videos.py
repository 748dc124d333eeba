"""The training videos in memory: features, clicks, and nothing that a test or a truth file could leak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.datatypes import compact
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import counted

from ..arrays import F32
from .labels import Clicks, locate_clicks


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sample:
    """One training video. features float32 [T, D]; snippet t covers start_s + [t, t + 1) * stride_s."""

    video: str
    features: F32
    start_s: float
    clicks: Clicks


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Videos for learning (`samples`) and training videos kept aside for model choice (`held_out`)."""

    name: str
    labels: tuple[str, ...]
    stride_s: float
    feature_dim: int
    samples: tuple[Sample, ...]
    held_out: tuple[Sample, ...] = ()


def load_training_set(dataset: Dataset, *, holdout: float = 0.0, seed: int = 0) -> TrainingSet:
    """Read the training videos and their points. Never asks the data set for its truth or its test list.

    holdout: share of the training videos that is kept aside, drawn by seed. Raises InputError when no video
    has a point.
    """
    samples = []
    if not dataset.train:
        raise InputError(
            "list-missing",
            f"data set {dataset.name} lists no training videos",
            "a list with one video a line",
            "check --split and --train-list",
        )
    clicked = dataset.points()
    for video in dataset.train:
        features = dataset.features(video)
        points = clicked.get(video, [])
        clicks = locate_clicks(
            [p.time_s for p in points],
            [p.label for p in points],
            snippets=len(features.data),
            stride_s=features.stride_s,
            start_s=features.start_s,
            video=video,
        )
        samples.append(Sample(video, features.data, features.start_s, clicks))
    aside = _draw(len(samples), holdout, seed)
    kept = tuple(s for i, s in enumerate(samples) if i not in aside)
    if not any(len(s.clicks) for s in kept):
        raise no_points(dataset.name, len(kept))
    held_out = tuple(s for i, s in enumerate(samples) if i in aside)
    return TrainingSet(dataset.name, tuple(dataset.labels), dataset.stride_s, dataset.feature_dim, kept, held_out)


def no_points(name: str, videos: int) -> InputError:
    """What a data set without a click in its training videos gets to hear."""
    return InputError(
        "no-points",
        f"data set {name} has {counted(videos, 'training video')} and not one point in them",
        "at least one point in a training video",
        "check --points and --train-list, or run `punctum data check`",
    )


def _draw(count: int, share: float, seed: int) -> set[int]:
    if share == 0.0:
        return set()
    wanted = min(max(round(share * count), 1), count - 1)
    return set(np.random.default_rng([seed, 0x5E1EC7]).permutation(count)[: max(wanted, 0)].tolist())

"""The training videos in memory: features and clicks. Ground truth and test lists are never read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.datasets.groups import read_groups, warn_ungrouped
from punctum.runtime.datatypes import compact
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import counted

from ..arrays import F32
from .labels import Clicks, SureSpan, clicks_on, locate_spans


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sample:
    """One training video.

    Attributes:
        video: video id.
        features: float32 [T, D]; snippet t covers start_s + [t, t + 1) * stride_s.
        start_s: media time of the first snippet.
        clicks: clicks on the snippet grid.
        background: certified background.
        partly: labeled in part: outside of clicks and certified background nothing is known.
        group: camera, person or site whose videos are held out together; empty: the video alone.
        copies: float32 [T, D] each: features of augmented copies of the video, to train on only.
    """

    video: str
    features: F32
    start_s: float
    clicks: Clicks
    background: tuple[SureSpan, ...] = ()
    partly: bool = False
    group: str = ""
    copies: tuple[F32, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The videos of a training run.

    Attributes:
        name: of the data set.
        labels: class names.
        stride_s: seconds per snippet.
        feature_dim: columns of the features.
        samples: videos to train on.
        held_out: training videos kept for model selection.
    """

    name: str
    labels: tuple[str, ...]
    stride_s: float
    feature_dim: int
    samples: tuple[Sample, ...]
    held_out: tuple[Sample, ...] = ()

    def with_copies(self, *, without: int | None = None) -> TrainingSet:
        """The set in which augmented copies are videos of their own, with the same clicks.

        Args:
            without: number of a copy that is left out of every video, from 0; None: all copies.
        """
        samples = []
        for sample in self.samples:
            samples.append(sample)
            for number, rows in enumerate(sample.copies):
                if number != without:
                    name = f"{sample.video} (copy {number + 1})"
                    samples.append(replace(sample, video=name, features=rows, copies=()))
        return replace(self, samples=tuple(samples))


def load_training_set(dataset: Dataset, *, holdout: float = 0.0, seed: int = 0) -> TrainingSet:
    """Read the training videos and their clicks. Does not read the ground truth or the test list.

    Args:
        dataset: an opened data set.
        holdout: share of the training videos to keep for model selection.
        seed: of the draw of the held-out videos.

    Raises:
        InputError: there are no training videos, no clicks, or a click lies outside its video.
    """
    samples = []
    if not dataset.train:
        raise InputError(
            "list-missing",
            f"Data set {dataset.name} lists no training videos",
            required="a list with one video per line",
            next_step="check `split` and `train_list`",
        )
    clicked, background, partly = dataset.points(), dataset.background(), dataset.partly()
    groups = read_groups(dataset.folder, dataset.train)
    warn_ungrouped(dataset.folder, groups, dataset.train)
    for video in dataset.train:
        features = dataset.features(video)
        clicks = clicks_on(features, clicked.get(video, ()), video)
        spans = locate_spans(
            background.get(video, ()),
            snippets=len(features.data),
            stride_s=features.stride_s,
            start_s=features.start_s,
        )
        samples.append(
            Sample(
                video,
                features.data,
                features.start_s,
                clicks,
                background=spans,
                partly=video in partly,
                group=groups.get(video, ""),
            )
        )
    held_out_indices = _draw(len(samples), holdout, seed)
    training = tuple(s for i, s in enumerate(samples) if i not in held_out_indices)
    if not any(len(s.clicks) for s in training):
        raise no_points(dataset.name, len(training))
    held_out = tuple(s for i, s in enumerate(samples) if i in held_out_indices)
    return TrainingSet(dataset.name, tuple(dataset.labels), dataset.stride_s, dataset.feature_dim, training, held_out)


def no_points(name: str, videos: int) -> InputError:
    """The error for a data set without a click in its training videos."""
    return InputError(
        "no-points",
        f"Data set {name} has {counted(videos, 'training video')} and not one point in them",
        required="at least one point in a training video",
        next_step="check `points` and `train_list`, or run `punctum data check`",
    )


def _draw(count: int, share: float, seed: int) -> set[int]:
    if share == 0.0:
        return set()
    size = min(max(round(share * count), 1), count - 1)
    return set(np.random.default_rng([seed, 0x5E1EC7]).permutation(count)[: max(size, 0)].tolist())

"""Features of augmented copies of the training videos (`backbone.frame_augment`), beside those of the videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from punctum.runtime.cli.progress import say_stage, track
from punctum.runtime.text.display import counted

from .arrays import F32
from .data.videos import TrainingSet

if TYPE_CHECKING:
    from .backbone.footage import Footage

AUGMENTED = "augmented"
"""Folder of the features, one subfolder for each copy."""


def add_copies(
    training: TrainingSet, footage: Footage, backbone: Path, data: Path, *, copies: int, quiet: bool = False
) -> TrainingSet:
    """The training set with augmented copies of its videos. Resumable: features that are up to date are kept.

    Args:
        training: features of the videos of `footage`.
        footage: its training videos.
        backbone: the backbone folder.
        data: folder of the features data set.
        copies: of each video.
        quiet: no progress.

    Raises:
        InputError: a video cannot be read.
    """
    from punctum.runtime.backbone.backbone import VideoBackbone
    from punctum.runtime.datasets.extraction import extract_features

    from .backbone.frame_augment import AugmentedBackbone

    opened, videos = VideoBackbone.load(backbone), list(footage.videos.values())
    for copy in range(1, copies + 1):
        if not quiet:
            say_stage(f"features of augmented copies, {copy} of {copies}: {counted(len(videos), 'video')}")
        result = extract_features(
            AugmentedBackbone(opened, copy),
            videos,
            data / AUGMENTED / str(copy),
            watch=None if quiet else lambda listed: track(listed, "features"),
        )
        for error in result.errors.values():
            raise error
    samples = []
    for sample in training.samples:
        files = [data / AUGMENTED / str(copy) / f"{sample.video}.npy" for copy in range(1, copies + 1)]
        samples.append(replace(sample, copies=tuple(_as_long(np.load(f), len(sample.features)) for f in files)))
    return replace(training, samples=tuple(samples))


def _as_long(rows: F32, count: int) -> F32:
    """Rows of exactly `count` snippets: where a decoder lost another frame, the last row is cut or repeated."""
    if len(rows) < count:
        rows = np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])
    return rows[:count]

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
"""Folder of the features. A row of a file has the columns of all copies, one after the other."""


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

    videos = list(footage.videos.values())
    if not quiet:
        number = counted(copies, "augmented copy", "augmented copies")
        say_stage(f"features of {number} of {counted(len(videos), 'video')}")
    result = extract_features(
        AugmentedBackbone(VideoBackbone.load(backbone), copies),
        videos,
        data / AUGMENTED,
        watch=None if quiet else lambda listed: track(listed, "features"),
    )
    for error in result.errors.values():
        raise error
    samples = []
    for sample in training.samples:
        rows = _as_long(np.load(data / AUGMENTED / f"{sample.video}.npy"), len(sample.features))
        apart = tuple(np.ascontiguousarray(columns) for columns in np.split(rows, copies, axis=1))
        samples.append(replace(sample, copies=apart))
    return replace(training, samples=tuple(samples))


def _as_long(rows: F32, count: int) -> F32:
    """Rows of exactly `count` snippets: where a decoder lost another frame, the last row is cut or repeated."""
    if len(rows) < count:
        rows = np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])
    return rows[:count]

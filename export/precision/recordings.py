"""Features of a data set's videos: from its files, or made by the bundle's backbone in a given precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle, Dataset
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.bundle.precision import REFERENCE
from punctum.runtime.datasets.recordings import open_recordings
from punctum.runtime.errors import InputError
from punctum.runtime.features.features import Features

F32 = npt.NDArray[np.float32]
Reader = Callable[[str], Features]


class _Watched(VideoBackbone):
    watch: Callable[[F32], None]

    def embed(self, clips: F32) -> F32:
        self.watch(clips)
        return super().embed(clips)


def open_data(bundle: Bundle, folder: str | Path, split: str | None) -> Dataset:
    """A data set that this bundle can be run on. Raises InputError naming what does not fit."""
    data = open_recordings(folder, split=split)
    unknown = sorted(set(bundle.labels) - set(data.labels))
    if unknown:
        raise InputError(
            "label-unknown",
            f"the bundle knows {', '.join(unknown)}, which {data.name} does not",
            ", ".join(data.labels),
            "give the data set that the run was trained on",
        )
    spec = bundle.manifest.features
    if not data.only_videos and data.feature_dim not in (0, spec.dim):
        raise InputError(
            "features-dimension",
            f"features of {data.name} have dimension {data.feature_dim}",
            f"{spec.dim}, which the bundle takes",
            "give the data set that the run was trained on",
        )
    return data


def open_reader(
    bundle: Bundle, data: Dataset, *, precision: str = REFERENCE, watch: Callable[[F32], None] | None = None
) -> Reader:
    """What gives a video's features. watch: sees every batch of clips before the backbone does."""
    if not data.only_videos:
        return data.features
    from punctum.runtime.backbone.backbone import no_backbone
    from punctum.runtime.datasets.extraction import read_features

    spec = bundle.manifest.backbone
    if spec is None:
        raise no_backbone(bundle.id, f"{data.name}, a data set of videos")
    plain = spec.model_copy(update={"fingerprint": None})
    backbone = _Watched.from_graph(bundle.graph("backbone", precision), plain, name=bundle.source)
    backbone.watch = watch or (lambda clips: None)

    def read(video: str) -> Features:
        rows, _ = read_features(backbone, data.video_file(video))
        return Features(rows, spec.stride_s)

    return read

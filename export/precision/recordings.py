"""Features of a data set's videos: from its files, or computed by the bundle's backbone in a given precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from punctum.runtime import Bundle, Dataset
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.bundle.precision import REFERENCE
from punctum.runtime.datasets.of_bundle import check_classes, with_classes
from punctum.runtime.datasets.recordings import open_recordings
from punctum.runtime.errors import InputError
from punctum.runtime.features.features import Features
from punctum.training.arrays import F32

Reader = Callable[[str], Features]


class _ObservedBackbone(VideoBackbone):
    """A backbone that passes every batch of clips to `observe` first."""

    observe: Callable[[F32], None]

    def embed(self, clips: F32) -> F32:
        self.observe(clips)
        return super().embed(clips)


def open_data(bundle: Bundle, folder: str | Path, split: str | None) -> Dataset:
    """Open a data set that the bundle can be run on.

    Raises:
        InputError: classes or dimension of the data set do not fit the bundle.
    """
    data = with_classes(open_recordings(folder, split=split), bundle.labels)
    check_classes(data, bundle.labels)
    spec = bundle.manifest.features
    if not data.only_videos and data.feature_dim not in (0, spec.dim):
        raise InputError(
            "features-dimension",
            f"Features of {data.name} have dimension {data.feature_dim}",
            required=f"{spec.dim}, as in the bundle",
            next_step="use the data set that the run was trained on",
        )
    return data


def open_reader(
    bundle: Bundle, data: Dataset, *, precision: str = REFERENCE, observe: Callable[[F32], None] | None = None
) -> Reader:
    """A function that returns the features of a video.

    Args:
        bundle: its backbone is used for a data set of videos.
        data: the data set.
        precision: of the backbone.
        observe: called with every batch of clips before the backbone.

    Raises:
        InputError: the data set has videos only, and the bundle has no backbone.
    """
    if not data.only_videos:
        return data.features
    from punctum.runtime.backbone.backbone import no_backbone
    from punctum.runtime.datasets.extraction import read_features

    spec = bundle.manifest.backbone
    if spec is None:
        raise no_backbone(bundle.id, f"{data.name}, a data set of videos")
    unchecked = spec.model_copy(update={"fingerprint": None})
    backbone = _ObservedBackbone.from_graph(bundle.graph("backbone", precision), unchecked, name=bundle.source)
    backbone.observe = observe or (lambda clips: None)

    def read(video: str) -> Features:
        rows, _ = read_features(backbone, data.video_file(video))
        return Features(rows, spec.stride_s)

    return read

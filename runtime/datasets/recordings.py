"""Recordings of a data set: features, or videos whose features the backbone of a bundle computes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.options import CPU, EngineSpec
from ..features.features import Features
from ..text.display import printable
from .dataset import Dataset

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..video.tapped import Offer

_log = logging.getLogger(__name__)


def open_recordings(folder: str | Path, **lists: Any) -> Dataset:
    """Open a data set of features or of videos (`Dataset.only_videos`). Raises InputError if it is neither."""
    data = Dataset.open(folder, **lists, need_features=False)
    return data if data.only_videos else Dataset.open(folder, **lists)


def feature_reader(
    data: Dataset,
    bundle: Bundle,
    *,
    spec: EngineSpec = CPU,
    tap: Callable[[str], Offer] | None = None,
) -> Callable[[str], Features]:
    """A function that returns the features of a video: from its file, or computed with the backbone of the bundle.

    Args:
        data: The data set.
        bundle: Needs a backbone if the data set consists of videos.
        spec: Device, precision and threads for the backbone.
        tap: For the name of a video, what is shown every frame of it that the backbone gets.

    Raises:
        InputError: The data set consists of videos and the bundle has no backbone.
    """
    if not data.only_videos:
        return data.features
    from ..backbone.backbone import VideoBackbone
    from .extraction import lost_of, read_features

    backbone = VideoBackbone.open(bundle, spec)

    def read(video: str) -> Features:
        rows, facts = read_features(backbone, data.video_file(video), tap=None if tap is None else tap(video))
        if lost := lost_of(facts):
            _log.warning("%s: %s", printable(video), lost)
        return Features(rows, backbone.spec.stride_s)

    return read

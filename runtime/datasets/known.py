"""What a bundle has seen of a data set: videos that it was trained on, and clicks by which it was calibrated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..text.display import counted

if TYPE_CHECKING:
    from ..bundle.manifest import Manifest
    from .dataset import Dataset, Point

MOST_RECORDED = 10_000
"""Clicks that the record of a calibration identifies at most, and training videos that a bundle does."""


def video_digests(dataset: str, videos: Iterable[str]) -> list[str]:
    """What identifies training videos in the provenance of a run and of its bundle: no names, because bundles are
    shared.

    Args:
        dataset: Name of the data set.
        videos: Names of its training videos.
    """
    return sorted({_video_digest(dataset, video) for video in videos})[:MOST_RECORDED]


def trained_videos(manifest: Manifest, data: Dataset, subset: str) -> tuple[str, ...]:
    """The videos that a bundle was trained on, or may have been, among those that are judged.

    Bundles of earlier versions do not record their videos: there, all training videos of a data set of the same name.

    Args:
        manifest: Of the bundle.
        data: The data set.
        subset: The videos that are judged: test or train.
    """
    if manifest.provenance.get("dataset") != data.name:
        return ()
    recorded = manifest.provenance.get("training_videos")
    if not isinstance(recorded, list):
        return data.train if subset == "train" else ()
    known = {each for each in recorded if isinstance(each, str)}
    return tuple(v for v in (data.train if subset == "train" else data.test) if _video_digest(data.name, v) in known)


def clicks_recorded(manifest: Manifest) -> frozenset[str]:
    """What identifies the clicks by which `punctum calibrate` calibrated a bundle."""
    facts = manifest.provenance.get("calibration")
    found = facts.get("clicked") if isinstance(facts, Mapping) else None
    return frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list) else frozenset()


def to_record(manifest: Manifest, clicks: Mapping[str, Sequence[Point]]) -> list[str]:
    """What identifies these clicks and those that are recorded already."""
    new = {_digest(video, point) for video, points in clicks.items() for point in points}
    return sorted(new | clicks_recorded(manifest))[:MOST_RECORDED]


def calibrated_by(manifest: Manifest, clicks: Mapping[str, Sequence[Point]]) -> list[str]:
    """The videos of which at least one click is in the calibration of a bundle.

    Each click counts by itself, so that clicks that were added or corrected later do not hide the others.
    """
    known = clicks_recorded(manifest)
    return [video for video, points in clicks.items() if any(_digest(video, point) in known for point in points)]


def notes_on(manifest: Manifest, data: Dataset, subset: str, clicks: Mapping[str, Sequence[Point]]) -> list[str]:
    """Sentences for whoever judges a bundle on videos that it has seen.

    Args:
        manifest: Of the bundle.
        data: The data set.
        subset: The videos that are judged: test or train.
        clicks: Their clicks.
    """
    notes = []
    if seen := trained_videos(manifest, data, subset):
        number = counted(len(data.train if subset == "train" else data.test), "video")
        notes.append(
            f"By the names of data set and videos, the bundle was trained on {len(seen)} of {number} here. On such "
            "videos it makes fewer errors than on others, and its scores are higher."
        )
    if known := calibrated_by(manifest, clicks):
        notes.append(
            f"The bundle was calibrated by clicks of {len(known)} of {counted(len(clicks), 'video')} here. "
            "There its probabilities and its default minimum score fit better than elsewhere."
        )
    return notes


def _video_digest(dataset: str, video: str) -> str:
    return hashlib.sha256(f"{dataset}\0{video}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _digest(video: str, point: Point) -> str:
    text = f"{video} {point.label} {point.time_s:.3f}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

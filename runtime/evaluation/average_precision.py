"""Judge detections by the field's metric: ActivityNet mAP at any temporal IoU, per class, and recall of proposals.

Ties: among equal scores the detection that comes first goes first, among equal overlaps the truth that comes first.
A class without truth in the videos judged is left out of the mean and listed, and detections of it are counted apart;
a class without detections counts 0. A label that the data set does not have is an error, and so is a video of the list
that has no truth entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..datasets.dataset import Truth
from ..datatypes import by_value
from ..errors import InputError
from .detections import Detections, read_detections

__all__ = [
    "THRESHOLDS",
    "Detections",
    "Evaluation",
    "average_recall",
    "best_overlap",
    "check_thresholds",
    "evaluate",
    "read_detections",
    "recall",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
THRESHOLDS = tuple(round(0.1 * k, 1) for k in range(1, 8))


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """ap [K, C] (NaN for a class without truth), thresholds [K], labels [C].

    detections, truths: how many were judged; unjudged: detections per class of those without truth;
    silent_videos: judged videos without a detection.
    """

    thresholds: tuple[float, ...]
    labels: tuple[str, ...]
    ap: F64
    detections: int
    truths: int
    unjudged: dict[str, int] = field(default_factory=dict)
    silent_videos: tuple[str, ...] = ()

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Which classes have truth."""
        return np.asarray(~np.isnan(self.ap).any(axis=0))

    @property
    def map(self) -> F64:
        """Mean over the classes that have truth, per threshold [K]."""
        return np.asarray(self.ap[:, self.judged].mean(axis=1))

    @property
    def average(self) -> float:
        """Mean of `map` over the thresholds."""
        return float(self.map.mean())

    def to_record(self, *, per_class: bool = False) -> dict[str, Any]:
        """{"map": {"0.1": ..., "average": ...}, "counts": ..., ...} for JSON."""
        record: dict[str, Any] = {
            "map": {
                **{f"{t:g}": float(m) for t, m in zip(self.thresholds, self.map, strict=True)},
                "average": self.average,
            },
            "counts": {
                "detections": self.detections,
                "truth": self.truths,
                "classes": int(self.judged.sum()),
                "detections_of_classes_without_truth": sum(self.unjudged.values()),
                "videos_without_detections": len(self.silent_videos),
            },
            "classes_without_truth": [name for name, ok in zip(self.labels, self.judged, strict=True) if not ok],
        }
        if per_class:
            record["per_class"] = {
                name: {
                    **{f"{t:g}": float(a) for t, a in zip(self.thresholds, column, strict=True)},
                    "average": float(column.mean()),
                }
                for name, column, ok in zip(self.labels, self.ap.T, self.judged, strict=True)
                if ok
            }
        return record


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Temporal IoU levels in (0, 1]."""
    levels = tuple(float(t) for t in thresholds)
    if not levels or any(not 0 < t <= 1 for t in levels):
        raise InputError("tiou", f"tIoU {levels}", "numbers in (0, 1]", "for example 0.1:0.7:0.1 or 0.5")
    return levels


def evaluate(truth: Truth, detections: Detections, thresholds: Sequence[float] = THRESHOLDS) -> Evaluation:
    """Average precision per threshold and class (ActivityNet protocol; see kernels.average_precision).

    Raises InputError where there is no truth at all, and for detections that are not finite or end before they start.
    """
    levels = check_thresholds(thresholds)
    if len(truth.label) == 0:
        raise InputError(
            "truth-empty", "the listed videos hold no annotated action", "at least one", "check the list and gt.json"
        )
    _check(detections, truth)
    ap = kernels.average_precision(
        truth.video,
        truth.label,
        truth.segments,
        detections.video,
        detections.label,
        detections.segments,
        detections.scores,
        levels,
        videos=len(truth.videos),
        classes=len(truth.labels),
    )
    count = np.bincount(detections.label, minlength=len(truth.labels))
    known = np.bincount(truth.label, minlength=len(truth.labels))
    heard = np.bincount(detections.video, minlength=len(truth.videos))
    return Evaluation(
        levels,
        truth.labels,
        ap,
        len(detections),
        len(truth.label),
        {name: int(n) for name, n, g in zip(truth.labels, count, known, strict=True) if n and not g},
        tuple(name for name, n in zip(truth.videos, heard, strict=True) if n == 0),
    )


def _check(detections: Detections, truth: Truth) -> None:
    """Arrays that a caller built by hand may hold anything."""
    segments, scores = detections.segments, detections.scores
    if not np.isfinite(scores).all():
        raise InputError(
            "scores-not-finite",
            f"detection {int(np.argmin(np.isfinite(scores)))} has a score that is NaN or infinite",
            "finite scores",
            "check what made the detections",
        )
    bad = ~np.isfinite(segments).all(axis=1) | (segments[:, 1] < segments[:, 0])
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            "detection-invalid",
            f"detection {row} is [{segments[row, 0]}, {segments[row, 1]}]",
            "finite seconds, start <= end",
            "check what made the detections",
        )
    for name, index, size in (
        ("video", detections.video, len(truth.videos)),
        ("label", detections.label, len(truth.labels)),
    ):
        if len(index) != len(scores) or (len(index) and not 0 <= index.min() <= index.max() < size):
            raise InputError(
                "detection-index", f"a {name} index outside the truth", f"0 to {size - 1}", "use the truth's own order"
            )


def recall(
    truth: Truth,
    detections: Detections,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    per_video: int | None = None,
    class_agnostic: bool = False,
) -> dict[str, float]:
    """Share of truths that some detection of their video (and class) overlaps by at least the threshold.

    per_video: only that many best-scored detections of each video count. class_agnostic: any class will do, as in
    the proposal task of ActivityNet, where a detection may serve several truths.
    """
    levels = check_thresholds(thresholds)
    keep = np.ones(len(detections), bool) if per_video is None else _ranks_in_video(detections) < per_video
    best = best_overlap(truth.video, truth.label, truth.segments, detections, keep, class_agnostic=class_agnostic)
    found = {f"{t:g}": float((best >= t).mean()) if len(best) else 0.0 for t in levels}
    return {**found, "average": float(np.mean(list(found.values())))}


def average_recall(
    truth: Truth,
    detections: Detections,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    numbers: Sequence[int] = (1, 5, 10, 50, 100),
    class_agnostic: bool = True,
) -> dict[str, float]:
    """AR@AN: recall averaged over the thresholds, when each video may keep its N best-scored detections."""
    return {
        str(n): recall(truth, detections, thresholds, per_video=n, class_agnostic=class_agnostic)["average"]
        for n in numbers
    }


def _ranks_in_video(detections: Detections) -> I64:
    """0 for the best-scored detection of its video, 1 for the next, ... Ties: earlier in the input first."""
    order = np.lexsort((-detections.scores, detections.video))
    video = detections.video[order]
    first = np.searchsorted(video, video, side="left")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - first
    return ranks


def best_overlap(
    video: I64,
    label: I64,
    segments: F64,
    other: Detections,
    keep: npt.NDArray[np.bool_],
    *,
    class_agnostic: bool = False,
) -> F64:
    """Best IoU of each segment with the kept detections of its video (and class): float64 [N], 0 where none is."""
    best = np.zeros(len(segments))
    chosen = np.flatnonzero(keep)
    width = 1 if class_agnostic else 1 + max(int(label.max(initial=0)), int(other.label.max(initial=0)))
    mine = video * width + (0 if class_agnostic else label)
    theirs = other.video[chosen] * width + (0 if class_agnostic else other.label[chosen])
    by_mine, by_theirs = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
    sorted_mine, sorted_theirs = mine[by_mine], theirs[by_theirs]
    for key in np.unique(sorted_mine):
        a, b = np.searchsorted(sorted_mine, key), np.searchsorted(sorted_mine, key, side="right")
        c, d = np.searchsorted(sorted_theirs, key), np.searchsorted(sorted_theirs, key, side="right")
        if d > c:
            rows, columns = by_mine[a:b], chosen[by_theirs[c:d]]
            best[rows] = kernels.segment_iou(segments[rows], other.segments[columns]).max(axis=1)
    return best

"""Mean average precision by the ActivityNet protocol at any tIoU, per class, and recall of proposals.

Ties: among detections with equal scores, and among actions with equal overlap, the first in the input wins. A class
without actions in the evaluated videos is excluded from the mean and listed, and its detections are counted separately.
A class without detections counts as 0. A class that the data set does not have is an error, and so is a listed video
without an entry in the ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..arguments import check_number, check_type
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
    "need_actions",
    "read_detections",
    "recall",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
THRESHOLDS = tuple(round(0.1 * k, 1) for k in range(1, 8))


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """Average precision of detections.

    Attributes:
        thresholds: tIoU levels [K].
        labels: Classes [C].
        ap: float64 [K, C], NaN for a class without ground truth.
        detections: Number of detections.
        truths: Number of actions.
        unjudged: Number of detections of each class without ground truth.
        silent_videos: Evaluated videos without detections.
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
        """Which classes have ground truth, bool [C]."""
        return np.asarray(~np.isnan(self.ap).any(axis=0))

    @property
    def map(self) -> F64:
        """Mean over the classes that have ground truth, for each threshold, float64 [K]."""
        return np.asarray(self.ap[:, self.judged].mean(axis=1))

    @property
    def average(self) -> float:
        """Mean of `map` over all thresholds."""
        return float(self.map.mean())

    def to_record(self, *, per_class: bool = False) -> dict[str, Any]:
        """The result for JSON: {"map": {"0.1": ..., "average": ...}, "counts": ..., ...}."""
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
    """tIoU levels as floats. Raises InputError for an empty sequence and for levels outside (0, 1]."""
    check_type("thresholds", thresholds, (Sequence, np.ndarray), "a sequence of numbers")
    for level in thresholds:
        check_number("thresholds", level)
    levels = tuple(float(t) for t in thresholds)
    if not levels or any(not 0 < t <= 1 for t in levels):
        raise InputError(
            "tiou", f"The tIoU levels are {levels}", "numbers in (0, 1]", "pass 0.1:0.7:0.1 or 0.5, for example"
        )
    return levels


def need_actions(truth: Truth) -> None:
    """Raise InputError for a ground truth without actions, of which nothing can be found."""
    if len(truth.label) == 0:
        raise InputError(
            "truth-empty",
            "The listed videos have no annotated actions",
            required="at least one action",
            next_step="check the list and gt.json",
        )


def evaluate(truth: Truth, detections: Detections, thresholds: Sequence[float] = THRESHOLDS) -> Evaluation:
    """Average precision for each threshold and class (ActivityNet protocol; see `punctum.kernels.average_precision`).

    Args:
        truth: The ground truth.
        detections: The detections, with indices of this ground truth.
        thresholds: tIoU levels.

    Raises:
        InputError: The ground truth is empty, or a detection is not finite or ends before it starts.

    Example:
        >>> import numpy as np
        >>> from punctum.runtime.evaluation import Detections, Truth, evaluate
        >>> index, segment = np.zeros(1, np.int64), np.array([[1.0, 3.0]])
        >>> truth = Truth(("clip",), ("open",), index, index, segment)
        >>> evaluate(truth, Detections(index, index, segment, np.array([0.9]))).average
        1.0
    """
    check_type("truth", truth, Truth, "a Truth")
    check_type("detections", detections, Detections, "Detections")
    levels = check_thresholds(thresholds)
    need_actions(truth)
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
    per_video = np.bincount(detections.video, minlength=len(truth.videos))
    return Evaluation(
        levels,
        truth.labels,
        ap,
        len(detections),
        len(truth.label),
        {name: int(n) for name, n, g in zip(truth.labels, count, known, strict=True) if n and not g},
        tuple(name for name, n in zip(truth.videos, per_video, strict=True) if n == 0),
    )


def _check(detections: Detections, truth: Truth) -> None:
    """Check arrays, which a caller may have built."""
    segments, scores = detections.segments, detections.scores
    if not np.isfinite(scores).all():
        raise InputError(
            "scores-not-finite",
            f"The score of detection {int(np.argmin(np.isfinite(scores)))} is NaN or infinite",
            required="finite scores",
            next_step="check the program that made the detections",
        )
    bad = ~np.isfinite(segments).all(axis=1) | (segments[:, 1] < segments[:, 0])
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            "detection-invalid",
            f"Detection {row} has the segment [{segments[row, 0]}, {segments[row, 1]}]",
            required="finite seconds, start <= end",
            next_step="check the program that made the detections",
        )
    for name, index, size in (
        ("video", detections.video, len(truth.videos)),
        ("label", detections.label, len(truth.labels)),
    ):
        if len(index) != len(scores) or (len(index) and not 0 <= index.min() <= index.max() < size):
            raise InputError(
                "detection-index",
                f"A {name} index is not in the ground truth",
                f"0 to {size - 1}",
                "use the order of the ground truth",
            )


def recall(
    truth: Truth,
    detections: Detections,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    per_video: int | None = None,
    class_agnostic: bool = False,
) -> dict[str, float]:
    """Share of actions that a detection of the same video and class overlaps by at least the threshold.

    Args:
        truth: The ground truth.
        detections: The detections.
        thresholds: tIoU levels.
        per_video: Number of detections with the best scores that count in each video. None: all.
        class_agnostic: Ignore classes, as in the proposal task of ActivityNet. A detection may match several actions.

    Returns:
        Recall by threshold, and their mean as "average".
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
    """AR@AN: recall averaged over the thresholds with the best N detections of each video, by N."""
    return {
        str(n): recall(truth, detections, thresholds, per_video=n, class_agnostic=class_agnostic)["average"]
        for n in numbers
    }


def _ranks_in_video(detections: Detections) -> I64:
    """Rank of each detection in its video by score, from 0; ties by position in the input."""
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
    """Best IoU of each segment with the selected detections of its video and class, float64 [N]; 0 without any."""
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

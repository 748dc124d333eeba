"""Judge detections by the field's metric: ActivityNet mAP at any temporal IoU, per class, and recall of proposals.

Ties: among equal scores the detection that comes first goes first, among equal overlaps the truth that comes first.
A class without truth in the videos judged is left out of the mean and listed; a class without detections counts 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum import kernels

from .dataset import Truth
from .errors import InputError
from .events import SCHEMA, Event

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
THRESHOLDS = tuple(round(0.1 * k, 1) for k in range(1, 8))


@dataclass(frozen=True, slots=True)
class Detections:
    """Detections aligned with a Truth: video and label indices [N], segments [N, 2] in seconds, scores [N]."""

    video: I64
    label: I64
    segments: F64
    scores: F64

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, int, float, float, float]]) -> Detections:
        """Rows of (video index, label index, start_s, end_s, score)."""
        table = np.array(rows, np.float64).reshape(-1, 5)
        return cls(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4].copy(), table[:, 4].copy())

    @classmethod
    def from_events(cls, events: Mapping[str, Iterable[Event]], truth: Truth) -> Detections:
        """Final events per video."""
        videos = {name: i for i, name in enumerate(truth.videos)}
        labels = {name: i for i, name in enumerate(truth.labels)}
        return cls.from_rows(
            [
                (videos[video], labels[e.label], e.start, e.end, e.score)
                for video, found in events.items()
                for e in found
                if e.phase == "final"
            ]
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """ap [K, C] (NaN for a class without truth), thresholds [K], labels [C]."""

    thresholds: tuple[float, ...]
    labels: tuple[str, ...]
    ap: F64
    detections: int
    truths: int

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
            "counts": {"detections": self.detections, "truth": self.truths, "classes": int(self.judged.sum())},
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
    """Average precision per threshold and class. Raises InputError where there is no truth at all."""
    levels = check_thresholds(thresholds)
    if len(truth.label) == 0:
        raise InputError(
            "truth-empty", "the listed videos hold no annotated action", "at least one", "check the list and gt.json"
        )
    if not np.isfinite(detections.scores).all():
        raise InputError(
            "scores-not-finite", "a detection's score is NaN or infinite", "finite scores", "check the detections"
        )
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
    return Evaluation(levels, truth.labels, ap, len(detections.scores), len(truth.label))


def recall(
    truth: Truth, detections: Detections, thresholds: Sequence[float] = THRESHOLDS, *, per_video: int | None = None
) -> dict[str, float]:
    """Share of truths that some detection of their class and video overlaps by at least the threshold.

    With `per_video` only that many best-scored detections of each video count (AR@AN in the field's words).
    """
    levels = check_thresholds(thresholds)
    keep = np.ones(len(detections.scores), bool)
    if per_video is not None:
        order = np.argsort(-detections.scores, kind="stable")
        keep[:] = False
        for v in range(len(truth.videos)):
            keep[order[detections.video[order] == v][:per_video]] = True
    best = best_overlap(truth.video, truth.label, truth.segments, detections, keep)
    found = {f"{t:g}": float((best >= t).mean()) if len(best) else 0.0 for t in levels}
    return {**found, "average": float(np.mean(list(found.values())))}


def best_overlap(video: I64, label: I64, segments: F64, other: Detections, keep: npt.NDArray[np.bool_]) -> F64:
    """Best IoU of each segment with the kept detections of its video and class: float64 [N]."""
    best = np.zeros(len(segments))
    width = 1 + max(int(label.max(initial=0)), int(other.label.max(initial=0)))
    mine, theirs = video * width + label, np.where(keep, other.video * width + other.label, -1)
    for key in np.unique(mine):
        rows, columns = np.flatnonzero(mine == key), np.flatnonzero(theirs == key)
        if len(columns):
            best[rows] = kernels.segment_iou(segments[rows], other.segments[columns]).max(axis=1)
    return best


def read_detections(path: str | Path, truth: Truth) -> Detections:
    """ActivityNet JSON (`results.<video>: [{label, score, segment}]`) or JSON Lines of final events.

    Videos that are not judged are skipped. Raises InputError for an unknown label, a score that is not finite, a
    swapped segment or another form.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "detections-unreadable",
            f"{path} cannot be read ({error})",
            "a JSON or JSON Lines file",
            "check --detections",
        ) from None
    videos = {name: i for i, name in enumerate(truth.videos)}
    labels = {name: i for i, name in enumerate(truth.labels)}
    rows = []
    for where, video, label, start, end, score in _records(path, text):
        if video not in videos:
            continue
        if label not in labels:
            raise InputError("label-unknown", f"{path}: {where}: {label!r}", ", ".join(truth.labels), "fix the label")
        if not all(math.isfinite(x) for x in (start, end, score)) or end < start:
            raise InputError(
                "detection-invalid",
                f"{path}: {where}: segment [{start}, {end}], score {score}",
                "finite numbers, start <= end",
                "fix the row",
            )
        rows.append((videos[video], labels[label], start, end, score))
    return Detections.from_rows(rows)


def _records(path: Path, text: str) -> Iterable[tuple[str, str, str, float, float, float]]:
    first = text.lstrip().split("\n", 1)[0]
    try:
        if SCHEMA in first:
            for number, line in enumerate(text.splitlines(), 1):
                if line.strip():
                    event = Event.from_json(line)
                    if event.phase == "final":
                        yield f"line {number}", event.stream, event.label, event.start, event.end, event.score
            return
        results = json.loads(text)["results"]
        for video, items in results.items():
            for row, item in enumerate(items):
                start, end = item["segment"]
                yield f"{video} entry {row}", video, item["label"], float(start), float(end), float(item["score"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "detections-form",
            f"{path} is neither ActivityNet results nor JSON Lines events ({error!r})",
            "one of the two",
            "check the file",
        ) from None

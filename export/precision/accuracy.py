"""What a precision variant costs: its mAP on the test videos, beside that of fp32 on the same videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from punctum.runtime import Bundle, Dataset, Localizer, evaluate
from punctum.runtime.bundle.precision import REFERENCE, AccuracyRecord
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.errors import InputError
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.events.event import Event

from .recordings import open_reader

Events = dict[str, list[Event]]
CONFIDENT = 0.25
"""Share of the best score from which fp32 events serve as ground truth if there is none."""


@dataclass(frozen=True, slots=True)
class AccuracyReference:
    """What variants are compared with.

    Attributes:
        data: the data set.
        split: its split folder, or None.
        subset: which of its videos.
        truth: ground truth, or the confident events of fp32.
        reference_map: mAP of fp32 (0..1).
        least_score: lowest score of those events; None: `truth` is ground truth.
    """

    data: Dataset
    split: str | None
    subset: str
    truth: Truth
    reference_map: float
    least_score: float | None

    def measure(self, bundle: Bundle, precision: str) -> AccuracyRecord:
        """Run a variant of `bundle` on the test videos."""
        mean_ap = _mean_ap(self.truth, localize(bundle, precision, self.data, self.truth.videos))
        return AccuracyRecord(
            dataset=self.data.name,
            split=self.split,
            subset=self.subset,
            truth="annotations" if self.least_score is None else "fp32-events",
            videos=len(self.truth.videos),
            map=mean_ap,
            reference_map=self.reference_map,
            drop=100.0 * (self.reference_map - mean_ap),
            least_score=self.least_score,
        )

    def describe(self) -> str:
        """The data that variants are measured on, for messages."""
        where = " ".join(part for part in (self.data.name, self.split, self.subset) if part)
        return where if self.least_score is None else f"{where}, agreement with fp32"


def measure_reference(bundle: Bundle, data: Dataset, *, split: str | None = None) -> AccuracyReference:
    """Run fp32 on the test videos. Ground truth is read here only.

    Without a ground truth file, the confident events of fp32 take its place.

    Args:
        bundle: the bundle.
        data: a data set that fits it.
        split: split folder of the data set, for the record.

    Raises:
        InputError: there are no test videos, or neither ground truth nor events.
    """
    if data.truth_file.is_file():
        truth = data.truth("test")
        if len(truth.label):
            events = localize(bundle, REFERENCE, data, truth.videos)
            return AccuracyReference(data, split, "test", truth, _mean_ap(truth, events), None)
    if not data.test:
        raise InputError(
            "accuracy-videos",
            f"{data.folder} lists no test videos",
            required="a test.txt with one video per line: the mAP of a variant is measured on them",
            next_step="add it; gt.json is optional, and makes the figure more meaningful",
        )
    events = localize(bundle, REFERENCE, data, data.test)
    truth, least = _confident(events, bundle.labels)
    return AccuracyReference(data, split, "test", truth, _mean_ap(truth, events), least)


def localize(bundle: Bundle, precision: str, data: Dataset, videos: tuple[str, ...]) -> Events:
    """Final events of every video. In a data set of videos, the variant's own backbone computes the features."""
    reader = open_reader(bundle, data, precision=precision)
    localizer = Localizer(bundle, precision=precision)
    return {video: localizer.localize(reader(video), stream=video) for video in videos}


def _mean_ap(truth: Truth, events: Events) -> float:
    return min(max(evaluate(truth, Detections.from_events(events, truth)).average, 0.0), 1.0)


def _confident(events: Events, labels: tuple[str, ...]) -> tuple[Truth, float]:
    """The confident events of fp32 as ground truth, and the lowest score among them."""
    best = max((event.score for video_events in events.values() for event in video_events), default=0.0)
    least = CONFIDENT * best
    index = {label: k for k, label in enumerate(labels)}
    rows = [
        (v, index[event.label], event.start, event.end)
        for v, video_events in enumerate(events.values())
        for event in video_events
        if event.score >= least
    ]
    if not rows:
        raise InputError(
            "accuracy-empty",
            "The fp32 bundle finds no event in the test videos, and there is no ground truth",
            required="test videos with actions, or gt.json",
            next_step="check the data set",
        )
    return (
        Truth(
            videos=tuple(events),
            labels=labels,
            video=np.array([r[0] for r in rows], np.int64),
            label=np.array([r[1] for r in rows], np.int64),
            segments=np.array([r[2:] for r in rows], np.float64),
        ),
        least,
    )

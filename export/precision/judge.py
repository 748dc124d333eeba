"""What a variant costs: mAP on the evaluation videos, beside that of fp32 on the same ones."""

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
STRONG = 0.25  # of the best score: what stands for truth where there is none; below it fp32 itself is guessing


@dataclass(frozen=True, slots=True)
class Judge:
    """Truth of the evaluation videos, or what fp32 found in them, and fp32's own mAP (0..1)."""

    data: Dataset
    split: str | None
    subset: str
    truth: Truth
    reference_map: float
    least_score: float | None

    def judge(self, bundle: Bundle, precision: str) -> AccuracyRecord:
        """Run a variant of `bundle` over the evaluation videos."""
        found = _mean_ap(self.truth, localize(bundle, precision, self.data, self.truth.videos))
        return AccuracyRecord(
            dataset=self.data.name,
            split=self.split,
            subset=self.subset,
            truth="annotations" if self.least_score is None else "fp32-events",
            videos=len(self.truth.videos),
            map=found,
            reference_map=self.reference_map,
            drop=100.0 * (self.reference_map - found),
            least_score=self.least_score,
        )


def open_judge(bundle: Bundle, data: Dataset, *, split: str | None = None) -> Judge:
    """Run fp32 over the test videos. Only here is ground truth read.

    Without a truth file, the strong events of fp32 stand for it. Raises InputError where there is nothing to judge on.
    """
    if data.truth_file.is_file():
        truth = data.truth("test")
        if len(truth.label):
            events = localize(bundle, REFERENCE, data, truth.videos)
            return Judge(data, split, "test", truth, _mean_ap(truth, events), None)
    if not data.test:
        raise InputError(
            "accuracy-videos",
            f"{data.folder} lists no test videos",
            "a test.txt with one video a line: a variant is judged by its mAP on them",
            "add it; gt.json is not needed, but makes the figure mean more",
        )
    events = localize(bundle, REFERENCE, data, data.test)
    truth, least = _strong(events, bundle.labels)
    return Judge(data, split, "test", truth, _mean_ap(truth, events), least)


def localize(bundle: Bundle, precision: str, data: Dataset, videos: tuple[str, ...]) -> Events:
    """Final events of every video, features by the variant's own backbone where the data set is one of videos."""
    reader = open_reader(bundle, data, precision=precision)
    localizer = Localizer(bundle, precision=precision)
    return {video: localizer.localize(reader(video), stream=video) for video in videos}


def _mean_ap(truth: Truth, events: Events) -> float:
    return min(max(evaluate(truth, Detections.from_events(events, truth)).average, 0.0), 1.0)


def _strong(events: Events, labels: tuple[str, ...]) -> tuple[Truth, float]:
    """Events that fp32 is sure of, as truth, and the lowest score among those that count."""
    best = max((event.score for found in events.values() for event in found), default=0.0)
    least = STRONG * best
    index = {label: k for k, label in enumerate(labels)}
    rows = [
        (v, index[event.label], event.start, event.end)
        for v, found in enumerate(events.values())
        for event in found
        if event.score >= least
    ]
    if not rows:
        raise InputError(
            "accuracy-empty",
            "the fp32 bundle finds no event in the test videos, and there is no ground truth",
            "test videos in which something happens, or gt.json",
            "check the data set",
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

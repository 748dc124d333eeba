"""How good a bundle is, judged by clicks: which clicks it finds, and which of its events hold none.

A click is found by the best event that holds it and has its class; each click and each event counts once. This needs
no ground truth, and is more lenient than tIoU: an event that holds a click may be far too long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.operating_point import MinScore, minimum
from ..datasets.dataset import Point
from ..events.event import Event

F64 = npt.NDArray[np.float64]
Z = 1.959964  # of the normal distribution, for intervals of 95 %
MINIMA = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of a count, with its 95 % confidence interval (Wilson, 1927).

    Attributes:
        hits: Number of hits.
        total: Number of trials.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """hits / total; NaN for no trial."""
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the interval."""
        if self.total == 0:
            return 0.0, 1.0
        n, p = self.total, self.value
        middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        return max(middle - half, 0.0), min(middle + half, 1.0)

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        low, high = self.interval
        value = None if self.total == 0 else round(self.value, 4)
        return {"value": value, "low": round(low, 4), "high": round(high, 4), "of": self.total}


@dataclass(frozen=True, slots=True)
class ClickRow:
    """What one minimum score gives.

    Attributes:
        min_score: The minimum score; None for one that differs by class.
        recall: Clicks that are found.
        precision: Events that hold a click.
        without_click_per_hour: Events that hold none, per hour of media.
    """

    min_score: float | None
    recall: Share
    precision: Share
    without_click_per_hour: float

    @property
    def f1(self) -> float:
        """F1 of events and clicks."""
        return 2 * self.recall.hits / max(self.recall.total + self.precision.total, 1)

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "min_score": self.min_score,
            "recall": self.recall.to_record(),
            "precision": self.precision.to_record(),
            "without_click_per_hour": round(self.without_click_per_hour, 4),
            "f1": round(self.f1, 4),
        }


@dataclass(frozen=True, slots=True)
class ClickEvaluation:
    """The result of `evaluate_clicks`.

    Attributes:
        chosen: At the minimum score of the bundle.
        rows: At other minimum scores, rising.
        per_class: Recall and precision of each class at the minimum score of the bundle.
        hours: Duration of the videos.
        videos: Their number.
        videos_without_clicks: Number of those without a click, which count as videos without actions.
    """

    chosen: ClickRow
    rows: tuple[ClickRow, ...]
    per_class: Mapping[str, ClickRow]
    hours: float
    videos: int
    videos_without_clicks: int = 0

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "videos": self.videos,
            "videos_without_clicks": self.videos_without_clicks,
            "hours": round(self.hours, 5),
            "at_minimum_score": self.chosen.to_record(),
            "table": [row.to_record() for row in self.rows],
            "per_class": {label: row.to_record() for label, row in self.per_class.items()},
        }


def evaluate_clicks(
    events: Mapping[str, Sequence[Event]],
    clicks: Mapping[str, Sequence[Point]],
    labels: Sequence[str],
    *,
    hours: float,
    min_score: MinScore = 0.0,
) -> ClickEvaluation:
    """Judge events by clicks.

    Args:
        events: Final events of each video.
        clicks: Clicks of each video. Every action of these videos has its click; otherwise right events count as wrong.
        labels: Names of the classes, which the clicks refer to by index.
        hours: Duration of the videos.
        min_score: Minimum score of the bundle.
    """
    scores, classes, right = [], [], []
    for video, found in events.items():
        hits = _holding(found, clicks.get(video, ()), labels)
        for event, hit in zip(found, hits, strict=True):
            scores.append(event.score)
            classes.append(event.label)
            right.append(hit)
    score, correct = np.array(scores, np.float64), np.array(right, bool)
    total = sum(len(clicks.get(video, ())) for video in events)
    enough = np.array([s >= minimum(min_score, c) for s, c in zip(scores, classes, strict=True)], bool)

    def row(least: float | None, chosen: npt.NDArray[np.bool_], clicked: int) -> ClickRow:
        shown, hits = int(chosen.sum()), int(correct[chosen].sum())
        return ClickRow(least, Share(hits, clicked), Share(hits, shown), (shown - hits) / hours if hours else math.nan)

    per_class = {}
    for index, label in enumerate(labels):
        clicked = sum(p.label == index for video in events for p in clicks.get(video, ()))
        of_class = enough & np.array([c == label for c in classes], bool)
        if clicked or of_class.any():
            per_class[label] = row(None, of_class, clicked)
    values = set(min_score.values()) if not isinstance(min_score, float | int) else {float(min_score)}
    single = values.pop() if len(values) == 1 else None
    table = tuple(row(t, score >= t, total) for t in MINIMA if bool((score >= t).any()))
    empty = sum(not clicks.get(video) for video in events)
    return ClickEvaluation(row(single, enough, total), table, per_class, hours, len(events), empty)


def _holding(events: Sequence[Event], clicks: Sequence[Point], labels: Sequence[str]) -> list[bool]:
    """Whether each event holds a click of its class that no better event holds."""
    free = [True] * len(clicks)
    right = [False] * len(events)
    for k in sorted(range(len(events)), key=lambda k: -events[k].score):
        event = events[k]
        middle = (event.start + event.end) / 2
        held = [
            (abs(click.time_s - middle), j)
            for j, click in enumerate(clicks)
            if free[j] and labels[click.label] == event.label and event.start <= click.time_s <= event.end
        ]
        if held:
            free[min(held)[1]] = False
            right[k] = True
    return right

"""Suspected label errors: clicks that the events contradict, and events where a click seems to be missing.

The events must come from networks that have not been trained on these clicks. Each suspect has a likelihood ratio: how
much more probable what the networks say is with a label error than without.

An event without a click   p / (1 - p), where p is the probability that an event of its score is an action.
A click                    f(e | wrong) / f(e | right), where e is the score of the event of its class that holds it.
                           Right clicks have the scores of all clicks, with few as low as e; where e is low, the ratio
                           is large, the more so the better the networks find actions of the class.

A click and an event without a click may be one error: an event of another class that holds the click (a wrong class),
or one of its class elsewhere in the video (a wrong time). They are one suspect with the larger ratio of the two.

The ratio becomes a probability with a prior share of wrong labels. A click is at most as suspicious as the event of its
class that holds it is improbable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..datasets.dataset import Point
from ..datatypes import by_value
from ..events.event import Event
from .pairs import touching

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Kind = Literal["not found", "other class", "elsewhere", "no click"]
PRIOR = 0.05
"""Assumed share of wrong labels. It sets the level of the scores, and does not change their order."""
PROBABLE = 0.5
"""Score from which an error is more probable than not."""
SLACK = 0.25
"""A click this share of an event's length before or after it still counts as held."""
CONFIDENT = 0.5
"""Score from which an event is more probably right than not."""
NO_EVIDENCE = 0.1
"""Score below which an event says nothing for a click: its action may be elsewhere."""
LEAST = 1e-3
"""Scores are limited to [LEAST, 1 - LEAST]."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A click that may be wrong, or an event that may lack its click.

    Attributes:
        kind: "not found" (a click without an event of its class), "other class" (an event of another class holds it),
            "elsewhere" (an event of its class without a click lies elsewhere), or "no click" (an event without one).
        video: Name of the video.
        time_s: Of the click, or the middle of the event, in seconds.
        clicked: Class of the click; empty for "no click".
        found: Class of the event; empty for "not found".
        event_score: Score of the event; 0 without one.
        start_s: Start of the event; that of the click without one.
        end_s: End of the event.
        score: Probability of a label error, if the share of wrong labels is `PRIOR`.
        confirmed: Whether a person was asked about the click and said that it is right.
    """

    kind: Kind
    video: str
    time_s: float
    clicked: str
    found: str
    event_score: float
    start_s: float
    end_s: float
    score: float
    confirmed: bool = False

    @property
    def contradicted(self) -> bool:
        """Whether a confident event contradicts the labels.

        A click that no event holds may as well be an action that is hard to find, and some clicks are found worst even
        where all labels are right.
        """
        return self.kind != "not found" and self.event_score >= CONFIDENT and self.score >= PROBABLE

    @property
    def what(self) -> str:
        """What contradicts the labels, in words."""
        return self._found + (" (confirmed in punctum label)" if self.confirmed else "")

    @property
    def _found(self) -> str:
        span = f"{self.start_s:.2f} to {self.end_s:.2f} s, score {self.event_score:.2f}"
        if self.kind == "not found":
            if self.event_score < 0.001:
                return f"click {self.clicked}: no event there"
            return f"click {self.clicked}: only an event of score {self.event_score:.3f} there"
        if self.kind == "no click":
            return f"event {self.found} without a click, {span}"
        if self.kind == "other class":
            return f"click {self.clicked}: event {self.found} there, {span}"
        return f"click {self.clicked}: no event there, but one without a click at {span}"

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "video": self.video,
            "time_s": round(self.time_s, 3),
            "clicked": self.clicked or None,
            "found": self.found or None,
            "event_score": round(self.event_score, 4),
            "segment": [round(self.start_s, 3), round(self.end_s, 3)],
            "score": round(self.score, 4),
            "confirmed": self.confirmed,
            "what": self.what,
        }


@by_value
@dataclass(slots=True, eq=False, repr=False)
class _Video:
    """Events and clicks of one video as arrays, and how they belong together."""

    name: str
    event_label: I64
    segments: F64
    scores: F64
    click_label: I64
    times: F64
    owner: I64  # event that each click belongs to, or -1
    taken: Flags  # events that hold a click of their class
    evidence: F64  # score of the event that each click belongs to, or 0
    other: tuple[I64, I64]  # events and clicks of another class that they hold


def find_suspects(
    events: Mapping[str, Sequence[Event]], clicks: Mapping[str, Sequence[Point]], labels: Sequence[str]
) -> tuple[Suspect, ...]:
    """Suspected label errors, the most probable first.

    Args:
        events: Final events of each video, by networks that have not seen its clicks.
        clicks: Clicks of each video.
        labels: Names of the classes, which the clicks refer to by index.
    """
    index = {label: k for k, label in enumerate(labels)}
    videos = [_prepare(name, made, clicks.get(name, ()), index) for name, made in events.items()]
    scores = np.concatenate([v.scores for v in videos]) if videos else np.zeros(0)
    taken = np.concatenate([v.taken for v in videos]) if videos else np.zeros(0, bool)
    evidence = np.concatenate([v.evidence for v in videos]) if videos else np.zeros(0)
    if not len(evidence):
        return ()
    probability = _Probability(scores, taken)
    ratio = _ClickRatio(evidence, np.concatenate([v.click_label for v in videos]), len(labels))
    found: list[Suspect] = []
    for video in videos:
        found += _of_video(video, labels, probability, ratio)
    return tuple(sorted(found, key=lambda s: (-s.score, s.video, s.time_s)))


def _prepare(name: str, made: Sequence[Event], clicks: Sequence[Point], index: Mapping[str, int]) -> _Video:
    order = sorted(range(len(made)), key=lambda k: -made[k].score)
    best = [made[k] for k in order if made[k].label in index]
    segments = np.array([(e.start, e.end) for e in best], np.float64).reshape(-1, 2)
    label = np.array([index[e.label] for e in best], np.int64)
    scores = np.array([e.score for e in best], np.float64)
    times = np.array([c.time_s for c in clicks], np.float64)
    wanted = np.array([c.label for c in clicks], np.int64)
    owner, taken, evidence = np.full(len(times), -1), np.zeros(len(best), bool), np.zeros(len(times))
    slack = SLACK * (segments[:, 1:] - segments[:, :1])
    wide = np.concatenate([segments[:, :1] - slack, segments[:, 1:] + slack], axis=1)
    first, second = touching(wide, np.stack([times, times], axis=1))
    same = label[first] == wanted[second]
    middle = segments.mean(axis=1)
    pairs = np.lexsort((np.abs(times[second] - middle[first]), first))  # events are in order of score
    pairs = pairs[same[pairs]]
    for k, j in zip(first[pairs].tolist(), second[pairs].tolist(), strict=True):
        if owner[j] < 0 and not taken[k]:
            owner[j], taken[k], evidence[j] = k, True, scores[k]
    return _Video(name, label, segments, scores, wanted, times, owner, taken, evidence, (first[~same], second[~same]))


class _Probability:
    """The probability that an event of a score holds a click: logistic in the log-odds of the score."""

    def __init__(self, scores: F64, taken: Flags) -> None:
        # Two weights near (0, 1), for which scores are the probabilities already; Newton's method.
        self._weights = np.array([0.0, 1.0])
        x = np.stack([np.ones(len(scores)), _logit(scores)], axis=1)
        for _ in range(50):
            p = 1 / (1 + np.exp(-np.clip(x @ self._weights, -30, 30)))
            precision = np.array([0.25, 4.0])
            gradient = x.T @ (p - taken) + precision * (self._weights - [0.0, 1.0])
            hessian = (x * np.maximum(p * (1 - p), 1e-9)[:, None]).T @ x + np.diag(precision)
            step = np.linalg.solve(hessian, gradient)
            self._weights = self._weights - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        self._weights[1] = max(self._weights[1], 0.05)

    def log_odds(self, scores: F64) -> F64:
        """Log-odds of an action there: the share PRIOR of the actions lacks its click."""
        p = 1 / (1 + np.exp(-np.clip(self._weights[0] + self._weights[1] * _logit(scores), -30, 30)))
        return _logit(p / (1 - PRIOR))


class _ClickRatio:
    """log f(e | wrong) - log f(e | right) of the evidence for a click, by class."""

    def __init__(self, evidence: F64, label: I64, classes: int) -> None:
        self._evidence = np.sort(evidence)
        lost = evidence < LEAST
        share = (lost.sum() + 0.5) / (len(evidence) + 1)
        count = np.bincount(label, minlength=classes)
        # The share of clicks without any event, for each class pulled toward that of all.
        self._lost = (np.bincount(label[lost], minlength=classes) + 10 * share) / (count + 10)
        self._share = share

    def __call__(self, evidence: F64, label: npt.NDArray[np.int64]) -> F64:
        below = np.searchsorted(self._evidence, evidence, side="right") / (len(self._evidence) + 1)
        below = np.maximum(below, 0.5 / (len(self._evidence) + 1))
        scale = self._lost[label] / self._share
        wrong = np.clip(1 - evidence, LEAST, 1.0)
        return np.asarray(np.log(wrong) - np.log(np.minimum(below * scale, 1.0)))


def _of_video(video: _Video, labels: Sequence[str], probability: _Probability, ratio: _ClickRatio) -> list[Suspect]:
    odds = probability.log_odds(video.scores)
    # The ratio ranks clicks: one of them is the last, even if all are right. Where the networks see an action of the
    # class, its probability bounds the suspicion.
    bound = -probability.log_odds(video.evidence) - math.log(PRIOR / (1 - PRIOR))
    against = np.minimum(ratio(video.evidence, video.click_label), bound)
    spare = _spare(video)
    found = []
    for j, k, kind in _pairs(video, against, odds, spare):
        click = (float(video.times[j]), labels[video.click_label[j]]) if j >= 0 else None
        if k >= 0:
            start, end = (float(x) for x in video.segments[k])
        elif click is not None:
            start = end = click[0]
        parts = [float(against[j])] if j >= 0 else []
        parts += [float(odds[k])] if k >= 0 else []
        found.append(
            Suspect(
                kind,
                video.name,
                (start + end) / 2 if click is None else click[0],
                "" if click is None else click[1],
                labels[video.event_label[k]] if k >= 0 else "",
                float(video.scores[k]) if k >= 0 else float(video.evidence[j]),
                start,
                end,
                _posterior(max(parts)),
            )
        )
    return found


def _pairs(video: _Video, against: F64, odds: F64, spare: Flags) -> list[tuple[int, int, Kind]]:
    """Clicks and events without a click that may be one error: (click or -1, event or -1, kind)."""
    free, pairs = spare.copy(), dict[int, tuple[int, int, Kind]]()
    order = np.argsort(-against, kind="stable").tolist()
    holding: dict[int, list[int]] = {}  # events of other classes, in order of score, by click
    for k, j in zip(*(x.tolist() for x in video.other), strict=True):
        holding.setdefault(j, []).append(k)

    def join_other(least: float) -> None:
        """Give each click that has no event yet the best free one of another class that holds it."""
        for j in order:
            if j in pairs:
                continue
            for k in holding.get(j, ()):
                if free[k] and odds[k] >= least and video.scores[k] > video.evidence[j]:
                    free[k] = False
                    pairs[j] = (j, k, "other class")
                    break

    join_other(0.0)
    confident = np.flatnonzero(free & (odds >= 0.0))
    waiting = {label: confident[video.event_label[confident] == label].tolist() for label in set(video.click_label)}
    for j in order:
        rest = waiting[video.click_label[j]]
        if j not in pairs and video.evidence[j] < NO_EVIDENCE and rest:
            k = rest.pop(0)
            free[k] = False
            pairs[j] = (j, k, "elsewhere")
    join_other(-np.inf)
    clicks = [pairs.get(j, (j, -1, "not found")) for j in range(len(video.times))]
    return clicks + [(-1, int(k), "no click") for k in np.flatnonzero(free)]


def _spare(video: _Video) -> Flags:
    """Events without a click that do not repeat a better event of their class."""
    spare = ~video.taken
    for label in np.unique(video.event_label[spare]):
        mine = np.flatnonzero(video.event_label == label)
        first, second = touching(video.segments[mine], video.segments[mine])
        first, second = mine[first], mine[second]
        first, second = first[second < first], second[second < first]  # events are in order of score
        start, end = video.segments.T
        shared = np.minimum(end[first], end[second]) - np.maximum(start[first], start[second])
        shorter = np.minimum(end[first] - start[first], end[second] - start[second])
        spare[first[shared > 0.5 * shorter]] = False
    return spare


def _posterior(log_ratio: float) -> float:
    return 1 / (1 + math.exp(-min(max(log_ratio + math.log(PRIOR / (1 - PRIOR)), -30.0), 30.0)))


def _logit(scores: F64) -> F64:
    p = np.clip(scores, LEAST, 1 - LEAST)
    return np.asarray(np.log(p) - np.log1p(-p))

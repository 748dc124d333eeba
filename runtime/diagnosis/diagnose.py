"""The diagnosis of a bundle on a data set: types of errors, what fixing them would give, and where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.operating_point import MinScore, minimum
from ..datasets.dataset import Point
from ..datasets.truth import Truth
from ..evaluation.detections import Detections
from ..events.event import Event
from .cases import Case, is_found, worst_cases
from .fixes import Ranking, corrected, ranking
from .groups import Group, groups_of
from .judge import (
    BACKGROUND,
    CLASS,
    CONFUSION,
    DUPLICATE,
    LOCALIZATION,
    NAMES,
    RIGHT,
    Flags,
    Judgment,
    judge_by_clicks,
    judge_by_truth,
)
from .suspects import Suspect, find_suspects

F64 = npt.NDArray[np.float64]
Brightness = Callable[[str, float], float]
"""Brightness of a video at a time, 0 to 1; NaN where it is unknown."""
LISTED = 0.1
"""Probability of an error from which a suspect is listed."""
TYPES = (CLASS, LOCALIZATION, CONFUSION, DUPLICATE, BACKGROUND)


@dataclass(frozen=True, slots=True)
class ErrorType:
    """The errors of one type, from the minimum score on and in the whole ranking.

    Attributes:
        name: Name of the type; "all wrong events" and "all not found" sum up.
        count: Number of errors from the minimum score on.
        f1: F1 from the minimum score on, if they were fixed.
        count_all: Number of errors in the whole ranking.
        average_precision: Average precision, if they were fixed.
    """

    name: str
    count: int
    f1: float
    count_all: int
    average_precision: float

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "type": self.name,
            "from_min_score": {"count": self.count, "f1_if_fixed": _number(self.f1)},
            "whole_ranking": {"count": self.count_all, "ap_if_fixed": _number(self.average_precision)},
        }


@dataclass(frozen=True, slots=True)
class Confusion:
    """What actions of one class were reported as, from the minimum score on.

    Attributes:
        action: Class of the actions; empty for events where there is no action.
        found: Class of the events; empty for actions without an event.
        count: Number.
    """

    action: str
    found: str
    count: int

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {"action": self.action or None, "found": self.found or None, "count": self.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The result of `diagnose`.

    Attributes:
        by: "ground truth" or "clicks".
        tiou: tIoU from which a detection is right; None for clicks.
        min_score: The minimum score; None for one that differs by class.
        videos: Number of videos.
        actions: Number of actions or clicks.
        actions_found: Of these, those that are found from the minimum score on.
        events: Number of events from the minimum score on.
        right: Of these, those that are right.
        events_all: Number of all events.
        f1: From the minimum score on.
        average_precision: Of the whole ranking, mean over the classes.
        errors: By type.
        groups: Which actions are found, by factor.
        confusions: Actions and events by class.
        cases: The worst cases.
        suspects: Suspected label errors; empty without clicks.
        best_here: Whether the minimum score is the one with the best F1 on these videos, for lack of one of the bundle.
    """

    by: str
    tiou: float | None
    min_score: float | None
    videos: int
    actions: int
    actions_found: int
    events: int
    right: int
    events_all: int
    f1: float
    average_precision: float
    errors: tuple[ErrorType, ...]
    groups: tuple[Group, ...]
    confusions: tuple[Confusion, ...]
    cases: tuple[Case, ...]
    suspects: tuple[Suspect, ...] = ()
    best_here: bool = False

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "by": self.by,
            "tiou": self.tiou,
            "min_score": self.min_score,
            "videos": self.videos,
            "actions": self.actions,
            "actions_found": self.actions_found,
            "events": self.events,
            "right": self.right,
            "events_all": self.events_all,
            "f1": _number(self.f1),
            "ap": _number(self.average_precision),
            "errors": [each.to_record() for each in self.errors],
            "groups": [each.to_record() for each in self.groups],
            "confusion": [each.to_record() for each in self.confusions],
            "worst": [each.to_record() for each in self.cases],
            "suspects": [each.to_record() for each in self.suspects],
        }


def diagnose(
    events: Mapping[str, Sequence[Event]],
    labels: Sequence[str],
    *,
    truth: Truth | None = None,
    clicks: Mapping[str, Sequence[Point]] | None = None,
    tiou: float = 0.5,
    min_score: MinScore | None = None,
    brightness: Brightness | None = None,
    most: int = 20,
    suspects: bool = True,
) -> Diagnosis:
    """Diagnose the final events of a bundle.

    Args:
        events: Final events of each video.
        labels: Names of the classes of the data set.
        truth: Ground truth of these videos. None: the clicks are used instead.
        clicks: Clicks of these videos. None without clicks.
        tiou: With ground truth: the tIoU from which an event is right.
        min_score: Minimum score of the bundle. None: the one with the best F1 on these videos.
        brightness: Brightness of a video at a time, if it is known.
        most: Number of cases and suspects.
        suspects: Whether to look for label errors. The events must not come from networks trained on these clicks.
    """
    actions = truth if truth is not None else truth_of_clicks(clicks or {}, tuple(events), tuple(labels))
    found = Detections.from_events(events, actions)
    judged = judge_by_clicks(actions, found) if truth is None else judge_by_truth(actions, found, tiou)
    least = np.array(
        [minimum(_best_minimum(judged) if min_score is None else min_score, label) for label in actions.labels]
    )
    chosen = found.scores >= least[found.label]
    everything = np.ones(len(found), bool)
    now, whole = ranking(judged, chosen), ranking(judged, everything)
    light = None
    if brightness is not None:
        middle = actions.segments.mean(axis=1)
        light = np.array([brightness(actions.videos[v], t) for v, t in zip(actions.video, middle, strict=True)])
    values = set(least.tolist())
    suspected = find_suspects(events, clicks, actions.labels) if clicks and suspects else ()
    return Diagnosis(
        by="clicks" if truth is None else "ground truth",
        tiou=None if truth is None else tiou,
        min_score=values.pop() if len(values) == 1 else None,
        best_here=min_score is None,
        videos=len(actions.videos),
        actions=len(actions.label),
        actions_found=int(is_found(judged, chosen).sum()),
        events=len(now.label),
        right=int(now.hit.sum()),
        events_all=len(found),
        f1=now.f1,
        average_precision=whole.average_precision,
        errors=_errors(judged, chosen, everything),
        groups=groups_of(judged, is_found(judged, chosen), light),
        confusions=_confusions(judged, chosen),
        cases=worst_cases(judged, chosen, most),
        suspects=tuple(each for each in suspected if each.score >= LISTED)[:most],
    )


def truth_of_clicks(clicks: Mapping[str, Sequence[Point]], videos: tuple[str, ...], labels: tuple[str, ...]) -> Truth:
    """Clicks as actions of length 0."""
    rows = [(v, point.label, point.time_s) for v, video in enumerate(videos) for point in clicks.get(video, ())]
    table = np.array(rows, np.float64).reshape(-1, 3)
    video, label = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return Truth(videos, labels, video, label, np.repeat(table[:, 2:], 2, axis=1))


def _best_minimum(judged: Judgment) -> float:
    """The score that maximizes F1, the highest if there are several; 0 without detections."""
    order = np.argsort(-judged.found.scores, kind="stable")
    scores = judged.found.scores[order]
    if not len(scores):
        return 0.0
    f1 = 2 * np.cumsum(judged.kind[order] == RIGHT) / (np.arange(1, len(scores) + 1) + len(judged.truth.label))
    cuts = np.flatnonzero(np.diff(scores, append=-np.inf) != 0)  # equal scores count together
    return float(scores[cuts[int(np.argmax(f1[cuts]))]])


def _errors(judged: Judgment, chosen: Flags, everything: Flags) -> tuple[ErrorType, ...]:
    def row(name: str, counts: tuple[int, int], fixed: tuple[Ranking, Ranking]) -> ErrorType:
        return ErrorType(name, counts[0], fixed[0].f1, counts[1], fixed[1].average_precision)

    def of_kind(kind: int) -> tuple[int, int]:
        return int((judged.kind[chosen] == kind).sum()), int((judged.kind == kind).sum())

    found = [
        row(NAMES[kind], of_kind(kind), (corrected(judged, chosen, kind), corrected(judged, everything, kind)))
        for kind in TYPES
    ]
    now, whole = ranking(judged, chosen), ranking(judged, everything)
    open_now, open_all = _not_found(judged, chosen), _not_found(judged, everything)
    label = judged.truth.label
    for name in ("merged", "missed") if judged.by_clicks else ("missed",):
        a, b = open_now[name], open_all[name]
        fixed = now.with_hits(label[a]), whole.without_actions(label[b])
        found.append(row(name, (int(a.sum()), int(b.sum())), fixed))
    found.append(
        row(
            "all wrong events",
            (int((~now.hit).sum()), int((~whole.hit).sum())),
            (now.without(~now.hit), whole.without(~whole.hit)),
        )
    )
    a, b = ~is_found(judged, chosen), ~is_found(judged, everything)
    fixed = now.with_hits(label[a]), whole.without_actions(label[b])
    found.append(row("all not found", (int(a.sum()), int(b.sum())), fixed))
    return tuple(found)


def _not_found(judged: Judgment, chosen: Flags) -> dict[str, Flags]:
    """Actions that no chosen detection explains, and those within a detection that counts for another click."""
    explained = np.zeros(len(judged.truth.label), bool)
    explained[judged.action[chosen & np.isin(judged.kind, (CLASS, LOCALIZATION))]] = True
    left = ~is_found(judged, chosen) & ~explained
    merged = left & (judged.within >= 0)
    merged[merged] = chosen[judged.within[merged]]
    return {"merged": merged, "missed": left & ~merged}


def _confusions(judged: Judgment, chosen: Flags) -> tuple[Confusion, ...]:
    """Every action once: as its own class, as the class of the best wrong event, or without event; then background.

    Events with a wrong start or end count like others: they do report the action. So does the event that holds a click
    but counts for another one.
    """
    truth, found = judged.truth, judged.found
    reported = np.full(len(truth.label), -1)
    own = is_found(judged, chosen) | _not_found(judged, chosen)["merged"]
    reported[own] = truth.label[own]
    wrong = np.flatnonzero(chosen & np.isin(judged.kind, (LOCALIZATION, CLASS, CONFUSION)))
    for k in wrong[np.argsort(-found.scores[wrong], kind="stable")]:
        if reported[judged.action[k]] < 0:
            reported[judged.action[k]] = found.label[k]
    names = (*truth.labels, "")  # index -1: none
    pairs, counts = np.unique(np.stack([truth.label, reported], axis=1).reshape(-1, 2), axis=0, return_counts=True)
    result = [Confusion(names[a], names[b], int(n)) for (a, b), n in zip(pairs, counts, strict=True)]
    alone = np.bincount(found.label[chosen & (judged.kind == BACKGROUND)], minlength=len(truth.labels))
    result += [Confusion("", names[c], int(n)) for c, n in enumerate(alone) if n]
    return tuple(result)


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None

"""Which moments to ask a person about: likely misses, suspected label errors, and moments of high uncertainty.

Labels of whole videos teach more than as many answers (docs/benchmarks/negative-results.md): questions serve to correct
labels, and for footage that is too long to be watched.

A question is worth as much as the answer is expected to change. For likely misses and suspected errors this is the
probability that the labels are wrong (`diagnosis.suspects`), for uncertain moments the entropy of the score, or how
close the scores of two classes are. One answer often settles similar moments, so each further question about the same
video or class counts less (`_spread`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..datasets.dataset import Point
from ..diagnosis.suspects import Suspect, find_suspects
from ..text.display import as_utf8
from .clicks import Click
from .labels import Labels
from .overlap import distinct, iou
from .round_result import RoundEvent, RoundResult
from .settled import UNKNOWN_S, is_settled, typical_lengths

Kind = Literal["miss", "error", "unsure", "misplaced"]
MOST = 40
LEAST_DOUBT = 0.15
"""Probability of a label error from which a suspect is asked about."""
LEAST_SCORE = 0.1
"""Score below which an event is no question."""
SAME_VIDEO, SAME_CLASS = 0.75, 0.9
"""Factor of the value for every question about the same video, and of the same class, that comes before."""
UNSURE_WEIGHT = 0.8
"""Value of an uncertain moment (score 0.5) relative to a label that is certainly wrong."""
_TWIN_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Question:
    """A question.

    Attributes:
        key: Identifies it between rounds.
        kind: "miss" (an event without a click in a labeled video), "error" (a click that the networks contradict),
            "unsure" (an event of uncertain score, or of two classes), or "misplaced" (a click beside an event of its
            class that has none; among the mistakes only).
        video: Name of the video.
        label: Class that is asked about: "is this an action of the class?"
        time_s: Where the click would be, or is.
        start_s: Start of the event; that of the click's surroundings if there is none.
        end_s: End of it.
        score: Score of the event; 0 without one.
        other: Class that the networks find instead, or find as probable; empty for none.
        click: Id of the click that is asked about; empty for none.
        value: What the answer is expected to be worth, 0 to 1.
    """

    key: str
    kind: Kind
    video: str
    label: str
    time_s: float
    start_s: float
    end_s: float
    score: float
    other: str
    click: str
    value: float

    def to_record(self) -> dict[str, Any]:
        """For pages."""
        return {
            "key": self.key,
            "kind": self.kind,
            "video": self.video,
            "label": self.label,
            "time_s": round(self.time_s, 3),
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "score": round(self.score, 3),
            "other": self.other or None,
            "click": self.click or None,
            "value": round(self.value, 3),
        }


def questions(found: RoundResult, labels: Labels, *, skipped: Iterable[str] = (), most: int = MOST) -> list[Question]:
    """The questions of most value, the best first. Moments that clicks or certified background settle are left out."""
    left = set(skipped)
    candidates: dict[str, Question] = {}
    for question in [*_suspected(found, labels), *_uncertain(found, labels)]:
        known = candidates.get(question.key)
        if question.key in left or is_answered(question, labels):
            continue
        if known is None or known.value < question.value:
            candidates[question.key] = question
    return _spread(list(candidates.values()), most)


def is_answered(question: Question, labels: Labels) -> bool:
    """Whether an answer of the present round was about the same moment."""
    where = (question.video, question.start_s, question.end_s, question.click)
    return any(moment.concerns(*where) for moment in labels.answered)


def doubts(found: RoundResult, labels: Labels) -> dict[str, float]:
    """Probability of an error of each click that the networks of a round contradict, by its id."""
    made: dict[str, float] = {}
    for suspect in _suspects(found, labels):
        if (click := _click_of(suspect, labels)) is not None:
            made[click.id] = max(made.get(click.id, 0.0), suspect.score)
    return made


def unlabeled_videos(found: RoundResult, labels: Labels) -> list[str]:
    """Videos that nobody has labeled, in random order, which is the same in every round.

    Those with the most uncertain events first would leave out videos without an action, and training needs these, too:
    the same number of clicks then gave a lower mAP (docs/benchmarks/negative-results.md).
    """
    names = (name for name in found.videos if name not in labels.labeled)
    return sorted(names, key=lambda name: hashlib.sha256(as_utf8(name).encode()).digest())


def _suspects(found: RoundResult, labels: Labels) -> tuple[Suspect, ...]:
    """Suspects in videos whose events come from networks that have not seen them, the most probable first."""
    index = {label: k for k, label in enumerate(found.labels)}
    judged = {name: v for name, v in found.videos.items() if v.held_out and name in labels.labeled}
    events = {name: video.as_events(name) for name, video in judged.items()}
    clicks = {
        name: [Point(index[c.label], c.time_s) for c in labels.clicks.get(name, ()) if c.label in index]
        for name in judged
    }
    return find_suspects(events, clicks, found.labels)


def _suspected(found: RoundResult, labels: Labels) -> list[Question]:
    """Likely misses and suspected errors."""
    made, typical = [], typical_lengths(found)
    for suspect in _suspects(found, labels):
        if suspect.score < LEAST_DOUBT:
            break
        question = _miss(suspect, labels, typical) if suspect.kind == "no click" else _error(suspect, labels, typical)
        if question is not None:
            made.append(question)
    return made


def _miss(suspect: Suspect, labels: Labels, typical: Mapping[str, float]) -> Question | None:
    event = RoundEvent(suspect.found, suspect.start_s, suspect.end_s, suspect.event_score)
    settled = is_settled(event, suspect.video, labels, typical.get(event.label, 0.0))
    if suspect.event_score < LEAST_SCORE or settled:
        return None
    return _of_event(event, suspect.video, "miss", "", 0.5 + 0.5 * suspect.score)


def _click_of(suspect: Suspect, labels: Labels) -> Click | None:
    near = [c for c in labels.clicks.get(suspect.video, ()) if abs(c.time_s - suspect.time_s) < 1e-6]
    return next((c for c in near if c.label == suspect.clicked), None)


def _error(suspect: Suspect, labels: Labels, typical: Mapping[str, float]) -> Question | None:
    click = _click_of(suspect, labels)
    if click is None or (click.id in labels.confirmed and click.id not in labels.doubts):
        return None
    if suspect.score <= labels.doubts.get(click.id, 0.0):
        return None
    half = 0.5 * typical.get(suspect.clicked, UNKNOWN_S)
    start_s, end_s = max(suspect.time_s - half, 0.0), suspect.time_s + half
    other = suspect.found if suspect.kind == "other class" else ""
    key = f"error/{click.id}"
    value = 0.5 + 0.5 * suspect.score
    score = suspect.event_score
    return Question(
        key, "error", suspect.video, suspect.clicked, suspect.time_s, start_s, end_s, score, other, click.id, value
    )


def _uncertain(found: RoundResult, labels: Labels) -> list[Question]:
    made, typical = [], typical_lengths(found)
    for name, video in found.videos.items():
        open_ones = [
            e
            for e in distinct(video.events)
            if e.score >= LEAST_SCORE and not is_settled(e, name, labels, typical.get(e.label, 0.0))
        ]
        for event in open_ones:
            rival = max(
                (e for e in open_ones if e.label != event.label and iou(e, event) >= _TWIN_IOU),
                key=lambda e: e.score,
                default=None,
            )
            if rival is not None and rival.score > event.score:
                continue  # the rival is the question, with this class beside it
            value = _entropy(event.score)
            if rival is not None and event.score + rival.score > 0.5:
                value = max(value, 1 - (event.score - rival.score) / (event.score + rival.score))
            other = "" if rival is None else rival.label
            made.append(_of_event(event, name, "unsure", other, UNSURE_WEIGHT * value))
    return made


def _of_event(event: RoundEvent, video: str, kind: Kind, other: str, value: float) -> Question:
    key = f"event/{video}/{event.label}/{event.middle_s:.1f}"
    time_s = event.middle_s
    return Question(key, kind, video, event.label, time_s, event.start_s, event.end_s, event.score, other, "", value)


def _spread(candidates: list[Question], most: int) -> list[Question]:
    """The best questions, chosen one by one: those about a video or class that was asked about already count less."""
    videos: dict[str, int] = {}
    classes: dict[str, int] = {}
    rest = sorted(candidates, key=lambda q: (-q.value, q.video, q.time_s, q.label))
    chosen: list[Question] = []
    while rest and len(chosen) < most:
        best = max(
            rest, key=lambda q: q.value * SAME_VIDEO ** videos.get(q.video, 0) * SAME_CLASS ** classes.get(q.label, 0)
        )
        rest.remove(best)
        chosen.append(best)
        videos[best.video] = videos.get(best.video, 0) + 1
        classes[best.label] = classes.get(best.label, 0) + 1
    return chosen


def _entropy(p: float) -> float:
    """Of a yes or no, in bits."""
    if p <= 0 or p >= 1:
        return 0.0
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)

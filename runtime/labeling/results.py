"""How good the networks of the last round are, judged by the clicks of videos that they have not seen."""

from __future__ import annotations

from typing import Any, Literal

from ..datasets.dataset import Point
from ..evaluation.clicks import ClickRow, evaluate_clicks
from .clicks import Click
from .labels import Labels
from .questions import Question, is_answered
from .round_result import RoundEvent, RoundResult
from .settled import reach, typical_s

NOTHING = ""
"""In the confusion table: no click, or no event."""
MOST = 200


def results(found: RoundResult, labels: Labels, min_score: float) -> dict[str, Any]:
    """Precision and recall by click, confusion, and mistakes at a minimum score.

    Args:
        found: The events.
        labels: The present labels.
        min_score: Events with lower scores are left out.

    Returns:
        For pages: precision, recall, counts, per_class, confusion (rows of clicked class, found class, count), and
        mistakes, the worst first, in the form of questions; answered: in the present round.
    """
    index = {label: k for k, label in enumerate(found.labels)}
    judged = {name: v for name, v in found.videos.items() if v.held_out and name in labels.labeled}
    clicks = {name: [c for c in labels.clicks.get(name, ()) if c.label in index] for name in judged}
    hours = sum(video.duration_s for video in judged.values()) / 3600
    evaluation = evaluate_clicks(
        {name: video.as_events(name) for name, video in judged.items()},
        {name: [Point(index[c.label], c.time_s) for c in mine] for name, mine in clicks.items()},
        found.labels,
        hours=hours,
        min_score=min_score,
    )
    confusion: dict[tuple[str, str], int] = {}
    mistakes: list[Question] = []
    for name, video in judged.items():
        shown = [e for e in video.events if e.score >= min_score]
        mistakes += _of_video(name, shown, clicks[name], confusion, found)
    mistakes.sort(key=lambda q: (-q.value, q.video, q.time_s))
    return {
        "min_score": min_score,
        "videos": len(judged),
        "clicks": sum(map(len, clicks.values())),
        **_row(evaluation.chosen),
        "per_class": {label: _row(row) for label, row in evaluation.per_class.items()},
        "confusion": [[clicked, seen, count] for (clicked, seen), count in sorted(confusion.items())],
        "mistakes": [{**q.to_record(), "answered": is_answered(q, labels)} for q in mistakes[:MOST]],
        "mistakes_total": len(mistakes),
    }


def _row(row: ClickRow) -> dict[str, Any]:
    return {
        "recall": row.recall.to_record(),
        "precision": row.precision.to_record(),
        "right": row.recall.hits,
        "events": row.precision.total,
        "clicked": row.recall.total,
    }


def _of_video(
    name: str, events: list[RoundEvent], clicks: list[Click], confusion: dict[tuple[str, str], int], found: RoundResult
) -> list[Question]:
    """Match events and clicks of a video, those of one class first; count them, and return the mistakes.

    A click beside an event of its class, with neither of them matched, is one mistake: one action, clicked at another
    place. Both count in the table.
    """
    free = dict(enumerate(clicks))
    alone: list[RoundEvent] = []
    for event in sorted(events, key=lambda e: -e.score):
        held = [
            (abs(c.time_s - event.middle_s), k) for k, c in free.items() if _holds(event, c) and c.label == event.label
        ]
        if held:
            del free[min(held)[1]]
            _count(confusion, event.label, event.label)
        else:
            alone.append(event)
    made, unclicked = [], list[RoundEvent]()
    for event in alone:
        held = [(abs(c.time_s - event.middle_s), k) for k, c in free.items() if _holds(event, c)]
        if held:
            click = free.pop(min(held)[1])
            _count(confusion, click.label, event.label)
            made.append(_missed(name, click, found, event))
        else:
            _count(confusion, NOTHING, event.label)
            unclicked.append(event)
    for click in free.values():
        _count(confusion, click.label, NOTHING)
    beside = _beside(unclicked, free, found)
    for place, event in enumerate(unclicked):
        if (k := beside.get(place)) is not None:
            made.append(_of_event(name, event, "misplaced", free[k]))
        else:
            made.append(_of_event(name, event, "miss", None))
    taken = set(beside.values())
    return made + [_missed(name, click, found, None) for k, click in free.items() if k not in taken]


def _beside(events: list[RoundEvent], clicks: dict[int, Click], found: RoundResult) -> dict[int, int]:
    """Place of an event -> key of the click of its class that is probably meant for it; one to one, nearest first."""
    near = []
    for place, event in enumerate(events):
        within = reach(event, typical_s(found, event.label))
        for k, click in clicks.items():
            gap = max(event.start_s - click.time_s, click.time_s - event.end_s)
            if click.label == event.label and gap <= within:
                near.append((gap, place, k))
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for _, place, k in sorted(near):
        if place not in pairs and k not in used:
            pairs[place] = k
            used.add(k)
    return pairs


def _of_event(video: str, event: RoundEvent, kind: Literal["miss", "misplaced"], click: Click | None) -> Question:
    """The mistake of an event without a click. click: one beside it."""
    key = f"event/{video}/{event.label}/{event.middle_s:.1f}" if click is None else f"error/{click.id}"
    time_s, ident = (event.middle_s, "") if click is None else (click.time_s, click.id)
    return Question(
        key, kind, video, event.label, time_s, event.start_s, event.end_s, event.score, "", ident, event.score
    )


def _missed(video: str, click: Click, found: RoundResult, event: RoundEvent | None) -> Question:
    half = 0.5 * typical_s(found, click.label)
    start_s, end_s = max(click.time_s - half, 0.0), click.time_s + half
    other, score = ("", 0.0) if event is None else (event.label, event.score)
    key = f"error/{click.id}"
    return Question(
        key, "error", video, click.label, click.time_s, start_s, end_s, score, other, click.id, 0.5 + score / 2
    )


def _holds(event: RoundEvent, click: Click) -> bool:
    return event.start_s <= click.time_s <= event.end_s


def _count(confusion: dict[tuple[str, str], int], clicked: str, seen: str) -> None:
    confusion[clicked, seen] = confusion.get((clicked, seen), 0) + 1

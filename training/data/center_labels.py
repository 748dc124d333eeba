"""Center labels of proposals from clicks, and the saliency point update (method.md 4.3; pitfalls P1, P15).

Any unit of time, as long as segments and clicks share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from punctum.runtime.datatypes import by_value

from ..arrays import F32, F64, I64
from ..config import CenterObjective


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ProposalLabels:
    """classes float32 [M, C]: 1 for every class with a click inside. center float32 [M]. click int64 [M]: the
    click that the center label comes from, -1 if none."""

    classes: F32
    center: F32
    click: I64


def centredness(segments: F64, times: F64) -> tuple[F64, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """1 - |2 (t - s) / (e - s) - 1| for M segments and N clicks, 0 outside, and strict membership: [M, N]."""
    start, end = segments[:, :1], segments[:, 1:]
    inside = (times > start) & (times < end)
    length = np.where(end > start, end - start, 1.0)
    return np.where(inside, 1.0 - np.abs(2.0 * (times - start) / length - 1.0), 0.0), inside


def label_proposals(
    segments: F64,
    times: F64,
    labels: I64,
    *,
    classes: int,
    rule: CenterObjective,
    order: I64 | None = None,
    proposal_label: I64 | None = None,
) -> ProposalLabels:
    """Labels for proposals [M, 2] from clicks [N].

    order: place of each click in its file, for several = "first" (default: as given). proposal_label [M]: the
    base locator's class, without which foreign and crowded clicks cannot be told and are ignored.
    """
    y, inside = centredness(segments, times)
    out = np.zeros((len(segments), classes), np.float32)
    rows, columns = np.nonzero(inside)
    out[rows, labels[columns]] = 1.0
    if len(times) == 0:
        return ProposalLabels(
            out, np.full(len(segments), rule.empty_label, np.float32), np.full(len(segments), -1, np.int64)
        )
    eligible, own, foreign = inside, inside, np.zeros(len(segments), bool)
    if proposal_label is not None:
        own = inside & (labels[None, :] == proposal_label[:, None])
        foreign = (inside & ~own).any(1)
        if rule.foreign == "zero":
            eligible = own
    if rule.several == "first":
        place = np.arange(len(times)) if order is None else order
        click = np.argmin(np.where(eligible, place[None, :], len(times)), axis=1)
    else:
        click = np.argmax(np.where(eligible, y, -1.0), axis=1)
    some = eligible.any(1)
    center = np.where(some, y[np.arange(len(segments)), click], rule.empty_label)
    if proposal_label is not None:
        if rule.crowded == "divide":
            center = np.where(some, center / np.maximum(own.sum(1), 1), center)
        if rule.foreign == "zero":
            center = np.where(foreign, 0.0, center)
    return ProposalLabels(out, center.astype(np.float32), np.where(some, click, -1).astype(np.int64))


def update_points(
    segments: F64,
    click: I64,
    score: F64,
    *,
    original: F64,
    current: F64,
    threshold: float,
    published: bool,
) -> F64:
    """New click positions: the score-weighted mean of the centres of proposals above `threshold`.

    click [M]: the click each proposal was labelled by (`ProposalLabels.click`). Ours stores the position itself,
    lets only proposals vote that hold the original click, and leaves a click without votes where it is. The
    published rule measures the shift from the current position but adds it to the original one, and a click
    without votes falls back: with a constant centre the point goes to and fro (P1). The first update is the same.
    """
    votes = (click >= 0) & (score > threshold)
    if not published:
        home = original[np.maximum(click, 0)]
        votes &= (segments[:, 0] < home) & (home < segments[:, 1])
    middle = segments.mean(1)
    weight = np.bincount(click[votes], score[votes], minlength=len(original))
    total = np.bincount(click[votes], score[votes] * middle[votes], minlength=len(original))
    voted = weight > 0
    target = total / np.where(voted, weight, 1.0)
    if published:
        return np.where(voted, original + (target - current), original)
    return np.where(voted, target, current)

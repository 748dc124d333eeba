"""Center labels of proposals from clicks, and the saliency point update (docs/method/tspnet.md; defects P1, P15).

Center score learning (CSL) of TSPNet (Xia et al., CVPR 2024). Segments and clicks may have any unit of time, as long
as it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from punctum.runtime.datatypes import by_value

from ..arrays import F32, F64, I64, Bool
from ..config import CenterObjective


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ProposalLabels:
    """Labels of M proposals.

    Attributes:
        classes: float32 [M, C]; 1 for every class with a click inside.
        center: float32 [M], center labels in 0..1.
        click: int64 [M], index of the click that the center label comes from; -1: none.
    """

    classes: F32
    center: F32
    click: I64


def centeredness(segments: F64, times: F64) -> tuple[F64, Bool]:
    """How close to the center of each segment each click lies.

    Args:
        segments: [M, 2].
        times: clicks [N].

    Returns:
        1 - |2 (t - s) / (e - s) - 1| inside a segment and 0 outside [M, N], and whether a click lies strictly inside.
    """
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
    """Label proposals from clicks.

    Args:
        segments: proposals [M, 2].
        times: clicks [N].
        labels: classes of the clicks [N].
        classes: number of classes C.
        rule: the recipe's objective.
        order: place of each click in its file [N], for `several = "first"`; None: as in `times`.
        proposal_label: class that the base locator gave each proposal [M]; None: unknown, and the rules `foreign` and
            `crowded` are not applied.
    """
    centrality, inside = centeredness(segments, times)
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
        click = np.argmax(np.where(eligible, centrality, -1.0), axis=1)
    has_click = eligible.any(1)
    center = np.where(has_click, centrality[np.arange(len(segments)), click], rule.empty_label)
    if proposal_label is not None:
        if rule.crowded == "divide":
            center = np.where(has_click, center / np.maximum(own.sum(1), 1), center)
        if rule.foreign == "zero":
            center = np.where(foreign, 0.0, center)
    return ProposalLabels(out, center.astype(np.float32), np.where(has_click, click, -1).astype(np.int64))


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
    """Saliency point update: move each click to the score-weighted mean center of its proposals above `threshold`.

    The default rule stores the position itself; only proposals that contain the original click vote, and a click
    without votes keeps its position. The published rule measures the shift from the current position but adds it to
    the original one, and a click without votes returns to its original position, so clicks oscillate (defect P1). The
    first update is the same under both rules.

    Args:
        segments: proposals [M, 2].
        click: index of the click that each proposal was labeled by [M] (`ProposalLabels.click`).
        score: center scores [M].
        original: positions of the clicks as they were given [N].
        current: positions after earlier updates [N].
        threshold: center score above which a proposal votes.
        published: use the published rule.

    Returns:
        New positions [N].
    """
    if not len(original):  # a video without clicks: background only
        return current
    votes = (click >= 0) & (score > threshold)
    if not published:
        own = original[np.maximum(click, 0)]
        votes &= (segments[:, 0] < own) & (own < segments[:, 1])
    middle = segments.mean(1)
    weight = np.bincount(click[votes], score[votes], minlength=len(original))
    total = np.bincount(click[votes], score[votes] * middle[votes], minlength=len(original))
    voted = weight > 0
    target = total / np.where(voted, weight, 1.0)
    if published:
        return np.where(voted, original + (target - current), original)
    return np.where(voted, target, current)

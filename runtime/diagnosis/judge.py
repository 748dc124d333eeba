"""What each detection and each action is: right, or an error of which type.

The types are those of TIDE (Bolya et al., 2020) and DETAD (Alwassel et al., 2018). By ground truth, a detection that
matches no action is of the first type that applies:

duplicate      overlaps an action of its class by at least the tIoU, and a better detection matches that action
localization   overlaps an action of its class by at least BACKGROUND_TIOU
class          overlaps an action of another class by at least the tIoU
confusion      overlaps an action of another class by at least BACKGROUND_TIOU: wrong class and badly localized
background     none of these

By clicks, a detection is right if it holds a click of its class that no better one holds. Otherwise: duplicate, it
holds a click of its class; class, it holds a click of another class; localization, a click of its class lies within
NEAR times its length before or after it; confusion, likewise one of another class; background.

An action that no detection matches is an error, too. It is missed if no detection is a wrong class or badly localized
because of it. By clicks it may also be merged: in a right detection, which counts for another click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..datasets.truth import Truth
from ..datatypes import by_value
from ..evaluation.detections import Detections
from .pairs import best_of_each, pairwise_iou, touching

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

RIGHT, DUPLICATE, LOCALIZATION, CLASS, CONFUSION, BACKGROUND = range(6)
NAMES = ("right", "duplicate", "localization", "class", "confusion", "background")
BACKGROUND_TIOU = 0.1
NEAR = 0.5


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Judgment:
    """Detections and actions of a data set, and what they have to do with each other.

    Attributes:
        truth: The actions; for clicks, segments of length 0.
        found: The detections.
        by_clicks: Whether the actions are clicks.
        kind: Type of each detection, int8 [N].
        action: The action because of which a detection has its type, int64 [N]; -1 for background.
        match: The detection that matches each action, int64 [G]; -1 for none.
        within: For clicks, the best detection of the class that holds each, int64 [G]; -1 for none.
    """

    truth: Truth
    found: Detections
    by_clicks: bool
    kind: npt.NDArray[np.int8]
    action: I64
    match: I64
    within: I64


def judge_by_truth(truth: Truth, found: Detections, tiou: float) -> Judgment:
    """Judge detections by ground truth at one tIoU."""
    judged = _empty(truth, found, by_clicks=False)
    first, second = _pairs(truth, found, slack=0.0)
    overlap = pairwise_iou(found.segments, truth.segments, first, second)
    same = found.label[first] == truth.label[second]
    kept = overlap > 0
    first, second, overlap, same = first[kept], second[kept], overlap[kept], same[kept]
    _match(judged, first, second, overlap, same & (overlap >= tiou))
    levels = (
        (DUPLICATE, same & (overlap >= tiou)),
        (LOCALIZATION, same & (overlap >= BACKGROUND_TIOU)),
        (CLASS, ~same & (overlap >= tiou)),
        (CONFUSION, ~same & (overlap >= BACKGROUND_TIOU)),
    )
    _assign(judged, first, second, overlap, levels)
    return judged


def judge_by_clicks(truth: Truth, found: Detections) -> Judgment:
    """Judge detections by clicks, which are given as actions of length 0."""
    judged = _empty(truth, found, by_clicks=True)
    first, second = _pairs(truth, found, slack=NEAR)
    times, (start, end) = truth.segments[second, 0], found.segments[first].T
    same = found.label[first] == truth.label[second]
    closeness = -np.abs(times - (start + end) / 2)
    holds = (start <= times) & (times <= end)
    _match(judged, first, second, closeness, holds & same)
    levels = (
        (DUPLICATE, holds & same),
        (CLASS, holds & ~same),
        (LOCALIZATION, ~holds & same),
        (CONFUSION, ~holds & ~same),
    )
    _assign(judged, first, second, closeness, levels)
    # The best detection of its class that holds each click.
    actions, rows = best_of_each(second, first, found.scores[first], holds & same)
    judged.within[actions] = rows
    return judged


def _empty(truth: Truth, found: Detections, *, by_clicks: bool) -> Judgment:
    n, g = len(found), len(truth.label)
    return Judgment(
        truth,
        found,
        by_clicks,
        np.full(n, BACKGROUND, np.int8),
        np.full(n, -1, np.int64),
        np.full(g, -1, np.int64),
        np.full(g, -1, np.int64),
    )


def _pairs(truth: Truth, found: Detections, *, slack: float) -> tuple[I64, I64]:
    """Detections and actions of the same video that touch, each detection widened by a share of its length."""
    wide = slack * (found.segments[:, 1:] - found.segments[:, :1])
    segments = np.concatenate([found.segments[:, :1] - wide, found.segments[:, 1:] + wide], axis=1)
    by_video, actions_by_video = np.argsort(found.video, kind="stable"), np.argsort(truth.video, kind="stable")
    parts: list[tuple[I64, I64]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    videos, actions_of = found.video[by_video], truth.video[actions_by_video]
    for video in np.intersect1d(found.video, truth.video):
        rows = by_video[slice(*np.searchsorted(videos, [video, video + 1]))]
        actions = actions_by_video[slice(*np.searchsorted(actions_of, [video, video + 1]))]
        first, second = touching(segments[rows], truth.segments[actions])
        parts.append((rows[first], actions[second]))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _match(judged: Judgment, first: I64, second: I64, value: F64, fits: Flags) -> None:
    """Match in order of score: each detection gets the free action with the largest value among those that fit."""
    rows = np.flatnonzero(fits)
    rows = rows[np.lexsort((second[rows], -value[rows], first[rows]))]
    detections, begin = np.unique(first[rows], return_index=True)
    end = np.append(begin[1:], len(rows))
    for k in np.argsort(-judged.found.scores[detections], kind="stable"):
        for action in second[rows[begin[k] : end[k]]]:
            if judged.match[action] < 0:
                judged.match[action] = detections[k]
                judged.kind[detections[k]] = RIGHT
                judged.action[detections[k]] = action
                break


def _assign(judged: Judgment, first: I64, second: I64, value: F64, levels: Sequence[tuple[int, Flags]]) -> None:
    """The first type that applies, for detections that match no action."""
    open_rows = judged.kind != RIGHT
    for kind, mask in levels:
        rows, actions = best_of_each(first, second, value, mask & open_rows[first])
        judged.kind[rows] = kind
        judged.action[rows] = actions
        open_rows[rows] = False

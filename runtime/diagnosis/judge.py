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

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..datasets.truth import Truth
from ..datatypes import by_value
from ..evaluation.detections import Detections

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

RIGHT, DUPLICATE, LOCALIZATION, CLASS, CONFUSION, BACKGROUND = range(6)
NAMES = ("right", "duplicate", "localization", "class", "confusion", "background")
BACKGROUND_TIOU = 0.1
NEAR = 0.5
_BLOCK = 1 << 22  # entries of a matrix of detections and actions


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
    for rows, actions in _by_video(truth, found):
        overlap = kernels.segment_iou(found.segments[rows], truth.segments[actions])
        same = found.label[rows][:, None] == truth.label[actions]
        overlap[overlap <= 0] = -1.0  # a segment of length 0 is never found
        own, other = np.where(same, overlap, -1.0), np.where(same, -1.0, overlap)
        _match(judged, rows, actions, np.where(own >= tiou, own, -np.inf))
        levels = (
            (DUPLICATE, own, tiou),
            (LOCALIZATION, own, BACKGROUND_TIOU),
            (CLASS, other, tiou),
            (CONFUSION, other, BACKGROUND_TIOU),
        )
        _assign(
            judged, rows, actions, [(kind, np.where(value >= least, value, -np.inf)) for kind, value, least in levels]
        )
    return judged


def judge_by_clicks(truth: Truth, found: Detections) -> Judgment:
    """Judge detections by clicks, which are given as actions of length 0."""
    judged = _empty(truth, found, by_clicks=True)
    for rows, actions in _by_video(truth, found):
        start, end = found.segments[rows, :1], found.segments[rows, 1:]
        times, slack = truth.segments[actions, 0], NEAR * (end - start)
        same = found.label[rows][:, None] == truth.label[actions]
        closeness = -np.abs(times - (start + end) / 2)
        holds = (start <= times) & (times <= end)
        near = (start - slack <= times) & (times <= end + slack)
        _match(judged, rows, actions, np.where(holds & same, closeness, -np.inf))
        masks = (
            (DUPLICATE, holds & same),
            (CLASS, holds & ~same),
            (LOCALIZATION, near & same),
            (CONFUSION, near & ~same),
        )
        _assign(judged, rows, actions, [(kind, np.where(mask, closeness, -np.inf)) for kind, mask in masks])
        _hold(judged, rows, actions, holds & same)
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


def _by_video(truth: Truth, found: Detections) -> list[tuple[I64, I64]]:
    """Detections, best first, and actions of each video that has both, in blocks of limited size."""
    order = np.argsort(-found.scores, kind="stable")
    order = order[np.argsort(found.video[order], kind="stable")]
    actions = np.argsort(truth.video, kind="stable")
    parts = []
    for video in np.unique(found.video):
        rows = order[slice(*np.searchsorted(found.video[order], [video, video + 1]))]
        own = actions[slice(*np.searchsorted(truth.video[actions], [video, video + 1]))]
        if not len(own):
            continue
        step = max(_BLOCK // len(own), 1)
        parts += [(rows[k : k + step], own) for k in range(0, len(rows), step)]
    return parts


def _match(judged: Judgment, rows: I64, actions: I64, value: F64) -> None:
    """Match in order of score: each detection gets the free action with the largest value above -inf."""
    for k in np.flatnonzero(np.isfinite(value).any(axis=1)):
        options = np.where(judged.match[actions] < 0, value[k], -np.inf)
        best = int(np.argmax(options))
        if np.isfinite(options[best]):
            judged.match[actions[best]] = rows[k]
            judged.kind[rows[k]] = RIGHT
            judged.action[rows[k]] = actions[best]


def _assign(judged: Judgment, rows: I64, actions: I64, levels: list[tuple[int, F64]]) -> None:
    """The first type that applies, for detections that match no action."""
    open_rows = judged.kind[rows] != RIGHT
    for kind, value in levels:
        best = np.argmax(value, axis=1)
        applies = open_rows & np.isfinite(value[np.arange(len(rows)), best])
        judged.kind[rows[applies]] = kind
        judged.action[rows[applies]] = actions[best[applies]]
        open_rows &= ~applies


def _hold(judged: Judgment, rows: I64, actions: I64, holds: Flags) -> None:
    for j in np.flatnonzero(holds.any(axis=0) & (judged.within[actions] < 0)):
        judged.within[actions[j]] = rows[int(np.argmax(holds[:, j]))]

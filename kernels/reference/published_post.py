"""Post-processing of one video as released by LACP (ICCV 2021) and TSPNet (CVPR 2024), restated.

Ours differs on purpose: exact crossings for 24 times upsampling, the track as it is for one zeroed below the
threshold, plain lengths for "+1", no video gate, and the order of equals stated. Where the released code leaves
the order of equals to an unstable sort, the first in the input wins here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from .published import contrast_of_run, upgrade_resolution
from .twins import nms, segment_iou

F64 = npt.NDArray[np.float64]


def classes_of_video(video_score: ArrayLike, threshold: float) -> npt.NDArray[np.int64]:
    """The video gate of both: classes scored `threshold` or more, or the best one where there is none."""
    video_score = np.asarray(video_score)
    passed = np.flatnonzero(video_score >= threshold)
    return passed if len(passed) else np.array([int(np.argmax(video_score))])


def active_runs(track: ArrayLike, threshold: float) -> list[tuple[int, int]]:
    """LACP: runs [first, last] of samples > 0 once those below `threshold` are zeroed.

    A track whose only active sample is the first has no run: the released code asks `[0].any()`.
    """
    track = np.asarray(track)
    places = np.flatnonzero((track >= threshold) & (track > 0))
    if not places.any():
        return []
    return [(int(run[0]), int(run[-1])) for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)]


def proposals_of_video(
    score: ArrayLike,
    video_score: Sequence[float] | F64,
    classes: Sequence[int],
    *,
    threshold: float,
    snippets_per_second: float,
    agnostic: ArrayLike | None = None,
    scale: int = 24,
    gamma: float = 0.2,
) -> list[F64]:
    """LACP `get_proposal_oic`: for each class that has any, rows (class, score, start s, end s) from left to right.

    score [L, C] and agnostic [L] (1 - background) are upsampled `scale` times. With `agnostic` its runs are taken
    for every class and contrast is measured on the class scores as they are; without, on the thresholded ones.
    """
    score = np.asarray(score, np.float64)
    sample = 1 / (scale * snippets_per_second)
    found = []
    for c in classes:
        track = score[:, c]
        runs = active_runs(track if agnostic is None else agnostic, threshold)
        if agnostic is None:
            track = np.where(track < threshold, 0.0, track)
        rows = [
            (c, contrast_of_run(track, a, b) + gamma * video_score[c], a * sample, (b + 1) * sample) for a, b in runs
        ]
        if rows:
            found.append(np.array(rows, np.float64))
    return found


def lacp_detections(
    fused: ArrayLike,
    agnostic: ArrayLike,
    video_score: Sequence[float] | F64,
    *,
    class_threshold: float,
    class_levels: Iterable[float],
    agnostic_levels: Iterable[float],
    snippets_per_second: float,
    scale: int = 24,
) -> tuple[F64, F64]:
    """LACP's test post-processing of one video: (all proposals, those that NMS at .7 keeps), rows as above.

    fused [T, C] is class score x (1 - background), agnostic [T] is 1 - background. Classes come in the order in
    which a threshold first finds them.
    """
    classes = [int(c) for c in classes_of_video(video_score, class_threshold)]
    fine = upgrade_resolution(fused, scale)
    fine_agnostic = upgrade_resolution(np.asarray(agnostic).reshape(-1, 1), scale)[:, 0]
    groups: dict[int, list[F64]] = {}
    for levels, actionness in ((class_levels, None), (agnostic_levels, fine_agnostic)):
        for level in levels:
            for rows in proposals_of_video(
                fine,
                video_score,
                classes,
                threshold=float(level),
                snippets_per_second=snippets_per_second,
                agnostic=actionness,
                scale=scale,
            ):
                groups.setdefault(int(rows[0, 0]), []).append(rows)
    raw = [np.concatenate(parts) for parts in groups.values()]
    kept = [rows[nms(rows[:, 2:], rows[:, 1], iou_threshold=0.7, length_offset=1.0)] for rows in raw]
    empty = np.zeros((0, 4))
    return np.concatenate([empty, *raw]), np.concatenate([empty, *kept])


DECAYS: dict[str, Callable[[F64, float], F64]] = {
    "gaussian": lambda iou, sigma: np.exp(-(iou**2) / sigma),
    "linear": lambda iou, sigma: np.where(iou > 0.7, 1 - iou, 1.0),
    "hard": lambda iou, sigma: np.where(iou > 0.7, 0.0, 1.0),
}


def soft_nms_rows(
    segments: ArrayLike, scores: ArrayLike, sigma: float = 0.3, *, method: str = "gaussian"
) -> tuple[npt.NDArray[np.int64], F64]:
    """TSPNet `soft_nms`: "+1" lengths, all rows emitted; each pick swaps places with the first of what is left.

    segments [M, 2], scores [M] -> (indices in the order picked, decayed scores). The swap decides later ties.
    `method` is one of DECAYS.
    """
    segments = np.asarray(segments, np.float64).reshape(-1, 2)
    left, score = np.arange(len(segments)), np.array(scores, np.float64)
    picked, decayed = [], []
    while len(left):
        best = int(np.argmax(score))
        left[[0, best]], score[[0, best]] = left[[best, 0]], score[[best, 0]]
        picked.append(left[0])
        decayed.append(score[0])
        iou = segment_iou(segments[left[:1]], segments[left[1:]], length_offset=1.0)[0]
        left, score = left[1:], score[1:] * DECAYS[method](iou, sigma)
    return np.array(picked, np.int64), np.array(decayed, np.float64)


def boundary_adaption(segments: ArrayLike, scores: ArrayLike, threshold: float = 0.4) -> F64:
    """TSPNet `boundary_adaption`: segments [M, 2], scores [M] -> [M, 2]. NaN where a cluster's weights sum to 0."""
    segments, scores = np.asarray(segments, np.float64), np.asarray(scores, np.float64)
    out = segments.copy()
    locked = np.zeros(len(scores), bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        for i in np.argsort(scores)[::-1]:
            if locked[i]:
                continue
            iou = segment_iou(segments[[i]], segments)[0]
            near = iou > threshold
            weight = scores[near] * iou[near]
            out[i] = (weight[:, None] * segments[near]).sum(0) / weight.sum()
            locked |= near
    return np.asarray(out)


def fused_scores(cas: ArrayLike, attention: ArrayLike, center: ArrayLike) -> tuple[F64, F64]:
    """TSPNet at test: logits cas [C+1, M], attention and center [1, M] -> (video score [C], fused score [M, C+1])."""
    cas, gate, weight = np.asarray(cas, np.float64), _sigmoid(attention), _sigmoid(center)
    probability = np.exp(cas - cas.max(0))
    probability /= probability.sum(0)
    video_score = (probability * gate).sum(1)[:-1] / (gate.sum() + 1e-6)
    return np.asarray(video_score), np.asarray((probability * gate * weight).T)


def tspnet_detections(
    cas: ArrayLike,
    attention: ArrayLike,
    center: ArrayLike,
    proposals: ArrayLike,
    *,
    video_threshold: float,
    refine_threshold: float = 0.4,
    sigma: float = 0.3,
) -> tuple[F64, npt.NDArray[np.int64], F64]:
    """TSPNet `test_proposal`: (video score [C], classes that pass the gate, rows (start, end, class, score)).

    cas [C+1, M] (background last), attention and center [1, M] are logits, proposals [M, 2] snippets. Rows are
    grouped by class, in the order of picking.
    """
    video_score, fused = fused_scores(cas, attention, center)
    classes = classes_of_video(video_score, video_threshold)
    rows = []
    for c in classes:
        moved = boundary_adaption(proposals, fused[:, c], refine_threshold)
        order, decayed = soft_nms_rows(moved, fused[:, c], sigma)
        rows.append(np.column_stack([moved[order], np.full(len(order), float(c)), decayed]))
    return video_score, classes, np.concatenate([np.zeros((0, 4)), *rows])


def _sigmoid(value: ArrayLike) -> F64:
    return np.asarray(1 / (1 + np.exp(-np.asarray(value, np.float64))))

"""Detection-truth matching and average precision: the ActivityNet protocol, all thresholds in one pass.

Per class over all videos, detections from the highest score down: each takes the best-overlapping truth of
its video that is still free and reaches the threshold, and is a true positive; otherwise it is a false
positive. AP = area under the precision envelope at every recall step (VOC 2011, all points).

Ties: among equal scores the detection that comes first in the input goes first; among equal overlaps
the truth that comes first in the input is tried first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._jit import jit
from ._overlap import iou_of
from ._validate import F64, I64, index_of, segments_of, vector_of


@jit("void(i8[::1], f8[:, ::1], i8[::1], i8[::1], f8[:, ::1], f8[::1], u1[:, ::1])", writes=("hit",))
def _match(pred_group, pred_segments, order, truth_offsets, truth_segments, thresholds, hit):  # type: ignore[no-untyped-def]
    """hit[k, r] = 1 where the detection of rank r is a true positive at threshold k."""
    levels = len(thresholds)
    taken = np.zeros((levels, len(truth_segments)), np.bool_)
    lowest = thresholds[0]
    for k in range(1, levels):
        lowest = min(lowest, thresholds[k])
    for r in range(len(order)):
        i = order[r]
        a = truth_offsets[pred_group[i]]
        b = truth_offsets[pred_group[i] + 1]
        count = 0
        ious = np.empty(b - a)
        which = np.empty(b - a, np.int64)
        for g in range(a, b):
            iou = iou_of(pred_segments[i, 0], pred_segments[i, 1], truth_segments[g, 0], truth_segments[g, 1], 0.0)
            if iou >= lowest and iou > 0.0:
                q = count  # insertion sort, stable, highest first: a handful of overlapping truths
                while q > 0 and ious[q - 1] < iou:
                    ious[q] = ious[q - 1]
                    which[q] = which[q - 1]
                    q -= 1
                ious[q] = iou
                which[q] = g
                count += 1
        for k in range(levels):
            for q in range(count):
                if ious[q] < thresholds[k]:
                    break
                if not taken[k, which[q]]:
                    taken[k, which[q]] = True
                    hit[k, r] = 1
                    break


@jit("void(u1[:, ::1], i8[::1], i8[::1], f8[:, ::1])", writes=("out",))
def _areas(hit, class_offsets, truth_count, out):  # type: ignore[no-untyped-def]
    levels = hit.shape[0]
    for c in range(len(truth_count)):
        a, b = class_offsets[c], class_offsets[c + 1]
        for k in range(levels):
            if truth_count[c] == 0:
                out[k, c] = np.nan
                continue
            total = 0
            for r in range(a, b):
                total += hit[k, r]
            best = 0.0
            area = 0.0
            for r in range(b - 1, a - 1, -1):  # from the right, so the envelope is a running maximum
                precision = total / (r - a + 1)
                best = max(best, precision)
                if hit[k, r]:
                    area += best
                    total -= 1
            out[k, c] = area / truth_count[c]


def match_detections(
    truth_group: ArrayLike,
    truth_segments: ArrayLike,
    group: ArrayLike,
    segments: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike,
    *,
    groups: int,
) -> tuple[I64, Any]:
    """Match detections with ground truth within groups; a group is one video and one class.

    Args:
        truth_group: [G], group of each ground-truth segment.
        truth_segments: [G, 2].
        group: [N], group of each detection.
        segments: [N, 2], in the unit of `truth_segments`.
        scores: [N].
        thresholds: [K], temporal IoU.
        groups: number of groups.

    Returns:
        (order int64 [N]: the detections from the highest score down; hit uint8 [K, N] in that order: 1 for a true
        positive).

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN, or an index is out of range.
    """
    truth = segments_of(truth_segments, "truth_segments")
    owner = index_of(truth_group, "truth_group", len(truth), groups)
    seg = segments_of(segments)
    which = index_of(group, "group", len(seg), groups)
    value = vector_of(scores, "scores", len(seg))
    levels = vector_of(thresholds, "thresholds")
    by_group = np.argsort(owner, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=groups))]).astype(np.int64)
    order = np.argsort(-value, kind="stable")
    hit = np.zeros((len(levels), len(seg)), np.uint8)
    if len(seg) and len(levels):
        _match(which, seg, order, offsets, truth[by_group], levels, hit)
    return order, hit


def average_precision(
    truth_video: ArrayLike,
    truth_label: ArrayLike,
    truth_segments: ArrayLike,
    video: ArrayLike,
    label: ArrayLike,
    segments: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike,
    *,
    videos: int,
    classes: int,
) -> F64:
    """Average precision per threshold and class.

    Args:
        truth_video: [G], index of the video of each ground-truth segment.
        truth_label: [G], index of its class.
        truth_segments: [G, 2].
        video: [N], index of the video of each detection.
        label: [N], index of its class.
        segments: [N, 2], in the unit of `truth_segments`.
        scores: [N].
        thresholds: [K], temporal IoU.
        videos: number of videos.
        classes: number of classes C.

    Returns:
        float64 [K, C]: 0 for a class without detections, NaN for a class without ground truth.

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN, or an index is out of range.

    Source:
        ActivityNet protocol; area under the precision envelope at every recall step (Pascal VOC 2011).

    Example:
        >>> from punctum import kernels
        >>> kernels.average_precision(
        ...     [0], [0], [[1.0, 3.0]], [0, 0], [0, 0], [[1.0, 3.0], [6.0, 7.0]], [0.9, 0.8], [0.5], videos=1, classes=1
        ... ).tolist()
        [[1.0]]
    """
    seg = segments_of(segments)
    truth = segments_of(truth_segments, "truth_segments")
    owner = index_of(truth_label, "truth_label", len(truth), classes)
    which = index_of(label, "label", len(seg), classes)
    truth_key = owner * videos + index_of(truth_video, "truth_video", len(truth), videos)
    key = which * videos + index_of(video, "video", len(seg), videos)
    order, hit = match_detections(truth_key, truth, key, seg, scores, thresholds, groups=videos * classes)
    by_class = np.argsort(which[order], kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(which, minlength=classes))]).astype(np.int64)
    out = np.zeros((hit.shape[0], classes))
    count = np.bincount(owner, minlength=classes).astype(np.int64)
    _areas(np.ascontiguousarray(hit[:, by_class]), offsets, count, out)
    return out

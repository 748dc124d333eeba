"""Alignment-based boundary adaptation (ABA): TSPNet, CVPR 2024, and `test_proposal` of its released code."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import jit
from ._overlap import iou_of, sort_sweep, window_of
from ._validate import F64, offsets_of, positive, segments_of, vector_of


@jit
def _adapt_group(segments, scores, threshold, out):  # type: ignore[no-untyped-def]
    n = len(scores)
    order, reach = sort_sweep(segments)
    rank = np.empty(n, np.int64)
    for r in range(n):
        rank[order[r]] = r
    # The published order is a reversed ascending sort; among equals any order is the published one.
    by_score = np.argsort(-scores, kind="mergesort")
    locked = np.zeros(n, np.bool_)
    for q in range(n):
        i = by_score[q]
        if locked[i]:
            continue
        low, high = window_of(segments, order, reach, rank[i], 0.0)
        weight = 0.0
        start = 0.0
        end = 0.0
        for r in range(low, high):
            j = order[r]
            iou = iou_of(segments[i, 0], segments[i, 1], segments[j, 0], segments[j, 1], 0.0)
            if iou > threshold:
                w = iou * scores[j]
                weight += w
                # Offsets from segment i: exact on streams that have run for days.
                start += w * (segments[j, 0] - segments[i, 0])
                end += w * (segments[j, 1] - segments[i, 1])
                locked[j] = True
        if weight > 0.0:
            start = segments[i, 0] + start / weight
            end = segments[i, 1] + end / weight
            if start <= end:  # negative scores, which some locators give, can turn a segment inside out
                out[i, 0] = start
                out[i, 1] = end


@jit
def _adapt_groups(segments, scores, offsets, threshold):  # type: ignore[no-untyped-def]
    out = segments.copy()
    for g in range(len(offsets) - 1):
        a, b = offsets[g], offsets[g + 1]
        _adapt_group(segments[a:b], scores[a:b], threshold, out[a:b])
    return out


def adapt_groups(segments: Any, scores: Any, group_offsets: Any, *, iou_threshold: float = 0.4) -> F64:
    """`adapt_boundaries` within each group [offsets[g], offsets[g+1]), in one call. Returns [N, 2]."""
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = offsets_of(group_offsets, len(seg))
    return _adapt_groups(seg, value, offsets, positive(iou_threshold, "iou_threshold"))  # type: ignore[no-any-return]


def adapt_boundaries(segments: Any, scores: Any, *, iou_threshold: float = 0.4) -> F64:
    """Move the best proposal of each cluster to the weighted mean of its neighbours.

    segments [N, 2], scores [N] >= 0. Visits proposals from the best score down; one that is not locked moves
    to the mean of all original segments with IoU > `iou_threshold`, weighted by IoU x score, and locks them.
    Locked ones keep their original segment. Returns float64 [N, 2] in the order of the input.

    Two cases where the published code yields NaN keep their segment here: a proposal without length (its IoU
    with itself is 0/0) and a neighbourhood whose scores are all 0.
    """
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    return adapt_groups(seg, value, np.array([0, len(seg)], np.int64), iou_threshold=iou_threshold)

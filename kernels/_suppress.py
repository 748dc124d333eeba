"""Non-maximum suppression, hard and Gaussian, for one group or for many groups in one call.

Soft-NMS: Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV 2017, equation 2
(Gaussian), with lengths in one dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit import jit
from ._overlap import iou_of, sort_sweep, window_of
from ._validate import F64, I64, offsets_of, positive, segments_of, vector_of


@jit
def _sift_down(heap, key, index, node, size):  # type: ignore[no-untyped-def]
    """Restore the order below `node`: highest key first, among equals the lowest index."""
    item = heap[node]
    value = key[item]
    while True:
        child = 2 * node + 1
        if child >= size:
            break
        c = heap[child]
        if child + 1 < size:
            r = heap[child + 1]
            if key[r] > key[c] or (key[r] == key[c] and index[r] < index[c]):
                child += 1
                c = r
        if key[c] > value or (key[c] == value and index[c] < index[item]):
            heap[node] = c
            node = child
        else:
            break
    heap[node] = item


@jit
def _decay(start, end, score, alive, reach, best, sigma, extra):  # type: ignore[no-untyped-def]
    """Lower the scores of all living segments that overlap `best`; arrays are sorted by start."""
    s, e = start[best], end[best]
    r = best - 1
    while r >= 0 and reach[r] + extra > s:
        if alive[r]:
            iou = iou_of(s, e, start[r], end[r], extra)
            if iou > 0.0:
                score[r] *= np.exp(-(iou * iou) / sigma)
        r -= 1
    r = best + 1
    while r < len(start) and start[r] - extra < e:
        if alive[r]:
            iou = iou_of(s, e, start[r], end[r], extra)
            if iou > 0.0:
                score[r] *= np.exp(-(iou * iou) / sigma)
        r += 1


@jit
def _soft_group(segments, scores, sigma, floor, extra, out_index, out_score):  # type: ignore[no-untyped-def]
    """Returns how many were picked.

    Scores only fall, so the heap may lag behind: its top is looked at again when it has been lowered since, and
    most decays never touch the heap. Scores of 0 or less do not fall under decay; what is left of those is picked
    by plain search.
    """
    n = len(scores)
    order, reach = sort_sweep(segments)
    start, end, score = np.empty(n), np.empty(n), np.empty(n)
    for r in range(n):
        start[r], end[r], score[r] = segments[order[r], 0], segments[order[r], 1], scores[order[r]]
    key = score.copy()
    heap = np.arange(n)
    for node in range(n // 2 - 1, -1, -1):
        _sift_down(heap, key, order, node, n)
    alive = np.ones(n, np.bool_)
    size = n
    count = 0
    while size > 0:
        best = heap[0]
        if key[best] <= 0.0:
            break
        if score[best] < key[best]:
            key[best] = score[best]
            _sift_down(heap, key, order, 0, size)
            continue
        if key[best] < floor:
            break
        alive[best] = False
        out_index[count], out_score[count] = order[best], key[best]
        count += 1
        size -= 1
        heap[0] = heap[size]
        if size > 0:
            _sift_down(heap, key, order, 0, size)
        _decay(start, end, score, alive, reach, best, sigma, extra)
    if size > 0 and floor <= 0.0 and key[heap[0]] <= 0.0:
        for _ in range(size):
            best = -1
            for r in range(n):
                if alive[r] and (
                    best < 0 or score[r] > score[best] or (score[r] == score[best] and order[r] < order[best])
                ):
                    best = r
            if score[best] < floor:
                break
            alive[best] = False
            out_index[count], out_score[count] = order[best], score[best]
            count += 1
            if score[best] < 0.0:
                _decay(start, end, score, alive, reach, best, sigma, extra)
    return count


@jit
def _soft_groups(segments, scores, offsets, sigma, floor, extra):  # type: ignore[no-untyped-def]
    n = len(scores)
    out_index = np.empty(n, np.int64)
    out_score = np.empty(n)
    out_offsets = np.zeros(len(offsets), np.int64)
    total = 0
    for g in range(len(offsets) - 1):
        a, b = offsets[g], offsets[g + 1]
        count = _soft_group(
            segments[a:b],
            scores[a:b],
            sigma,
            floor,
            extra,
            out_index[total : total + b - a],
            out_score[total:],
        )
        for i in range(total, total + count):
            out_index[i] += a
        total += count
        out_offsets[g + 1] = total
    return out_index[:total], out_score[:total], out_offsets


@jit
def _hard(segments, scores, threshold, extra):  # type: ignore[no-untyped-def]
    n = len(scores)
    order, reach = sort_sweep(segments)
    rank = np.empty(n, np.int64)
    for r in range(n):
        rank[order[r]] = r
    by_score = np.argsort(-scores, kind="mergesort")
    dropped = np.zeros(n, np.bool_)
    kept = np.empty(n, np.int64)
    count = 0
    for q in range(n):
        i = by_score[q]
        if dropped[i]:
            continue
        kept[count] = i
        count += 1
        low, high = window_of(segments, order, reach, rank[i], extra)
        for r in range(low, high):
            j = order[r]
            if iou_of(segments[i, 0], segments[i, 1], segments[j, 0], segments[j, 1], extra) >= threshold:
                dropped[j] = True
    return kept[:count]


def nms(segments: Any, scores: Any, *, iou_threshold: float, length_offset: float = 0.0) -> I64:
    """Greedy suppression: take the best, drop what overlaps it by `iou_threshold` or more.

    segments [N, 2], scores [N]. Returns int64 indices of the survivors, best first; among equal scores the
    earlier one in the input wins.
    """
    seg = segments_of(segments)
    threshold = positive(iou_threshold, "iou_threshold", zero=False)
    return _hard(seg, vector_of(scores, "scores", len(seg)), threshold, float(length_offset))  # type: ignore[no-any-return]


def soft_nms(
    segments: Any, scores: Any, *, sigma: float = 0.3, min_score: float = 0.0, length_offset: float = 0.0
) -> tuple[I64, F64]:
    """Gaussian soft-NMS: each pick multiplies its neighbours' scores by exp(-iou^2 / sigma).

    segments [N, 2], scores [N] >= 0. Returns (indices in the order picked, their decayed scores, never
    increasing). It stops at the first score below `min_score`. Ties: the earlier one in the input wins.
    """
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = np.array([0, len(seg)], np.int64)
    sigma = positive(sigma, "sigma", zero=False)
    index, decayed, _ = _soft_groups(seg, value, offsets, sigma, float(min_score), float(length_offset))
    return index, decayed


def suppress_groups(
    segments: Any,
    scores: Any,
    group_offsets: Any,
    *,
    sigma: float = 0.3,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> tuple[I64, F64, I64]:
    """`soft_nms` within each group [offsets[g], offsets[g+1]) in one call: (video, class, island) groups.

    Returns (indices into the input, decayed scores, offsets of the groups in the output).
    """
    seg = segments_of(segments)
    value = vector_of(scores, "scores", len(seg))
    offsets = offsets_of(group_offsets, len(seg))
    sigma = positive(sigma, "sigma", zero=False)
    return _soft_groups(seg, value, offsets, sigma, float(min_score), float(length_offset))  # type: ignore[no-any-return]

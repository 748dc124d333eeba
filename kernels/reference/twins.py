"""The twins: same names, arguments and results as the kernels, written for reading."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Levels = Sequence[float] | F64
Labels = Sequence[int] | I64 | None  # None: a track of one class


def segment_iou(a: ArrayLike, b: ArrayLike, *, length_offset: float = 0.0) -> F64:
    """[N, 2], [M, 2] -> [N, M]."""
    a, b = np.asarray(a, np.float64).reshape(-1, 2), np.asarray(b, np.float64).reshape(-1, 2)
    inter = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0]) + length_offset
    inter = np.maximum(inter, 0.0)
    union = (a[:, 1] - a[:, 0] + length_offset)[:, None] + (b[:, 1] - b[:, 0] + length_offset)[None] - inter
    return np.where(union > 0, inter / np.where(union > 0, union, 1.0), 0.0)


def nms(segments: ArrayLike, scores: ArrayLike, *, iou_threshold: float, length_offset: float = 0.0) -> I64:
    """Greedy suppression, best first; ties to the earlier."""
    segments, scores = np.asarray(segments, np.float64).reshape(-1, 2), np.asarray(scores, np.float64)
    order = list(np.argsort(-scores, kind="stable"))
    kept = []
    while order:
        best = order.pop(0)
        kept.append(best)
        if order:
            iou = segment_iou(segments[[best]], segments[order], length_offset=length_offset)[0]
            order = [i for i, overlap in zip(order, iou, strict=True) if overlap < iou_threshold]
    return np.array(kept, np.int64)


def soft_nms(
    segments: ArrayLike, scores: ArrayLike, *, sigma: float = 0.3, min_score: float = 0.0, length_offset: float = 0.0
) -> tuple[I64, F64]:
    """Gaussian decay; ties to the earlier."""
    segments = np.asarray(segments, np.float64).reshape(-1, 2)
    current = np.array(scores, np.float64)
    alive = np.ones(len(current), bool)
    picked, decayed = [], []
    while alive.any():
        best = int(np.argmax(np.where(alive, current, -np.inf)))
        if current[best] < min_score:
            break
        alive[best] = False
        picked.append(best)
        decayed.append(current[best])
        iou = segment_iou(segments[[best]], segments, length_offset=length_offset)[0]
        current = np.where(alive, current * np.exp(-(iou**2) / sigma), current)
    return np.array(picked, np.int64), np.array(decayed, np.float64)


def adapt_boundaries(segments: ArrayLike, scores: ArrayLike, *, iou_threshold: float = 0.4) -> F64:
    """ABA over all pairs."""
    segments, scores = np.asarray(segments, np.float64).reshape(-1, 2), np.asarray(scores, np.float64)
    out = segments.copy()
    locked = np.zeros(len(scores), bool)
    for i in np.argsort(-scores, kind="stable"):
        if locked[i]:
            continue
        iou = segment_iou(segments[[i]], segments)[0]
        near = iou > iou_threshold
        weight = iou[near] * scores[near]
        if weight.sum() > 0:
            moved = (weight[:, None] * segments[near]).sum(0) / weight.sum()
            if moved[0] <= moved[1]:
                out[i] = moved
        locked |= near
    return np.asarray(out, np.float64)


def settle_classes(
    segments: ArrayLike,
    scores: ArrayLike,
    *,
    adapt_iou: float | None = 0.4,
    sigma: float = 0.3,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> tuple[F64, F64, I64, I64]:
    """ABA and soft-NMS, one class at a time."""
    segments, scores = np.asarray(segments, np.float64).reshape(-1, 2), np.asarray(scores, np.float64)
    placed, values, indices = [np.zeros((0, 2))], [np.zeros(0)], [np.zeros(0, np.int64)]
    for own in scores.T:
        moved = segments if adapt_iou is None else adapt_boundaries(segments, own, iou_threshold=adapt_iou)
        index, decayed = soft_nms(moved, own, sigma=sigma, min_score=min_score, length_offset=length_offset)
        placed.append(moved[index])
        values.append(decayed)
        indices.append(index)
    ends = np.cumsum([len(part) for part in indices])
    return np.concatenate(placed), np.concatenate(values), np.concatenate(indices), ends.astype(np.int64)


def find_runs(track: ArrayLike, thresholds: Levels) -> tuple[F64, I64]:
    """Runs above each threshold on the linear interpolant."""
    track = np.asarray(track, np.float64)
    segments, which = [], []
    for k, level in enumerate(thresholds):
        padded = np.concatenate([[False], track > level, [False]])
        edges = np.flatnonzero(np.diff(padded.astype(int)))
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            start, end = -0.5, len(track) - 0.5
            if first > 0:
                start = first - 1 + (level - track[first - 1]) / (track[first] - track[first - 1])
            if stop < len(track):
                end = stop - 1 + (track[stop - 1] - level) / (track[stop - 1] - track[stop])
            segments.append((start, end))
            which.append(k)
    return np.array(segments, np.float64).reshape(-1, 2), np.array(which, np.int64)


def _integral(values: F64, low: float, high: float) -> F64:
    """Integral of the interpolant of values [T, ...] over [low, high], piece by piece."""
    length = len(values)
    low, high = (min(max(x, -0.5), length - 0.5) for x in (low, high))
    knots = np.array([x for x in np.concatenate([[-0.5], np.arange(length), [length - 0.5]]) if low < x < high])
    knots = np.concatenate([[low], knots, [high]])
    total = np.zeros(values.shape[1:])
    for a, b in pairwise(knots):
        if b > a:
            total = total + (b - a) * _value(values, (a + b) / 2)  # exact: linear between knots
    return total


def _value(values: F64, x: float) -> F64:
    x = min(max(x, 0.0), len(values) - 1.0)
    t = min(int(x), len(values) - 2) if len(values) > 1 else 0
    after = min(t + 1, len(values) - 1)
    return np.asarray(values[t] + (x - t) * (values[after] - values[t]))


def segment_mean(track: ArrayLike, segments: ArrayLike, *, labels: Labels = None) -> F64:
    """Mean of the interpolant inside each segment."""
    track = np.asarray(track, np.float64)
    out = []
    for i, (start, end) in enumerate(np.asarray(segments, np.float64).reshape(-1, 2)):
        column = track if labels is None else track[:, labels[i]]
        start, end = (min(max(x, -0.5), len(track) - 0.5) for x in (start, end))
        out.append(_integral(column, start, end) / (end - start) if end > start else _value(column, start))
    return np.array(out, np.float64)


def outer_inner_contrast(
    track: ArrayLike, segments: ArrayLike, *, margin: float = 0.25, max_margin: float = np.inf, labels: Labels = None
) -> F64:
    """Mean inside minus mean in the margins."""
    track = np.asarray(track, np.float64)
    edge = len(track) - 0.5
    inner = segment_mean(track, segments, labels=labels)
    out = []
    for i, (start, end) in enumerate(np.asarray(segments, np.float64).reshape(-1, 2)):
        column = track if labels is None else track[:, labels[i]]
        wide = min(margin * (end - start), max_margin)
        parts = [(max(start - wide, -0.5), min(start, edge)), (max(end, -0.5), min(end + wide, edge))]
        room = sum(max(b - a, 0.0) for a, b in parts)
        outside = sum(float(_integral(column, a, b)) for a, b in parts if b > a)
        out.append(inner[i] - (outside / room if room > 0 else 0.0))
    return np.array(out, np.float64)


def pool_segments(
    features: ArrayLike, segments: ArrayLike, *, bins: int = 12, context: float = 0.25, max_context: float = np.inf
) -> npt.NDArray[np.float32]:
    """Mean of the interpolant in each bin; outside the features it is zero."""
    features = np.asarray(features, np.float64)
    side = bins // 6
    out = []
    for start, end in np.asarray(segments, np.float64).reshape(-1, 2):
        wide = min(context * (end - start), max_context)
        edges = np.concatenate(
            [
                np.linspace(start - wide, start, side + 1)[:-1],
                np.linspace(start, end, 4 * side + 1)[:-1],
                np.linspace(end, end + wide, side + 1),
            ]
        )
        out.append([_integral(features, a, b) / (b - a) if b > a else 0 * features[0] for a, b in pairwise(edges)])
    return np.array(out, np.float32).reshape(-1, bins, features.shape[1])


def pool_windows(
    rows: ArrayLike,
    ends: Sequence[int],
    segments: ArrayLike,
    offsets: Sequence[int],
    *,
    bins: int = 12,
    context: float = 0.25,
    max_context: float = np.inf,
) -> npt.NDArray[np.float32]:
    """`pool_segments`, window by window."""
    rows, segments = np.asarray(rows), np.asarray(segments).reshape(-1, 2)
    parts = [
        pool_segments(rows[a:b], segments[c:d], bins=bins, context=context, max_context=max_context)
        for (a, b), (c, d) in zip(pairwise(ends), pairwise(offsets), strict=True)
        if d > c
    ]
    return np.concatenate([np.zeros((0, bins, rows.shape[1]), np.float32), *parts])


def fuse_confidence(class_probability: ArrayLike, attention: ArrayLike, center: ArrayLike) -> F64:
    """Product."""
    attended = (np.ravel(attention) * np.ravel(center))[:, None]
    return np.asarray(np.asarray(class_probability, np.float64) * attended)


def average_precision(
    truth_video: ArrayLike,
    truth_label: ArrayLike,
    truth_segments: ArrayLike,
    video: ArrayLike,
    label: ArrayLike,
    segments: ArrayLike,
    scores: ArrayLike,
    thresholds: Levels,
    *,
    videos: int,
    classes: int,
) -> F64:
    """The ActivityNet protocol, one threshold, class and detection at a time."""
    truth_video, truth_label = np.asarray(truth_video), np.asarray(truth_label)
    truth_segments = np.asarray(truth_segments, np.float64).reshape(-1, 2)
    video, label, scores = np.asarray(video), np.asarray(label), np.asarray(scores, np.float64)
    segments = np.asarray(segments, np.float64).reshape(-1, 2)
    out = np.full((len(thresholds), classes), np.nan)
    for c in range(classes):
        wanted = np.flatnonzero(truth_label == c)
        if not len(wanted):
            continue
        mine = np.flatnonzero(label == c)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        for k, level in enumerate(thresholds):
            taken = np.zeros(len(truth_label), bool)
            hit = np.zeros(len(mine), bool)
            for r, i in enumerate(mine):
                rivals = wanted[truth_video[wanted] == video[i]]
                if not len(rivals):
                    continue
                iou = segment_iou(segments[[i]], truth_segments[rivals])[0]
                for q in np.argsort(-iou, kind="stable"):
                    if iou[q] < level or iou[q] <= 0:
                        break
                    if not taken[rivals[q]]:
                        taken[rivals[q]] = hit[r] = True
                        break
            precision = np.cumsum(hit) / np.arange(1, len(mine) + 1)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            out[k, c] = envelope[hit].sum() / len(wanted)
    return out

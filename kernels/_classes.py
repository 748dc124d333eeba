"""From proposals that all classes share, with a score for each class, to the segments of each class.

What depends on the segments alone is found once: which proposals are neighbors, and the factor by which one lowers the
score of another. A class then only multiplies. Boundary adaptation moves about a fifth of the proposals, to a different
place for each class; the factors of those are computed again for that class. The factors are stored for the proposals
that can overlap wherever they move: a moved segment stays within the hull of its neighbors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._adapt import adapted
from ._jit import jit
from ._order import argsort_of, argsort_stable, bits_of, float_of
from ._overlap import iou_of
from ._soft import DEAD, NOBODY, soft_groups, write_factors
from ._validate import F64, I64, KernelInputError, matrix_of, positive, segments_of

BLOCK = 16  # entries, of which the best score is kept
NOWHERE = 1e300
MOST_PAIRS = 1 << 24
"""Pairs of which factors are kept (8 bytes each, twice). Where there are more, each class is processed on its own."""


@jit("UniTuple(i8[::1], 4)(f8[::1], f8[::1], f8, f8)")
def _neighbors(start, end, threshold, extra):  # type: ignore[no-untyped-def]
    """For segments sorted by start, four arrays of N or N + 1 rows.

    first, stop: the proposals that one can overlap after adaptation. ends: rows of its neighbors by IoU in a list of
    all. cluster: first proposal of each cluster, which no chain of such windows connects with another one; then N.
    """
    n, room = len(start), max(extra, 0.0)
    first, stop, ends = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(n + 1, np.int64)
    near, far, reach, top = start.copy(), end.copy(), np.empty(n), -np.inf
    for r in range(n):
        top = max(top, end[r])
        reach[r] = top
    adapts = threshold < np.inf
    for p in range(n):
        s, e = start[p], end[p]
        count = 0
        if adapts and e > s:
            low, high = p, p + 1
            while low > 0 and reach[low - 1] > s:
                low -= 1
            while high < n and start[high] < e:
                high += 1
            for r in range(low, high):
                if iou_of(s, e, start[r], end[r], 0.0) > threshold:
                    near[p], far[p] = min(near[p], start[r]), max(far[p], end[r])
                    count += 1
            slack = 1e-9 * (far[p] - near[p])  # above the rounding of a weighted mean
            near[p], far[p] = near[p] - slack, far[p] + slack
        ends[p + 1] = ends[p] + count
    top = -np.inf
    for r in range(n):
        top = max(top, far[r])
        reach[r] = top
    lowest, bottom = np.empty(n), np.inf
    for r in range(n - 1, -1, -1):
        bottom = min(bottom, near[r])
        lowest[r] = bottom
    cluster, clusters = np.empty(n + 1, np.int64), 0
    for p in range(n):
        low, high = p, p + 1
        while low > 0 and reach[low - 1] - near[p] + room > 0.0:
            low -= 1
        while high < n and far[p] - lowest[high] + room > 0.0:
            high += 1
        first[p], stop[p] = low, high
        if p == 0 or reach[p - 1] - lowest[p] + room <= 0.0:
            cluster[clusters] = p
            clusters += 1
    cluster[clusters] = n
    return first, stop, ends, cluster[: clusters + 1]


@jit
def _list_neighbors(start, end, first, stop, ends, threshold, neighbor, iou):  # type: ignore[no-untyped-def]
    for p in range(len(start)):
        at = ends[p]
        if ends[p + 1] > at:
            for r in range(first[p], stop[p]):
                overlap = iou_of(start[p], end[p], start[r], end[r], 0.0)
                if overlap > threshold:
                    neighbor[at], iou[at] = r, overlap
                    at += 1


@jit
def _place(first, stop, a, b, low, row):  # type: ignore[no-untyped-def]
    """Widen the windows of the cluster from a to b to whole blocks.

    low: first entry of each proposal's window, counted in the cluster; factors row[p] to row[p + 1] belong to it.
    Returns the entries of the cluster, in whole blocks too.
    """
    row[a], at = 0, 0
    for p in range(a, b):
        low[p] = (first[p] - a) // BLOCK * BLOCK
        at += (stop[p] - a + BLOCK - 1) // BLOCK * BLOCK - low[p]
        row[p + 1] = at
    return (b - a + BLOCK - 1) // BLOCK * BLOCK


@jit
def _move(start, end, score, order, ends, neighbor, iou, floor, locked, moved_start, moved_end):  # type: ignore[no-untyped-def]
    """Boundary adaptation of one class. What is below the floor is not picked, and need not move."""
    for r in range(len(start)):
        locked[r], moved_start[r], moved_end[r] = False, start[r], end[r]
    for q in range(len(order)):
        p = order[q]
        if score[p] < floor:
            break
        if locked[p]:
            continue
        s, e = start[p], end[p]
        weight, near, far = 0.0, 0.0, 0.0
        for k in range(ends[p], ends[p + 1]):
            r = neighbor[k]
            w = iou[k] * score[r]
            weight += w
            near += w * (start[r] - s)
            far += w * (end[r] - e)
            locked[r] = True
        if weight > 0.0:
            near, far = s + near / weight, e + far / weight
            if near <= far:
                moved_start[p], moved_end[p] = near, far


@jit
def _refresh(was, now, low, row, extra, scale, factors):  # type: ignore[no-untyped-def]
    """Compute the factors of a cluster anew where one of a pair has moved. A pair has one factor from both sides."""
    start, end = now
    for p in range(len(low)):
        if start[p] != was[0][p] or end[p] != was[1][p]:
            at, a = row[p], low[p]
            width = row[p + 1] - at
            own = factors[at : at + width]
            write_factors(start[a : a + width], end[a : a + width], start[p], end[p], extra, scale, own)
            for r in range(a, min(a + width, len(low))):
                if 0 <= p - low[r] < row[r + 1] - row[r]:
                    factors[row[r] + p - low[r]] = own[r - a]


@jit
def _best(score):  # type: ignore[no-untyped-def]
    """Bits of the best score; negative if none is left."""
    peak = np.int64(-1)
    for r in range(len(score)):
        peak = max(peak, bits_of(score[r]))
    return peak


@jit
def _decay_block(score, factors):  # type: ignore[no-untyped-def]
    """Multiply the scores of one block; returns the bits of the best."""
    peak = np.int64(-1)
    for r in range(len(score)):
        value = score[r] * factors[r]
        score[r] = value
        peak = max(peak, bits_of(value))
    return peak


@jit
def _first_in_block(score, code, peak):  # type: ignore[no-untyped-def]
    best = NOBODY
    for r in range(len(score)):
        best = min(best, code[r] if bits_of(score[r]) == peak else NOBODY)
    return best


@jit
def _pick(score, code, low, row, factors, floor, peaks, final):  # type: ignore[no-untyped-def]
    """Soft-NMS of one cluster: `final` gets the score of every pick at its index. Windows are of whole blocks."""
    count = len(peaks)
    for y in range(count):
        peaks[y] = _best(score[y * BLOCK : y * BLOCK + BLOCK])
    for _ in range(len(low)):
        peak = np.int64(-1)
        for y in range(count):
            peak = max(peak, peaks[y])
        if peak < 0 or float_of(peak) < floor:
            break
        best = NOBODY
        for y in range(count):
            if peaks[y] == peak:
                c = y * BLOCK
                best = min(best, _first_in_block(score[c : c + BLOCK], code[c : c + BLOCK], peak))
        p = best & 0xFFFFFFFF
        final[best >> 32] = float_of(peak)
        score[p] = DEAD
        c = low[p]
        for at in range(row[p], row[p + 1], BLOCK):
            peaks[c // BLOCK] = _decay_block(score[c : c + BLOCK], factors[at : at + BLOCK])
            c += BLOCK


@jit(
    "Tuple((f8[:, ::1], f8[::1], i8[::1], i8[::1]))(f8[::1], f8[::1], i8[::1], f8[:, ::1], UniTuple(i8[::1], 4), "
    "f8, f8, f8, f8)"
)
def _settle(start, end, by_start, scores, found, threshold, sigma, floor, extra):  # type: ignore[no-untyped-def]
    """What `settle_classes` returns. start, end: sorted by start. by_start: their indices. scores: [C, M] by index.
    found: see `_neighbors`."""
    first, stop, ends, _ = found
    classes, n = scores.shape
    neighbor, iou = np.empty(ends[n], np.int64), np.empty(ends[n])
    _list_neighbors(start, end, first, stop, ends, threshold, neighbor, iou)
    rank, order, locked = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_)
    for p in range(n):
        rank[by_start[p]] = p
    score, moved_start, moved_end = np.empty((classes, n)), np.empty((classes, n)), np.empty((classes, n))
    for c in range(classes):
        for p in range(n):
            score[c, p] = scores[c, by_start[p]] + 0.0
        if ends[n] > 0:
            by_score = argsort_of(scores[c], True)
            for q in range(n):
                order[q] = rank[by_score[q]]
            own = (moved_start[c], moved_end[c])
            _move(start, end, score[c], order, ends, neighbor, iou, floor, locked, own[0], own[1])
        else:
            moved_start[c, :], moved_end[c, :] = start, end
    final = np.full((classes, n), DEAD)
    _settle_clusters(start, end, by_start, (score, moved_start, moved_end), found, -1.0 / sigma, floor, extra, final)
    segments, values = np.empty((classes * n, 2)), np.empty(classes * n)
    index, offsets = np.empty(classes * n, np.int64), np.empty(classes + 1, np.int64)
    offsets[0], at = 0, 0
    for c in range(classes):
        # Within a cluster picks fall by (score, then index), so sorting by that is the order of picking over all.
        by_score = argsort_of(final[c], True)
        for q in range(n):
            i = by_score[q]
            if final[c, i] < 0.0:
                break
            segments[at, 0], segments[at, 1] = moved_start[c, rank[i]], moved_end[c, rank[i]]
            values[at], index[at] = final[c, i], i
            at += 1
        offsets[c + 1] = at
    return segments[:at].copy(), values[:at].copy(), index[:at].copy(), offsets


@jit
def _settle_clusters(start, end, by_start, by_class, found, scale, floor, extra, final):  # type: ignore[no-untyped-def]
    """Soft-NMS of every class, one cluster after the other, so that the factors of a cluster stay in the cache."""
    first, stop, _, cluster = found
    score, moved_start, moved_end = by_class
    n = len(start)
    low, row, room, pairs = np.empty(n, np.int64), np.empty(n + 1, np.int64), 0, 0
    for g in range(len(cluster) - 1):
        size = _place(first, stop, cluster[g], cluster[g + 1], low, row)
        room, pairs = max(room, size), max(pairs, row[cluster[g + 1]])
    factors, own, peaks = np.empty(pairs), np.empty(pairs), np.empty(room // BLOCK, np.int64)
    wide_start, wide_end = np.empty(room), np.empty(room)
    wide_score, code = np.empty(room), np.empty(room, np.int64)
    for g in range(len(cluster) - 1):
        a, b = cluster[g], cluster[g + 1]
        k = b - a
        size = _place(first, stop, a, b, low, row)
        here, rows = low[a:b], row[a : b + 1]
        # Entries beyond the cluster are at a place where nothing overlaps them.
        wide_start[:k], wide_start[k:size], wide_end[:k], wide_end[k:size] = start[a:b], NOWHERE, end[a:b], NOWHERE
        code[k:size] = NOBODY
        for p in range(k):
            code[p] = by_start[a + p] << 32 | p
            c, d = here[p], here[p] + rows[p + 1] - rows[p]
            kept = factors[rows[p] : rows[p + 1]]
            write_factors(wide_start[c:d], wide_end[c:d], wide_start[p], wide_end[p], extra, scale, kept)
        used = rows[k]
        for c in range(len(score)):
            if float_of(_best(score[c, a:b])) < floor:
                continue
            wide_score[:k], wide_score[k:size] = score[c, a:b], DEAD
            wide_start[:k], wide_end[:k] = moved_start[c, a:b], moved_end[c, a:b]
            own[:used] = factors[:used]
            now = (wide_start[:size], wide_end[:size])
            _refresh((start[a:b], end[a:b]), now, here, rows, extra, scale, own)
            _pick(wide_score[:size], code[:size], here, rows, own, floor, peaks[: size // BLOCK], final[c])


def settle_classes(
    segments: ArrayLike,
    scores: ArrayLike,
    *,
    adapt_iou: float | None = 0.4,
    sigma: float = 0.3,
    min_score: float = 0.0,
    length_offset: float = 0.0,
) -> tuple[F64, F64, I64, I64]:
    """`adapt_boundaries` and then `soft_nms` for each class, of proposals that the classes share.

    The results are those of the two functions, class by class; neighbors and overlaps are found once for all classes.

    Args:
        segments: [M, 2], start and end in any one unit.
        scores: [M, C], each >= 0.
        adapt_iou: see `adapt_boundaries`; None: segments stay where they are.
        sigma: see `soft_nms`.
        min_score: see `soft_nms`. Above 0 it saves time, since classes whose scores are below it cost almost nothing.
        length_offset: see `soft_nms`.

    Returns:
        (float64 [K, 2], segments of all classes, class by class, best first; float64 [K], their decayed scores; int64
        [K], the proposal each comes from; int64 [C + 1], offsets of the classes in these).

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Example:
        >>> from punctum import kernels
        >>> segments, scores = [[0.0, 4.0], [1.0, 5.0], [9.0, 11.0]], [[0.9, 0.1], [0.6, 0.0], [0.5, 0.7]]
        >>> moved, decayed, index, offsets = kernels.settle_classes(segments, scores, min_score=0.05)
        >>> index.tolist(), offsets.tolist(), moved[0].round(2).tolist()
        ([0, 2, 1, 2, 0], [0, 3, 5], [0.29, 4.29])
    """
    seg = segments_of(segments)
    value = _scores_of(scores, len(seg))
    sigma = positive(sigma, "sigma", zero=False)
    threshold = np.inf if adapt_iou is None else positive(adapt_iou, "adapt_iou")
    floor, extra = float(min_score), float(length_offset)
    n, classes = value.shape
    flat = np.ascontiguousarray(value.T)
    if n == 0 or classes == 0:
        none = np.zeros(0, np.int64)
        return np.zeros((0, 2)), np.zeros(0), none, np.zeros(classes + 1, np.int64)
    by_start = argsort_stable(np.ascontiguousarray(seg[:, 0]), False)
    start, end = np.ascontiguousarray(seg[by_start, 0]), np.ascontiguousarray(seg[by_start, 1])
    found = _neighbors(start, end, threshold, extra)
    if flat.min() < 0.0 or _most_pairs(found) > MOST_PAIRS:
        return _each(seg, flat, None if adapt_iou is None else threshold, sigma, floor, extra)
    settled: tuple[F64, F64, I64, I64] = _settle(
        start, end, by_start, flat, found, threshold, sigma, max(floor, 0.0), extra
    )
    return settled


def _most_pairs(found: tuple[I64, I64, I64, I64]) -> int:
    """Pairs in the largest cluster, or neighbors by IoU of all where these are more."""
    first, stop, ends, cluster = found
    return max(int(np.add.reduceat(stop - first, cluster[:-1]).max()), int(ends[-1]))


def _scores_of(scores: ArrayLike, length: int) -> F64:
    """Convert to float64 [length, C]."""
    array: F64 = matrix_of(scores, "scores")
    if len(array) != length or np.ndim(scores) != 2:
        raise KernelInputError(
            f"scores has shape {np.shape(scores)}", f"[{length}, C], one row per segment", "check scores"
        )
    return array


def _each(
    segments: F64, scores: F64, adapt_iou: float | None, sigma: float, floor: float, extra: float
) -> tuple[F64, F64, I64, I64]:
    """The same by the kernels of single classes: with negative scores, and where too many proposals overlap."""
    parts = []
    offsets = np.array([0, len(segments)], np.int64)
    for value in scores:
        moved = segments if adapt_iou is None else adapted(segments, value, offsets, adapt_iou)
        index, decayed, _ = soft_groups(moved, value, offsets, sigma, floor, extra)
        parts.append((moved[index], decayed, index))
    ends = np.cumsum([0, *(len(part[1]) for part in parts)]).astype(np.int64)
    return (*(np.concatenate(column) for column in zip(*parts, strict=True)), ends)  # type: ignore[return-value]

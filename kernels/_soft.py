"""Gaussian soft-NMS, compiled and exact.

* Segments that no chain of overlaps connects do not influence each other. Each connected cluster is processed
  separately, in arrays that stay in the cache, and one sort at the end orders the picks of all clusters.
* Within a cluster, segments are stored in blocks sorted by start, each with its highest score. A pick visits only the
  blocks that it overlaps and then compares the maxima of the blocks.
* The loop over a block has no branch that depends on data, so overlap, decay and maximum run in vector registers.
  Scores are >= 0, so their bit patterns have the same order, and compilers vectorize the maximum of integers.
"""

from __future__ import annotations

import itertools

import numpy as np

from ._jit import jit
from ._order import bits_of, float_of, order_in_groups
from ._overlap import iou_of
from ._validate import F64, I64

BLOCK = 64
LANES = 8  # blocks are processed in multiples of a vector; what is beyond their end is dead
NOBODY = np.iinfo(np.int64).max
DEAD = -1.0

# exp(x) = 2^k exp(r): adding this constant rounds x / ln 2 to the integer k and leaves k in the low bits.
ROUND = 6755399441055744.0
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@jit
def _factor(start, end, s, e, length, extra, scale):  # type: ignore[no-untyped-def]
    """exp(scale * iou^2) of two segments; `length` is that of [s, e].

    The series of exp is exact to a rounding for |r| <= ln 2 / 2, and gives exactly 1 where nothing overlaps. The same
    for a pair from both sides.
    """
    inter = max(min(e, end) - max(s, start) + extra, 0.0)
    union = length + (end - start + extra) - inter
    iou = inter / (union if union > 0.0 else 1.0)
    x = max(scale * iou * iou, -708.0)
    shifted = x * 1.4426950408889634 + ROUND
    k = shifted - ROUND
    y = x - k * LN2_HIGH - k * LN2_LOW
    p = y * (1.0 / 479001600.0) + 1.0 / 39916800.0
    p = p * y + 1.0 / 3628800.0
    p = p * y + 1.0 / 362880.0
    p = p * y + 1.0 / 40320.0
    p = p * y + 1.0 / 5040.0
    p = p * y + 1.0 / 720.0
    p = p * y + 1.0 / 120.0
    p = p * y + 1.0 / 24.0
    p = p * y + 1.0 / 6.0
    p = p * y + 0.5
    p = p * y + 1.0
    p = p * y + 1.0
    power = float_of((bits_of(shifted) + 1023) << 52)
    return p * power if x > -708.0 else 0.0


@jit
def _decay(start, end, score, s, e, extra, scale):  # type: ignore[no-untyped-def]
    """Multiply every score by its factor with the segment [s, e]; returns the bits of the best score."""
    length = e - s + extra
    peak = np.int64(-1)
    for r in range(len(score)):
        value = score[r] * _factor(start[r], end[r], s, e, length, extra, scale)
        score[r] = value
        peak = max(peak, bits_of(value))
    return peak


@jit
def write_factors(start, end, s, e, extra, scale, factors):  # type: ignore[no-untyped-def]
    """The factor of every segment with the segment [s, e]."""
    length = e - s + extra
    for r in range(len(factors)):
        factors[r] = _factor(start[r], end[r], s, e, length, extra, scale)


@jit
def _first_of(score, code, peak):  # type: ignore[no-untyped-def]
    """The lowest code among the scores whose bits are `peak`."""
    best = NOBODY
    for r in range(len(score)):
        best = min(best, code[r] if bits_of(score[r]) == peak else NOBODY)
    return best


@jit
def _first_block(peaks, codes):  # type: ignore[no-untyped-def]
    """(best peak of all blocks, lowest code that has it)."""
    peak = np.int64(-1)
    for y in range(len(peaks)):
        peak = max(peak, peaks[y])
    best = NOBODY
    for y in range(len(peaks)):
        best = min(best, codes[y] if peaks[y] == peak else NOBODY)
    return peak, best


@jit
def _pick_cluster(members, work, blocks, floor, extra, scale, final):  # type: ignore[no-untyped-def]
    """Work off one cluster, sorted by start: `final` gets the decayed score of every pick at its index."""
    in_start, in_end, in_score, in_index = members
    start, end, score, code = work
    low, high, reach, peaks, codes, sizes = blocks
    k = len(in_start)
    size = block_size(k)
    count = (k + size - 1) // size
    top = -np.inf
    for y in range(count):
        a, b = y * size, min(y * size + size, k)
        low[y], high[y], sizes[y] = in_start[a], in_end[a], b - a
        peaks[y] = -1
        for r in range(a, b):
            start[r], end[r], score[r] = in_start[r], in_end[r], in_score[r]
            code[r] = in_index[r] << 32 | r  # orders by index, and says where the entry lies
            high[y] = max(high[y], end[r])
            peaks[y] = max(peaks[y], bits_of(score[r]))
        for r in range(b, a + (b - a + LANES - 1) // LANES * LANES):
            start[r], end[r], score[r], code[r] = 0.0, 0.0, DEAD, NOBODY
        top = max(top, high[y])
        reach[y] = top
        codes[y] = _first_of(score[a:b], code[a:b], peaks[y])
    for _ in range(k):
        peak, best = _first_block(peaks[:count], codes[:count])
        if peak < 0 or float_of(peak) < floor:
            break
        p = best & 0xFFFFFFFF
        home = p // size
        s, e = start[p], end[p]
        final[best >> 32] = float_of(peak)
        sizes[home] -= 1
        z = home * size + sizes[home]
        start[p], end[p], score[p], code[p] = start[z], end[z], score[z], code[z] >> 32 << 32 | p
        score[z], code[z] = DEAD, NOBODY
        first, last = home, home
        while first > 0 and reach[first - 1] - s + extra > 0.0:
            first -= 1
        while last + 1 < count and e - low[last + 1] + extra > 0.0:
            last += 1
        for y in range(first, last + 1):
            if y == home or high[y] - s + extra > 0.0:
                a = y * size
                b = a + (sizes[y] + LANES - 1) // LANES * LANES
                peaks[y] = _decay(start[a:b], end[a:b], score[a:b], s, e, extra, scale)
                codes[y] = _first_of(score[a:b], code[a:b], peaks[y])


@jit
def block_size(k):  # type: ignore[no-untyped-def]
    """Entries of a block in a cluster of k: grows as the square root, so that neither level gets long."""
    return max(BLOCK, (int(np.sqrt(k)) + LANES) // LANES * LANES)


@jit("f8[::1](f8[:, ::1], f8[::1], i8[::1], i8[::1], f8, f8, f8)")
def _decayed(segments, scores, offsets, by_start, sigma, floor, extra):  # type: ignore[no-untyped-def]
    """The score at which each segment is picked within its group; DEAD if it is not. Scores below `floor` >= 0 never
    count. by_start: the rows of each group by their starts."""
    n = len(scores)
    start, end, score, index = np.empty(n), np.empty(n), np.empty(n), np.empty(n, np.int64)
    final = np.empty(n)
    room = n + block_size(n) + LANES
    work = (np.empty(room), np.empty(room), np.empty(room), np.empty(room, np.int64))
    most = n // BLOCK + 1
    blocks = (
        np.empty(most),
        np.empty(most),
        np.empty(most),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
    )
    for i in range(n):
        final[i] = DEAD
    for g in range(len(offsets) - 1):
        count = 0
        for r in range(offsets[g], offsets[g + 1]):
            i = by_start[r]
            if scores[i] >= floor:  # scores only fall: what starts below never counts
                start[count], end[count] = segments[i, 0], segments[i, 1]
                score[count], index[count] = scores[i] + 0.0, i
                count += 1
        a = 0
        while a < count:
            b = a + 1
            reach = end[a]
            while b < count and reach - start[b] + extra > 0.0:
                reach = max(reach, end[b])
                b += 1
            if b == a + 1:
                final[index[a]] = score[a]
            else:
                members = (start[a:b], end[a:b], score[a:b], index[a:b])
                _pick_cluster(members, work, blocks, floor, extra, -1.0 / sigma, final)
            a = b
    return final


@jit("f8[::1](f8[:, ::1], f8[::1], f8, f8, f8, i8[::1])", writes=("picked",))
def _plain(segments, scores, sigma, floor, extra, picked):  # type: ignore[no-untyped-def]
    """Soft-NMS of one group by its definition, for negative scores, which decay lets rise towards 0. Quadratic.

    Returns the decayed scores in the order of picking; `picked` gets their indices.
    """
    n = len(scores)
    score, decayed = scores.copy(), np.empty(n)
    alive = np.ones(n, np.bool_)
    for count in range(n):
        best = -1
        for i in range(n):
            if alive[i] and (best < 0 or score[i] > score[best]):
                best = i
        if score[best] < floor:
            return decayed[:count]
        alive[best] = False
        picked[count], decayed[count] = best, score[best]
        for i in range(n):
            if alive[i]:
                iou = iou_of(segments[best, 0], segments[best, 1], segments[i, 0], segments[i, 1], extra)
                score[i] *= np.exp(-(iou * iou) / sigma)
    return decayed


def soft_groups(
    segments: F64, scores: F64, offsets: I64, sigma: float, floor: float, extra: float
) -> tuple[I64, F64, I64]:
    """Soft-NMS within each group: (index [K], decayed score [K], offsets of the groups in the output)."""
    if floor < 0.0 and len(scores) and scores.min() < 0.0:
        return _one_by_one(segments, scores, offsets, sigma, floor, extra)
    by_start = order_in_groups(np.ascontiguousarray(segments[:, 0]), offsets)
    final = _decayed(segments, scores, offsets, by_start, sigma, max(floor, 0.0), extra)
    picked = np.flatnonzero(final >= 0.0)
    ends = np.searchsorted(picked, offsets).astype(np.int64)
    # Within a cluster picks fall by (score, then index), so sorting by that is the order of picking over all.
    index = picked[order_in_groups(final[picked], ends, descending=True)]
    return index, final[index], ends


def _one_by_one(
    segments: F64, scores: F64, offsets: I64, sigma: float, floor: float, extra: float
) -> tuple[I64, F64, I64]:
    """Groups with negative scores by the definition, the others as usual."""
    indices, values, ends = [np.zeros(0, np.int64)], [np.zeros(0)], [0]
    for a, b in itertools.pairwise(offsets.tolist()):
        own, value = np.ascontiguousarray(segments[a:b]), np.ascontiguousarray(scores[a:b])
        if len(value) and value.min() < 0.0:
            index = np.empty(b - a, np.int64)
            decayed = _plain(own, value, sigma, floor, extra, index)
            index = index[: len(decayed)]
        else:
            index, decayed, _ = soft_groups(own, value, np.array([0, b - a]), sigma, 0.0, extra)
        indices.append(index + a)
        values.append(decayed)
        ends.append(ends[-1] + len(index))
    return np.concatenate(indices), np.concatenate(values), np.array(ends, np.int64)

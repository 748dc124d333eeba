"""The kernels: one block for each group, its threads share the members, shared memory holds them where it can.

Groups are [offsets[g], offsets[g + 1]). Nothing is sorted: each round of ABA and of soft-NMS is one pass over the
members, which applies the pick and finds the next, and one reduction over the threads. All blocks have a power of two
of threads, at most THREADS. No thread leaves a loop that holds a barrier before the others: what decides it is read
from shared memory, the same for all.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import cuda

from ._arith import decayed, iou_of, raised, times
from ._jit import device, kernel

F64 = npt.NDArray[np.float64]
Reals = npt.NDArray[np.float32] | F64
I64 = npt.NDArray[np.int64]
I8 = npt.NDArray[np.int8]

THREADS = 256
CAPACITY = 512
"""Members of a group that fit into shared memory (16 KiB a block); larger groups work in global memory."""
NONE = -1


@device
def best_of(value: F64, index: I64, t: int, threads: int) -> None:
    """Leaves in [0] the highest value and, among equals, the lowest index >= 0. Barriers: all threads call it."""
    cuda.syncthreads()
    half = threads // 2
    while half > 0:
        if t < half:
            other = index[t + half]
            if other >= 0:
                mine = index[t]
                a, b = value[t + half], value[t]
                if mine < 0 or a > b or (a == b and other < mine):
                    value[t], index[t] = a, other
        cuda.syncthreads()
        half //= 2


@device
def sum_of(part: F64, t: int, threads: int) -> None:
    """Leaves in [0, :] the sums over the threads. Barriers: all threads call it."""
    cuda.syncthreads()
    half = threads // 2
    while half > 0:
        if t < half:
            for k in range(3):
                part[k, t] += part[k, t + half]
        cuda.syncthreads()
        half //= 2


@device
def load(
    segments: Reals,
    scores: Reals,
    a: int,
    n: int,
    start: F64,
    end: F64,
    score: F64,
    base: int,
    t: int,
    threads: int,
) -> None:
    for j in range(t, n, threads):
        start[base + j] = np.float64(segments[a + j, 0])
        end[base + j] = np.float64(segments[a + j, 1])
        score[base + j] = np.float64(scores[a + j]) + 0.0  # + 0.0 makes 0.0 of -0.0


@device
def adapt_one(
    start: F64,
    end: F64,
    score: F64,
    locked: I8,
    base: int,
    n: int,
    threshold: float,
    out: F64,
    a: int,
    value: F64,
    index: I64,
    part: F64,
) -> None:
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    best, where = 0.0, NONE
    for j in range(t, n, threads):
        # A segment without length moves nothing and is moved by nothing.
        locked[base + j] = 0 if end[base + j] > start[base + j] else 1
        if locked[base + j] == 0 and (where < 0 or score[base + j] > best):
            best, where = score[base + j], j
        out[a + j, 0], out[a + j, 1] = start[base + j], end[base + j]
    value[t], index[t] = best, where
    best_of(value, index, t, threads)
    for _ in range(n):
        p = index[0]
        if p < 0:
            break
        s, e = start[base + p], end[base + p]
        weight, near, far = 0.0, 0.0, 0.0
        best, where = 0.0, NONE
        for j in range(t, n, threads):
            iou = iou_of(s, e, start[base + j], end[base + j], 0.0)
            if iou > threshold:
                w = times(iou, score[base + j])
                weight += w
                near += times(w, start[base + j] - s)
                far += times(w, end[base + j] - e)
                locked[base + j] = 1
            if j == p:
                locked[base + j] = 1
            if locked[base + j] == 0 and (where < 0 or score[base + j] > best):
                best, where = score[base + j], j
        part[0, t], part[1, t], part[2, t] = weight, near, far
        sum_of(part, t, threads)
        if t == 0 and part[0, 0] > 0.0:
            near, far = s + part[1, 0] / part[0, 0], e + part[2, 0] / part[0, 0]
            if near <= far:
                out[a + p, 0], out[a + p, 1] = near, far
        value[t], index[t] = best, where  # all have read index[0] before the barriers of the sum
        best_of(value, index, t, threads)


@kernel
def adapt(segments: Reals, scores: Reals, offsets: I64, threshold: float, work: F64, flags: I8, out: F64) -> None:
    """ABA of every group. work [3, N or 1] and flags [N or 1] serve groups above CAPACITY. out [N, 2]."""
    start = cuda.shared.array(CAPACITY, np.float64)
    end = cuda.shared.array(CAPACITY, np.float64)
    score = cuda.shared.array(CAPACITY, np.float64)
    locked = cuda.shared.array(CAPACITY, np.int8)
    value = cuda.shared.array(THREADS, np.float64)
    index = cuda.shared.array(THREADS, np.int64)
    part = cuda.shared.array((3, THREADS), np.float64)
    g, t, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    a = offsets[g]
    n = offsets[g + 1] - a
    if n <= CAPACITY:
        load(segments, scores, a, n, start, end, score, 0, t, threads)
        cuda.syncthreads()
        adapt_one(start, end, score, locked, 0, n, threshold, out, a, value, index, part)
    else:
        load(segments, scores, a, n, work[0], work[1], work[2], a, t, threads)
        cuda.syncthreads()
        adapt_one(work[0], work[1], work[2], flags, a, n, threshold, out, a, value, index, part)


@device
def pick_one(
    start: F64,
    end: F64,
    score: F64,
    base: int,
    n: int,
    scale: float,
    floor: float,
    extra: float,
    a: int,
    picked: I64,
    final: F64,
    value: F64,
    index: I64,
) -> int:
    """Returns how many were picked. A score of NaN marks who is out."""
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    best, where = 0.0, NONE
    for j in range(t, n, threads):
        if floor >= 0.0 and score[base + j] < floor:  # scores only fall: what starts below never counts
            score[base + j] = math.nan
        elif where < 0 or score[base + j] > best:
            best, where = score[base + j], j
    value[t], index[t] = best, where
    best_of(value, index, t, threads)
    count = 0
    for _ in range(n):
        p, top = index[0], value[0]
        cuda.syncthreads()  # before anyone overwrites what the others have yet to read
        if p < 0 or top < floor:
            break
        if t == 0:
            picked[a + count], final[a + count] = a + p, top
        count += 1
        s, e = start[base + p], end[base + p]
        best, where = 0.0, NONE
        for j in range(t, n, threads):
            if j == p:
                score[base + j] = math.nan
            elif not math.isnan(score[base + j]):
                v = decayed(score[base + j], start[base + j], end[base + j], s, e, extra, scale)
                score[base + j] = v
                if where < 0 or v > best:
                    best, where = v, j
        value[t], index[t] = best, where
        best_of(value, index, t, threads)
    return count


@kernel
def pick(
    segments: Reals,
    scores: Reals,
    offsets: I64,
    scale: float,
    floor: float,
    extra: float,
    work: F64,
    picked: I64,
    final: F64,
    counts: I64,
) -> None:
    """Soft-NMS of every group: from offsets[g] on, `picked` and `final` [N] get the picks, counts [G] how many."""
    start = cuda.shared.array(CAPACITY, np.float64)
    end = cuda.shared.array(CAPACITY, np.float64)
    score = cuda.shared.array(CAPACITY, np.float64)
    value = cuda.shared.array(THREADS, np.float64)
    index = cuda.shared.array(THREADS, np.int64)
    g, t, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    a = offsets[g]
    n = offsets[g + 1] - a
    if n <= CAPACITY:
        load(segments, scores, a, n, start, end, score, 0, t, threads)
        cuda.syncthreads()
        count = pick_one(start, end, score, 0, n, scale, floor, extra, a, picked, final, value, index)
    else:
        load(segments, scores, a, n, work[0], work[1], work[2], a, t, threads)
        cuda.syncthreads()
        count = pick_one(work[0], work[1], work[2], a, n, scale, floor, extra, a, picked, final, value, index)
    if t == 0:
        counts[g] = count


@kernel
def gather(picked: I64, final: F64, offsets: I64, ends: I64, out_index: I64, out_score: F64) -> None:
    """Moves the picks of each group together: from offsets[g] on to ends[g] on."""
    g = cuda.blockIdx.x
    a, b = offsets[g], ends[g]
    for j in range(cuda.threadIdx.x, ends[g + 1] - b, cuda.blockDim.x):
        out_index[b + j], out_score[b + j] = picked[a + j], final[a + j]


@kernel
def weigh(probability: Reals, attention: Reals, center: Reals, out: F64) -> None:
    """out [M, C] = probability x attention x center, the published fusion."""
    i = cuda.grid(1)
    columns = probability.shape[1]
    if i < probability.shape[0] * columns:
        m = i // columns
        weight = np.float64(attention[m]) * np.float64(center[m])
        out[m, i % columns] = np.float64(probability[m, i % columns]) * weight


@kernel
def fuse(
    contrast: Reals,
    base: Reals,
    labels: I64,
    probability: Reals,
    attention: Reals,
    center: Reals,
    weights: F64,
    out: F64,
) -> None:
    """out [M]: product of the terms to the power of weights [5]; terms of weight 0 are not read."""
    m = cuda.grid(1)
    if m < out.shape[0]:
        score = 1.0
        if weights[0] > 0.0:
            score *= raised(np.float64(contrast[m]), weights[0])
        if weights[1] > 0.0:
            score *= raised(np.float64(base[m]), weights[1])
        if weights[2] > 0.0:
            score *= raised(np.float64(probability[m, labels[m]]), weights[2])
        if weights[3] > 0.0:
            score *= raised(np.float64(attention[m]), weights[3])
        if weights[4] > 0.0:
            score *= raised(np.float64(center[m]), weights[4])
        out[m] = score

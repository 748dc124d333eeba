"""Seeds and the optimal action/background sequence of LACP (Lee and Byun, ICCV 2021, sections 3.3 and 3.4).

The published search keeps the best 25 of the growing sequences (a beam). But the score of a sequence is a mean of
one contrast per segment, and a segment's contrast depends on its own two borders alone: dynamic programming over
the borders finds the true optimum, in time quadratic in the gaps between seeds instead of in Python objects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._jit import jit
from ._validate import F64, KernelInputError, matrix_of, vector_of

ZERO = np.int64(0)  # a plain 0 as an argument would be a type of its own, and compile the helper once more


@jit
def _peak(track, column, first, end):  # type: ignore[no-untyped-def]
    """The first snippet of [first, end) with the highest value in a column."""
    best = first
    for t in range(first + 1, end):
        if track[t, column] > track[best, column]:
            best = t
    return best


@jit
def _fill(out, first, end, value):  # type: ignore[no-untyped-def]
    for t in range(first, end):
        out[t] = value


@jit
def _extend(track, points, clicks, t, threshold, action, background):  # type: ignore[no-untyped-def]
    """The click at t, and the action seeds on both sides of it."""
    length, classes = points.shape
    for c in range(classes):
        action[t, c] = points[t, c]
    for step in (-1, 1):
        s = t + step
        while 0 <= s < length and track[s, classes] <= threshold and background[s] == 0 and clicks[s] == 0:
            for c in range(classes):
                action[s, c] = points[t, c]
            s += step


@jit(
    "void(f8[:, ::1], f8[:, ::1], f8, f8, f8[:, ::1], f8[::1])",
    writes=("action", "background"),
)
def _seeds(track, points, action_threshold, background_threshold, action, background):  # type: ignore[no-untyped-def]
    length, classes = points.shape
    clicks, places, count = np.zeros(length), np.empty(length, np.int64), 0
    for t in range(length):
        for c in range(classes):
            clicks[t] += points[t, c]
        if clicks[t] > 0:
            places[count] = t
            count += 1
    if count == 0:
        return
    first, last = places[0], places[count - 1]
    if first > 0:  # everything up to the last confident background snippet, or up to the most confident one
        stop = -1
        for t in range(first):
            if track[t, classes] >= background_threshold:
                stop = t
        if stop < 0:
            stop = _peak(track, classes, ZERO, first)
        _fill(background, ZERO, stop + 1, 1.0)
    if last < length - 1:
        start = -1
        for t in range(length - 1, last, -1):
            if track[t, classes] >= background_threshold:
                start = t
        if start < 0:
            start = _peak(track, classes, last + 1, length)
        _fill(background, start, length, 1.0)
    for k in range(count - 1):
        a, b = places[k] + 1, places[k + 1]
        if b <= a:
            continue
        low, high, found = -1, -1, 0
        for t in range(a, b):
            if track[t, classes] >= background_threshold:
                if low < 0:
                    low = t
                high = t
                found += 1
        if found < 2:
            low = high = _peak(track, classes, a, b)
        _fill(background, low, high + 1, 1.0)
    for k in range(count):
        _extend(track, points, clicks, places[k], action_threshold, action, background)


@jit
def _contrast(total, start, end):  # type: ignore[no-untyped-def]
    """LACP's contrast of samples start..end (inclusive) with margins of a quarter, truncated to whole samples."""
    length = len(total) - 1
    quarter = 0.25 * (end - start + 1)
    low = max(0, int(start - quarter))
    high = min(length - 1, int(end + quarter))
    inner = (total[end + 1] - total[start]) / (end - start + 1)
    room = (start - low) + (high - end)
    if room == 0:
        return inner
    return inner - (total[start] - total[low] + total[high + 1] - total[end + 1]) / room


@jit
def _best_sequence(track, kind, first_seed, last_seed, runs, out, column):  # type: ignore[no-untyped-def]
    """Borders that maximize the summed contrast; runs i = 0..n-1 alternate and own [first_seed, last_seed]."""
    length = len(track)
    total, inverse = np.zeros(length + 1), np.zeros(length + 1)
    for t in range(length):
        total[t + 1] = total[t] + track[t, column]
        inverse[t + 1] = (t + 1) - total[t + 1]
    score = np.empty((runs, length))
    parent = np.zeros((runs, length), np.int64)
    for i in range(runs):
        _fill(score[i], ZERO, length, -np.inf)
        high = length - 1 if i == runs - 1 else first_seed[i + 1] - 1
        low = length - 1 if i == runs - 1 else last_seed[i]
        sums = total if kind[i] == 1 else inverse
        for end in range(low, high + 1):
            if i == 0:
                score[i, end] = _contrast(sums, ZERO, end)
                continue
            best = -np.inf
            for before in range(last_seed[i - 1], first_seed[i]):
                value = score[i - 1, before] + _contrast(sums, before + 1, end)
                if value >= best:
                    best = value
                    parent[i, end] = before
            score[i, end] = best
    end = length - 1
    for i in range(runs - 1, -1, -1):
        start = 0 if i == 0 else parent[i, end] + 1
        for t in range(start, end + 1):
            out[t, column] = kind[i]
        end = start - 1
    return score[runs - 1, length - 1] / runs


@jit
def _runs_of(own, other, kind, first_seed, last_seed):  # type: ignore[no-untyped-def]
    """Alternating runs from seeds: contiguous action seeds, and the span of background seeds between them."""
    length = len(own)
    count = 0
    t = 0
    gap = -1  # first background seed since the last action run
    gap_end = -1
    seen = False
    while t < length:
        if own[t]:
            if gap < 0 and seen:  # two action runs without a seed in between are separated in the middle
                gap = gap_end = (last_seed[count - 1] + t) // 2
            if gap >= 0:
                kind[count], first_seed[count], last_seed[count] = 0, gap, gap_end
                count += 1
            start = t
            while t + 1 < length and own[t + 1]:
                t += 1
            kind[count], first_seed[count], last_seed[count] = 1, start, t
            count += 1
            gap = gap_end = -1
            seen = True
        elif other[t]:
            if gap < 0:
                gap = t
            gap_end = t
        t += 1
    if gap >= 0:
        kind[count], first_seed[count], last_seed[count] = 0, gap, gap_end
        count += 1
    return count


@jit("f8(f8[:, ::1], f8[:, ::1], f8[::1], f8[:, ::1])", writes=("out",))
def _search(track, action, background, out):  # type: ignore[no-untyped-def]
    length, classes = action.shape
    score, count = 0.0, 0
    own, other = np.empty(length, np.bool_), np.empty(length, np.bool_)
    kind = np.zeros(2 * length + 1, np.int64)
    first_seed = np.zeros(2 * length + 1, np.int64)
    last_seed = np.zeros(2 * length + 1, np.int64)
    for c in range(classes):
        clicked = False
        for t in range(length):
            own[t] = action[t, c] > 0
            clicked = clicked or own[t]
            other[t] = background[t] > 0
            for k in range(classes):
                if k != c and action[t, k] > 0:
                    other[t] = True
        if clicked:
            runs = _runs_of(own, other, kind, first_seed, last_seed)
            score += _best_sequence(track, kind, first_seed, last_seed, runs, out, c)
            count += 1
    return score / max(count, 1)


def _check(track: ArrayLike, seeds: ArrayLike, name: str) -> tuple[F64, F64]:
    values, marks = matrix_of(track, "track"), matrix_of(seeds, name)
    if marks.shape != (values.shape[0], values.shape[1] - 1):
        raise KernelInputError(
            f"{name} has shape {marks.shape}", f"{(values.shape[0], values.shape[1] - 1)}", "give one column a class"
        )
    return values, marks


def select_seeds(
    track: ArrayLike, points: ArrayLike, *, action_threshold: float = 0.1, background_threshold: float = 0.95
) -> tuple[F64, F64]:
    """Snippets that are certainly action or background, given the clicks.

    Args:
        track: [T, C + 1] in 0..1; the last column is background.
        points: [T, C], 1 at a click of a class, otherwise 0.
        action_threshold: seeds extend from a click while the class track stays above it.
        background_threshold: background seeds have a background score above it.

    Returns:
        (action seeds float64 [T, C], background seeds float64 [T]), of 0 and 1. A recording without clicks has neither.

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Source:
        LACP (Lee and Byun, ICCV 2021), section 3.3.
    """
    values, marks = _check(track, points, "points")
    action, background = np.zeros_like(marks), np.zeros(len(marks))
    _seeds(values, marks, float(action_threshold), float(background_threshold), action, background)
    return action, background


def search_sequence(
    track: ArrayLike, action: ArrayLike, background: ArrayLike, *, budget: int = 25
) -> tuple[F64, float]:
    """The sequence of action and background with the highest mean contrast, for each clicked class.

    Args:
        track: [T, C + 1] in 0..1; the last column is background.
        action: [T, C], action seeds.
        background: [T], background seeds.
        budget: the published beam width. The search is exact, so the value has no influence; it is accepted for
            comparisons with the published code.

    Returns:
        (float64 [T, C] of 0 and 1, mean score of the classes).

    Raises:
        KernelInputError: an array has the wrong shape or contains NaN.

    Source:
        LACP (Lee and Byun, ICCV 2021), section 3.4; dynamic programming in place of the published beam search.
    """
    values, marks = _check(track, action, "action")
    out = np.zeros_like(marks)
    others = vector_of(background, "background")
    if len(others) != len(values):
        raise KernelInputError(
            f"background has {len(others)} entries", f"{len(values)}, one per snippet", "check background"
        )
    score = _search(values, marks, others, out)
    return out, float(score)

"""Sorting floats by their bits, without a branch on data.

A comparison sort mispredicts about every second comparison of new data, which is most of its time. A radix sort
has no such branches; it is stable, so equal values keep the order of the input, which is the tie rule of
suppression.
"""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._validate import F64, I64

SMALL = 32  # below this, counting digits costs more than moving entries one by one
MIDDLE = 512


@jit
def bits_of(value):  # type: ignore[no-untyped-def]
    """The bits of a float64 as int64: among values >= 0 they are ordered as the values are."""
    return np.float64(value).view(np.int64)


@jit
def float_of(bits):  # type: ignore[no-untyped-def]
    """Inverse of `bits_of`."""
    return np.int64(bits).view(np.float64)


@jit
def _pass(key, order, to_key, to_order, low, shift, place):  # type: ignore[no-untyped-def]
    """One stable counting pass by the bits of key - low from `shift` on, as many as `place` has entries for."""
    mask = np.uint64(len(place) - 1)
    for d in range(len(place)):
        place[d] = 0
    for i in range(len(key)):
        place[((key[i] - low) >> shift) & mask] += 1
    total = 0
    for d in range(len(place)):
        count = place[d]
        place[d] = total
        total += count
    for i in range(len(key)):
        d = ((key[i] - low) >> shift) & mask
        to_key[place[d]], to_order[place[d]] = key[i], order[i]
        place[d] += 1


@jit
def _sort_bits(key, order, low, shift, bits, digit):  # type: ignore[no-untyped-def]
    """Sort by `bits` bits of key - low from `shift` on, `digit` at a time. Returns the arrays that hold the result."""
    place = np.empty(1 << digit, np.int64)
    to_key, to_order = np.empty(len(key), np.uint64), np.empty(len(key), np.int64)
    for k in range(0, bits, digit):
        _pass(key, order, to_key, to_order, low, shift + np.uint64(k), place)
        key, to_key = to_key, key
        order, to_order = to_order, order
    return key, order


@jit
def argsort_of(values, descending):  # type: ignore[no-untyped-def]
    """`argsort_stable` for use within kernels."""
    n = len(values)
    key = np.empty(n, np.uint64)
    order = np.empty(n, np.int64)
    sign = np.uint64(1) << np.uint64(63)
    low, high = ~np.uint64(0), np.uint64(0)
    for i in range(n):
        bits = np.uint64(bits_of(values[i] + 0.0))  # + 0.0 turns -0.0 into 0.0
        bits = ~bits if bits & sign else bits | sign
        bits = ~bits if descending else bits
        key[i], order[i] = bits, i
        low, high = min(low, bits), max(high, bits)
    digit = 8 if n < MIDDLE else 11
    if n > SMALL:
        shift = np.uint64(0)
        while (high - low) >> shift >= np.uint64(1) << np.uint64(3 * digit):
            shift += np.uint64(1)
        key, order = _sort_bits(key, order, low, shift, 3 * digit, digit)
    # Values that differ only in the omitted bits are a few places off; if there are many, all bits are sorted.
    budget = 16 * n + SMALL * SMALL
    for i in range(1, n):
        bits, item = key[i], order[i]
        j = i
        while j > 0 and key[j - 1] > bits:
            key[j], order[j] = key[j - 1], order[j - 1]
            j -= 1
        key[j], order[j] = bits, item
        budget -= i - j
        if budget < 0:
            return _sort_bits(key, order, low, np.uint64(0), np.int64(64), digit)[1]
    return order


@jit("i8[::1](f8[::1], b1)")
def argsort_stable(values, descending):  # type: ignore[no-untyped-def]
    """Order of finite float64 `values`; among equals the earlier one first, in both directions."""
    return argsort_of(values, descending)


@jit("i8[::1](i8[::1], i8[::1])")
def _by_group(order, offsets):  # type: ignore[no-untyped-def]
    """The indices of each group, in the order in which they come in `order`."""
    n = len(order)
    group, out = np.empty(n, np.int64), np.empty(n, np.int64)
    place = np.empty(len(offsets), np.int64)
    for g in range(len(offsets) - 1):
        place[g] = offsets[g]
        for i in range(offsets[g], offsets[g + 1]):
            group[i] = g
    for r in range(n):
        g = group[order[r]]
        out[place[g]] = order[r]
        place[g] += 1
    return out


def order_in_groups(values: F64, offsets: I64, *, descending: bool = False) -> I64:
    """`argsort_stable` within each of many groups: index [N], rows offsets[g] to offsets[g + 1] are of group g."""
    order: I64 = argsort_stable(values, descending)
    if len(offsets) > 2:
        order = _by_group(order, offsets)
    return order

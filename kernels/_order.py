"""Sorting floats by their bits, without a branch on data.

A comparison sort mispredicts about every second comparison of new data, which is most of its time. A radix sort
has nothing to mispredict; it is stable, so equal values keep the order of the input, which is the tie rule of
suppression.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from ._jit import jit

SMALL = 32  # below this, counting digits costs more than moving entries one by one
MIDDLE = 512


if getattr(numba.config, "DISABLE_JIT", False):  # plain Python, for debugging and coverage

    def bits_of(value: Any) -> Any:
        """The bits of a float64 as int64: among values >= 0 they are ordered as the values are."""
        return np.float64(value).view(np.int64)

    def float_of(bits: Any) -> Any:
        """Inverse of `bits_of`."""
        return np.int64(bits).view(np.float64)

else:

    def _cast(target: Any) -> Any:
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return generate

    @intrinsic
    def bits_of(typing_context, value):  # type: ignore[no-untyped-def]
        """The bits of a float64 as int64: among values >= 0 they are ordered as the values are."""
        return types.int64(types.float64), _cast(types.int64)

    @intrinsic
    def float_of(typing_context, bits):  # type: ignore[no-untyped-def]
        """Inverse of `bits_of`."""
        return types.float64(types.int64), _cast(types.float64)


@jit
def _sort_leading(key, order, low, high, digit):  # type: ignore[no-untyped-def]
    """Three counting passes over the leading 3 x `digit` bits of key - low; the rest is left to `argsort_stable`."""
    n = len(key)
    shift = np.uint64(0)
    while (high - low) >> shift >= np.uint64(1) << np.uint64(3 * digit):
        shift += np.uint64(1)
    mask = (np.uint64(1) << np.uint64(digit)) - np.uint64(1)
    one, two = np.uint64(digit), np.uint64(2 * digit)
    counts = np.zeros((3, 1 << digit), np.int64)
    for i in range(n):
        bits = (key[i] - low) >> shift
        counts[0, bits & mask] += 1
        counts[1, (bits >> one) & mask] += 1
        counts[2, bits >> two] += 1
    other_key, other_order = np.empty(n, np.uint64), np.empty(n, np.int64)
    for k in range(3):
        place = counts[k]
        total = 0
        for d in range(len(place)):
            count = place[d]
            place[d] = total
            total += count
        skip = shift + np.uint64(k * digit)
        for i in range(n):
            d = ((key[i] - low) >> skip) & mask
            other_key[place[d]] = key[i]
            other_order[place[d]] = order[i]
            place[d] += 1
        key, other_key = other_key, key
        order, other_order = other_order, order
    return key, order


@jit
def argsort_stable(values, descending):  # type: ignore[no-untyped-def]
    """Order of finite float64 `values`; among equals the earlier one first, in both directions."""
    n = len(values)
    key = (values + 0.0).view(np.uint64)  # a copy, in which -0.0 is 0.0
    order = np.arange(n)
    sign = np.uint64(1) << np.uint64(63)
    low, high = ~np.uint64(0), np.uint64(0)
    for i in range(n):
        bits = ~key[i] if key[i] & sign else key[i] | sign
        bits = ~bits if descending else bits
        key[i] = bits
        low, high = min(low, bits), max(high, bits)
    if n > SMALL:
        key, order = _sort_leading(key, order, low, high, 8 if n < MIDDLE else 11)
    # What differs only in its last bits is a few places off; a crowd of such values is a case for a full sort.
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
            return order[np.argsort(key, kind="mergesort")]
    return order

"""The kernels' own sort and exp against what Numba offers: what each saves, on the data of a rescoring head.

    python benchmarks/own_kernels.py [--json FILE] [--rounds 15]

  sort   `argsort_stable` (a radix sort of the bits) against np.argsort(kind="mergesort") inside Numba, which is stable
         too, and NumPy's own np.argsort(kind="stable")
  exp    the decay of soft-NMS with the kernels' series, which compilers vectorize, against math.exp inside Numba

CPU time, in turns, best of the rounds. Results of the sorts are equal; those of exp differ by a rounding at most, and
math.exp is the one of the C library, whose last bit differs between machines: the two forms of the kernels, and two
machines, would then not give the same bits.
"""

from __future__ import annotations

import argparse
import math

import numba
import numpy as np
from punctum import kernels
from punctum.kernels import _soft
from punctum.kernels._order import argsort_stable
from result_file import Row, add_json, save

from kernels import best, video

OPTIONS = {"nogil": True, "error_model": "numpy"}


@numba.njit(**OPTIONS)
def merge_sorted(values):  # type: ignore[no-untyped-def]
    return np.argsort(-values, kind="mergesort")


@numba.njit(**OPTIONS)
def decay_with_math(start, end, score, s, e, extra, scale):  # type: ignore[no-untyped-def]
    """`_soft._decay` with math.exp."""
    length, peak = e - s + extra, -1.0
    for r in range(len(score)):
        inter = max(min(e, end[r]) - max(s, start[r]) + extra, 0.0)
        union = length + (end[r] - start[r] + extra) - inter
        iou = inter / (union if union > 0.0 else 1.0)
        score[r] *= math.exp(scale * iou * iou)
        peak = max(peak, score[r])
    return peak


@numba.njit(**OPTIONS)
def decay_all(decay, start, end, score, extra, scale):  # type: ignore[no-untyped-def]
    for i in range(len(start)):
        a, b = max(i - 32, 0), min(i + 32, len(start))
        decay(start[a:b], end[a:b], score[a:b], start[i], end[i], extra, scale)
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json(parser)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    kernels.use("jit")
    rows: list[Row] = []
    for count in (30, 200, 1000, 10_000, 200_000):
        values = video(count, count / 2)[1]
        ways = {
            "own sort": lambda v=values: argsort_stable(v, True),
            "np.argsort in Numba": lambda v=values: merge_sorted(v),
            "np.argsort of NumPy": lambda v=values: np.argsort(-v, kind="stable"),
        }
        results = [call() for call in ways.values()]
        if not all(np.array_equal(results[0], other) for other in results[1:]):
            raise SystemExit("own_kernels: the sorts differ")
        rows += compared(f"{count} scores", ways, options.rounds, max(1, 20_000 // count))
    segments, scores = video(1000, 500)
    order = np.argsort(segments[:, 0])
    start, end = (np.ascontiguousarray(segments[order, k]) for k in (0, 1))
    ways = {
        "own exp": lambda: decay_all(_soft._decay.jitted, start, end, scores.copy(), 0.0, -1 / 0.3),
        "math.exp in Numba": lambda: decay_all(decay_with_math, start, end, scores.copy(), 0.0, -1 / 0.3),
    }
    own, other = (call() for call in ways.values())
    rows += compared("decay, 1,000 picks of 64 neighbors", ways, options.rounds, 5)
    rows.append(Row("largest relative difference of a decayed score", float(np.abs(own / other - 1).max()), ""))
    for row in rows:
        times = "" if row.ratio is None else f"  {row.ratio:5.2f} of the time of the first"
        print(f"{row.name:50} {row.value:10.4g} {row.unit}{times}")
    save(options.json, rows)


def compared(what: str, ways: dict, rounds: int, calls: int) -> list[Row]:  # type: ignore[type-arg]
    """Microseconds of each way, best over the rounds; the first one is the kernels' own."""
    spent = dict.fromkeys(ways, math.inf)
    for _ in range(rounds):
        for name, call in ways.items():
            spent[name] = min(spent[name], best(lambda c=call: [c() for _ in range(calls)], 1) / calls)
    first = next(iter(spent))
    return [
        Row(f"{what}: {name}", 1e6 * s, "µs", None, s / spent[first] if name != first else None, first)
        for name, s in spent.items()
    ]


if __name__ == "__main__":
    main()

"""LACP's sequence search as published: a beam over growing sequences. Baseline for timing, bound for correctness."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .published import contrast_of_run


def beam_search(
    track: ArrayLike, kinds: list[int], first_seed: list[int], last_seed: list[int], *, budget: int = 25
) -> tuple[list[int], float]:
    """Borders of alternating runs over one class track [T] (0 background, 1 action).

    A sequence grows sample by sample: inside a run's seeds it stays, at the next run's first seed it must switch, in
    between it may do either. Its score is the mean contrast of the runs it has finished; sequences below 0.1 are
    dropped (the best stays) and the best `budget` are kept, ties included. Returns (last sample of each run, score).
    """
    track = np.asarray(track, np.float64)
    curves = (1 - track, track)
    beam: list[tuple[list[int], list[float]]] = [([], [])]
    for t in range(len(track) - 1):
        grown = []
        for ends, scores in beam:
            run = len(ends)
            switch = run + 1 < len(kinds) and t >= last_seed[run]
            if not (switch and t + 1 >= first_seed[run + 1]):
                grown.append((ends, scores))
            if switch:
                start = ends[-1] + 1 if ends else 0
                grown.append(([*ends, t], [*scores, contrast_of_run(curves[kinds[run]], start, t)]))
        value = [float(np.mean(s)) if s else np.inf for _, s in grown]
        order = np.argsort(value)[::-1]
        floor = value[order[min(budget, len(order)) - 1]]
        beam = [grown[i] for i in order if value[i] >= floor and (value[i] >= 0.1 or i == order[0])]
    best: tuple[list[int], float] = ([], -np.inf)
    for ends, scores in beam:
        if len(ends) == len(kinds) - 1:
            start = ends[-1] + 1 if ends else 0
            total = float(np.mean([*scores, contrast_of_run(curves[kinds[-1]], start, len(track) - 1)]))
            if total >= best[1]:
                best = ([*ends, len(track) - 1], total)
    return best

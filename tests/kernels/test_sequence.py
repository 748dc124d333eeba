"""The sequence search finds the optimum: against every possible sequence, and against the published beam."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum import kernels
from punctum.kernels.reference.published import contrast_of_run
from punctum.kernels.reference.sequence import beam_search

pytestmark = pytest.mark.usefixtures("kernel_form")


def exhaustive(track, kinds, first, last):
    best = -np.inf
    for ends in product(*(range(last[i], first[i + 1]) for i in range(len(kinds) - 1))):
        borders = [-1, *ends, len(track) - 1]
        parts = [
            contrast_of_run(track if kind else 1 - track, borders[i] + 1, borders[i + 1])
            for i, kind in enumerate(kinds)
        ]
        best = max(best, float(np.mean(parts)))
    return best


@given(st.integers(0, 100_000))
def test_search_is_optimal(seed):
    rng = np.random.default_rng(seed)
    length = int(rng.integers(8, 16))
    track = rng.random((length, 2))
    action, background = np.zeros((length, 1)), np.zeros(length)
    places = np.sort(rng.choice(length, 4, replace=False))
    kinds = [1, 0, 1, 0] if rng.random() < 0.5 else [0, 1, 0, 1]
    for place, kind in zip(places, kinds, strict=True):
        if kind:
            action[place, 0] = 1
        else:
            background[place] = 1
    dense, score = kernels.search_sequence(track, action, background)
    first = last = list(places)
    assert abs(score - exhaustive(track[:, 0], kinds, first, last)) < 1e-9
    assert score >= beam_search(track[:, 0], kinds, first, last)[1] - 1e-9
    assert (dense[places, 0] == kinds).all()


def test_short_recordings_and_recordings_without_clicks():
    for length in (1, 2, 3):
        track = np.full((length, 3), 0.5)
        points = np.zeros((length, 2))
        action, background = kernels.select_seeds(track, points)
        assert not action.any()
        assert not background.any()
        points[0, 1] = 1
        action, background = kernels.select_seeds(track, points)
        dense, _ = kernels.search_sequence(track, action, background)
        assert dense[0, 1] == 1
        assert not dense[:, 0].any()

"""Where the pause between two clicks lies, from features whose actions and clicks are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.training.config import PointsObjective, TrainConfig
from punctum.training.data.click_position import background_position, change_points, pause_position
from punctum.training.data.labels import locate_clicks
from punctum.training.data.videos import Sample


def slow_change_points(rows: np.ndarray) -> float:
    """Least scatter over all pairs of cuts, by the definition."""

    def scatter(part: np.ndarray) -> float:
        return float(((part - part.mean(0)) ** 2).sum())

    n = len(rows)
    return min(
        scatter(rows[:a]) + scatter(rows[a:b]) + scatter(rows[b:]) for a in range(1, n - 1) for b in range(a + 1, n)
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 14), st.integers(1, 4), st.integers(0, 10_000))
def test_the_cuts_have_the_least_scatter(n, dim, seed):
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    begin, end = change_points(rows)
    assert 1 <= begin < end <= n - 1
    parts = (rows[:begin], rows[begin:end], rows[end:])
    found = sum(float(((part - part.mean(0)) ** 2).sum()) for part in parts)
    assert found == pytest.approx(slow_change_points(rows), abs=1e-9)


def labeled(where: float, seed: int = 0, actions: int = 60) -> Sample:
    """Actions of 10 snippets with pauses of 4, clicked at the part `where` of each."""
    rng = np.random.default_rng(seed)
    kinds, rows, clicks = rng.normal(size=(5, 12)), [], []
    for k in range(actions):
        clicks.append((len(rows) + 10 * np.clip(where + rng.normal(0, 0.05), 0, 0.99), k % 4))
        rows += [kinds[k % 4]] * 10 + [kinds[4]] * 4
    features = np.array(rows) + rng.normal(0, 0.3, (len(rows), 12))
    located = locate_clicks(
        [t for t, _ in clicks], [c for _, c in clicks], snippets=len(rows), stride_s=1.0, start_s=0.0, video="v"
    )
    return Sample("v", features.astype(np.float32), 0.0, located)


def test_a_labeler_who_clicks_early_is_recognized():
    # The pause lies between 10 and 14 of the 14 snippets from start to start: its middle is at (12 - 10 w) / 14.
    for where in (0.2, 0.35, 0.5, 0.65):
        assert pause_position([labeled(where)]) == pytest.approx((12 - 10 * where) / 14, abs=0.03)
    assert background_position([labeled(0.5)]) == 0.7
    assert background_position([labeled(0.2)]) == 0.9
    assert background_position([labeled(0.8)]) == 0.5


def test_without_gaps_there_is_nothing_to_learn():
    assert background_position([]) == 0.7
    assert background_position([labeled(0.2, actions=1)]) == 0.7
    flat = labeled(0.2)
    assert 0.0 <= pause_position([Sample("v", np.zeros_like(flat.features), 0.0, flat.clicks)]) <= 1.0


def test_the_default_recipe_asks_the_features():
    networks = TrainConfig().networks
    assert all(isinstance(n.objective, PointsObjective) and n.objective.background_at == "auto" for n in networks)
    assert PointsObjective(background_at=0.6).background_at == 0.6
    for wrong in (0.0, 1.0, "late"):
        with pytest.raises(ValueError, match="background_at"):
            PointsObjective(background_at=wrong)

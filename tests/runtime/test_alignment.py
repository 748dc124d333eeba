"""Rank correlation by counting, the binned curve by hand, and the figure."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.errors import MissingDependencyError
from punctum.runtime.evaluation.alignment import Alignment, alignment, plot_alignment, rank_correlation
from punctum.runtime.evaluation.average_precision import Detections


def ranks(values) -> list[float]:
    """Average rank by counting: how many are smaller, plus the middle of the equals."""
    return [sum(o < v for o in values) + (sum(o == v for o in values) + 1) / 2 for v in values]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_rank_correlation_with_ties(pairs):
    a, b = np.array(pairs, float).T
    got = rank_correlation(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(got)
        return
    x, y = np.array(ranks(a)) - np.mean(ranks(a)), np.array(ranks(b)) - np.mean(ranks(b))
    assert got == pytest.approx((x @ y) / np.sqrt((x @ x) * (y @ y)), abs=1e-12)


def test_rank_correlation_ignores_any_growing_map():
    rng = np.random.default_rng(0)
    a, b = rng.random(50), rng.random(50)
    assert rank_correlation(np.exp(5 * a), b**3) == pytest.approx(rank_correlation(a, b), abs=1e-12)
    assert rank_correlation(a, 7 * a - 2) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)
    assert np.isnan(rank_correlation([1], [2]))
    with pytest.raises(InputError, match="2 and 3"):
        rank_correlation([1, 2], [1, 2, 3])


def test_best_overlap_is_with_the_same_class_and_video():
    truth = Truth(
        ("v", "w"), ("a", "b"), np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([[0.0, 4], [4, 8], [0, 4]])
    )
    found = Detections.from_rows([(0, 0, 0, 2, 0.1), (0, 1, 0, 4, 0.2), (1, 0, 0, 4, 0.9), (1, 1, 0, 4, 0.3)])
    got = alignment(truth, found)
    np.testing.assert_allclose(got.iou, [0.5, 0.0, 1.0, 0.0])
    assert got.correlation == pytest.approx(rank_correlation([0.1, 0.2, 0.9, 0.3], [0.5, 0, 1, 0]))


def test_curve_by_hand():
    part = Alignment(1.0, np.array([0.4, 0.2, 0.8, 0.6]), np.array([0.5, 0.1, 0.9, 0.5]))
    x, y = part.curve(2)
    np.testing.assert_allclose(x, [0.25, 0.75])
    np.testing.assert_allclose(y, [0.3, 0.7])
    assert len(part.curve(50)[0]) == 4
    with pytest.raises(InputError):
        part.curve(0)


def test_nothing_detected_has_no_numbers():
    truth = Truth(("v",), ("a",), np.array([0]), np.array([0]), np.array([[0.0, 1.0]]))
    got = alignment(truth, Detections.from_rows([]))
    assert np.isnan(got.correlation)
    record = got.to_record()
    assert (record["rank_correlation"], record["mean_iou_by_confidence"]) == (None, [])


def test_figure(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs the extra report")
    rng = np.random.default_rng(1)
    quality = rng.random(200)
    before, after = Alignment(0.12, rng.random(200), quality), Alignment(0.98, quality, quality)
    plot_alignment(before, after, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text.lstrip().startswith("<?xml") and "</svg>" in text
    assert "before (rank correlation 0.12)" in text
    assert "after (rank correlation 0.98)" in text
    plot_alignment(before, after, tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text() == text
    plot_alignment(before, None, tmp_path / "one.svg", names=("confidence", ""))
    assert "confidence (rank correlation 0.12)" in (tmp_path / "one.svg").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "b.svg", "one.svg"]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    part = Alignment(0.0, np.array([0.5]), np.array([0.5]))
    with pytest.raises(MissingDependencyError, match=r"punctum\[report\]"):
        plot_alignment(part, None, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()

"""Mean scores against shares of right events."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.cli.eval_reliability import print_reliability
from punctum.runtime.cli.terminal import console
from punctum.runtime.datasets.truth import Truth
from punctum.runtime.errors import InputError
from punctum.runtime.evaluation.alignment import alignment, draw_alignment
from punctum.runtime.evaluation.detections import Detections
from punctum.runtime.evaluation.reliability import reliability

TRUTH = Truth(("v",), ("a",), np.array([0, 0]), np.array([0, 0]), np.array([[0.0, 4.0], [10.0, 14.0]]))


def found(*rows: tuple[float, float, float]) -> Detections:
    return Detections.from_rows([(0, 0, start, end, score) for start, end, score in rows])


def test_groups_by_hand() -> None:
    """The second event on an action is wrong, and events beyond twice the number of actions do not count."""
    events = found((0, 4, 0.9), (0, 3.9, 0.7), (10, 14, 0.6), (20, 24, 0.2), (10, 14, 0.1))
    got = reliability(TRUTH, events, bins=2)
    np.testing.assert_allclose(got.score, [0.4, 0.8])
    np.testing.assert_allclose(got.share, [0.5, 0.5])
    assert got.count.tolist() == [2, 2]
    assert got.error == pytest.approx((2 * 0.1 + 2 * 0.3) / 4)


@given(st.lists(st.floats(0, 1), min_size=0, max_size=40), st.integers(1, 20))
def test_every_event_is_in_one_group(scores: list[float], bins: int) -> None:
    events = found(*((10.0 * k, 10.0 * k + 4, score) for k, score in enumerate(scores)))
    got = reliability(TRUTH, events, bins=bins)
    assert got.count.sum() == min(len(scores), 4) and len(got.count) <= bins
    assert (np.diff(got.score) >= 0).all() and ((got.share >= 0) & (got.share <= 1)).all()
    assert np.ptp(got.count) <= 1 if len(got.count) else np.isnan(got.error)


def test_perfect_probabilities_have_a_small_error() -> None:
    """2,000 actions, one event near each, right with the probability that it states."""
    rng = np.random.default_rng(3)
    start = 10.0 * np.arange(2000)
    truth = Truth(("v",), ("a",), np.zeros(2000, int), np.zeros(2000, int), np.stack([start, start + 4], 1))
    score = rng.random(2000)
    shift = np.where(rng.random(2000) < score, 0.0, 5.0)
    events = found(*zip(start + shift, start + shift + 4, score, strict=True))
    got = reliability(truth, events)
    assert got.error < 0.05 and got.error == pytest.approx(got.error_if_exact, abs=0.015)
    over = Detections(events.video, events.label, events.segments, np.sqrt(events.scores))
    assert reliability(truth, over).error > 0.1


@pytest.mark.parametrize("count", [1, 7, 300, 301])
def test_the_error_of_exact_probabilities(count: int) -> None:
    """Against drawing the right events of one group many times; a score of 0 or 1 cannot differ by chance."""
    rng = np.random.default_rng(count)
    scores = rng.random(count)
    truth = Truth(("v",), ("a",), np.zeros(count, int), np.zeros(count, int), np.tile([[0.0, 1.0]], (count, 1)))
    got = reliability(truth, found(*((0.0, 1.0, score) for score in scores)), bins=1)
    drawn = (rng.random((20_000, count)) < scores).mean(1)
    assert got.error_if_exact == pytest.approx(np.abs(drawn - scores.mean()).mean(), rel=0.03)
    sure = reliability(truth, found(*((0.0, 1.0, float(k % 2)) for k in range(count))))
    assert sure.error_if_exact == 0


def test_nothing_found_has_no_error() -> None:
    record = reliability(TRUTH, found()).to_record()
    assert record["error"] is None and record["events"] == 0
    json.dumps(record, allow_nan=False)
    with pytest.raises(InputError):
        reliability(TRUTH, found(), bins=0)


@pytest.mark.parametrize("factor", [100.0, -1.0])
def test_scores_that_are_no_probabilities_have_no_calibration_error(factor: float, tmp_path, capsys) -> None:
    events = found((0, 4, 0.9 * factor), (10, 14, 0.6 * factor))
    got = reliability(TRUTH, events)
    assert np.isnan(got.error) and got.to_record()["error"] is got.to_record()["error_if_exact"] is None
    assert got.to_record()["events"] == 2
    print_reliability(got.to_record(), console())
    assert "not defined, because there are scores below 0 or above 1" in " ".join(capsys.readouterr().out.split())
    pytest.importorskip("matplotlib")
    drawn = draw_alignment(alignment(TRUTH, events), None, names=("confidence", ""), reliability=got)
    assert "no probabilities" in drawn and "calibration error" not in drawn

"""The minimum score of the bundle that the labeling page exports."""

from __future__ import annotations

from punctum.runtime.bundle.calibration import Calibration, ScoreMap


def test_a_chosen_minimum_score_holds_for_all_classes():
    maps = tuple(ScoreMap(raw=(0.0, 1.0), score=(0.0, 1.0), min_score=least) for least in (0.2, 0.6))
    made = Calibration(classes=maps, reduced=maps).with_minimum(0.35)
    assert [each.min_score for each in (*made.classes, *made.reduced)] == [0.35] * 4
    assert made.classes[0](0.5) == 0.5
    assert [each.min_score for each in maps] == [0.2, 0.6]

from __future__ import annotations

import numpy as np
import pytest
from punctum.training.config import CenterObjective
from punctum.training.data.center_labels import label_proposals, update_points

TIMES, LABELS = np.array([5.0, 12.0, 16.0]), np.array([0, 1, 1])
PUBLISHED = CenterObjective(several="first", foreign="ignore", crowded="ignore")


def label(segments, own, rule=None, times=TIMES, labels=LABELS):
    return label_proposals(
        np.array(segments, float),
        times,
        labels,
        classes=2,
        rule=rule or CenterObjective(),
        proposal_label=None if own is None else np.array(own),
    )


def test_center_label_falls_from_the_middle_to_the_edges():
    found = label([[0, 10], [4, 10], [4.9, 5.1], [5, 9]], [0, 0, 0, 0])
    np.testing.assert_allclose(found.center, [1.0, 1 / 3, 1.0, 0.4], atol=1e-6)  # an edge is not inside
    assert found.click.tolist() == [0, 0, 0, -1]
    assert found.classes.tolist() == [[1, 0], [1, 0], [1, 0], [0, 0]]


def test_our_rules_punish_foreign_and_crowded_proposals():
    foreign, crowded, plain = [0, 13], [10, 18], [10, 14]
    found = label([foreign, crowded, plain], [0, 1, 1])
    np.testing.assert_allclose(found.center, [0.0, 0.25, 1.0])
    published = label([foreign, crowded, plain], [0, 1, 1], PUBLISHED)
    np.testing.assert_allclose(published.center, [1 - 3 / 13, 0.5, 1.0])
    assert published.classes[0].tolist() == [1, 1]


def test_several_clicks_best_centered_or_first_in_file():
    order = np.array([2, 1, 0])  # the last click stands first in the file
    kwargs = {"classes": 2, "order": order}
    segment = np.array([[9.0, 17.0]])
    ours = label_proposals(segment, TIMES, LABELS, rule=CenterObjective(), **kwargs)
    first = label_proposals(segment, TIMES, LABELS, rule=PUBLISHED, **kwargs)
    assert ours.click.tolist() == [1] and first.click.tolist() == [2]


def test_a_video_without_clicks_has_background_proposals():
    found = label([[0, 4]], [0], times=np.zeros(0), labels=np.zeros(0, int))
    assert found.center.tolist() == [pytest.approx(0.4)] and found.click.tolist() == [-1]


def run_updates(published: bool, rounds: int) -> list[float]:
    segments, score = np.array([[4.0, 10.0], [3.0, 9.0]]), np.array([0.9, 0.9])
    original = current = np.array([5.0])
    track = []
    for _ in range(rounds):
        current = update_points(
            segments, np.array([0, 0]), score, original=original, current=current, threshold=0.8, published=published
        )
        track.append(float(current[0]))
    return track


def test_point_update_settles_where_the_published_rule_oscillates():
    """Defect P1: with a constant center c the published point goes p0, c, p0, c, ..."""
    assert run_updates(False, 4) == pytest.approx([6.5] * 4)
    assert run_updates(True, 4) == pytest.approx([6.5, 5.0, 6.5, 5.0])


def test_points_without_votes_stay_and_strangers_do_not_vote():
    kwargs = {"original": np.array([5.0]), "current": np.array([6.0]), "threshold": 0.8}
    low = update_points(np.array([[4.0, 10.0]]), np.array([0]), np.array([0.5]), published=False, **kwargs)
    assert low.tolist() == [6.0]
    # holds the moved point but not the click itself
    away = update_points(np.array([[5.5, 10.0]]), np.array([0]), np.array([0.9]), published=False, **kwargs)
    assert away.tolist() == [6.0]
    fallback = update_points(np.array([[4.0, 10.0]]), np.array([0]), np.array([0.5]), published=True, **kwargs)
    assert fallback.tolist() == [5.0]


@pytest.mark.parametrize("published", [False, True])
def test_a_video_without_clicks_has_no_points_to_move(published: bool):
    none = np.zeros(0)
    moved = update_points(
        np.array([[1.0, 3.0], [4.0, 9.0]]),
        np.array([-1, -1]),
        np.array([0.9, 0.1]),
        original=none,
        current=none,
        threshold=0.5,
        published=published,
    )
    assert moved.shape == (0,)

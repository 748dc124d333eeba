from __future__ import annotations

import numpy as np
import pytest
from punctum.runtime.errors import InputError
from punctum.training.data.labels import locate_clicks, snippet_labels


def place(times, labels, snippets=10, stride=0.5, start=0.0):
    return locate_clicks(times, labels, snippets=snippets, stride_s=stride, start_s=start, video="v")


def test_a_click_belongs_to_the_snippet_that_covers_it():
    clicks = place([0.0, 0.49, 0.5, 2.25], [0, 0, 1, 2])
    assert clicks.snippet.tolist() == [0, 0, 1, 4]
    # snippet-center coordinates: the center of snippet 4 (2.0 .. 2.5 s) is x = 4
    np.testing.assert_allclose(clicks.position, [-0.5, 0.48, 0.5, 4.0])


def test_media_clock_may_start_anywhere():
    assert place([100.6], [0], start=100.0).snippet.tolist() == [1]


def test_clicks_are_sorted_and_remember_their_place_in_the_file():
    clicks = place([3.0, 1.0, 2.0], [0, 1, 2])
    assert clicks.label.tolist() == [1, 2, 0]
    assert clicks.order.tolist() == [1, 2, 0]


def test_several_classes_in_one_snippet():
    labels = snippet_labels(place([1.1, 1.2, 1.3], [0, 2, 2]), snippets=10, classes=3)
    assert labels[2].tolist() == [1.0, 0.0, 1.0]
    assert labels.sum() == 2.0


@pytest.mark.parametrize("snippets", [1, 3, 7])
def test_short_videos_and_no_points(snippets):
    assert snippet_labels(place([], [], snippets=snippets), snippets=snippets, classes=2).sum() == 0
    clicks = place([0.2], [1], snippets=snippets)
    assert snippet_labels(clicks, snippets=snippets, classes=2)[0, 1] == 1.0


def test_a_click_just_outside_moves_to_the_edge():
    clicks = place([-0.3, 5.9], [0, 1])  # features end at 5.0 s
    assert clicks.snippet.tolist() == [0, 9]
    assert clicks.position.tolist() == [-0.5, 9.5]


@pytest.mark.parametrize("time", [-0.6, 6.1, np.nan, np.inf])
def test_a_click_far_outside_is_refused_by_video_and_time(time):
    with pytest.raises(InputError) as caught:
        place([1.0, time], [0, 0])
    assert caught.value.code == "point-outside-video"
    assert "Video v" in str(caught.value)
    assert caught.value.exit_code == 2

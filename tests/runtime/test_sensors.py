"""Generated sequences of a sensor."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from punctum.runtime.synthetic.sensors import CHANNELS, STRIDE_S, make_sequence, write_demo_dataset


@pytest.mark.parametrize("back_to_back", [False, True])
def test_actions_touch_only_if_asked_for(back_to_back):
    made = make_sequence(5, seconds=60, back_to_back=back_to_back)
    assert made.features.shape == (round(60 / STRIDE_S), CHANNELS)
    gaps = [after[1] - before[2] for before, after in pairwise(made.actions)]
    assert len(gaps) > 5
    assert (max(np.abs(gaps)) < 1e-9) if back_to_back else (min(gaps) > 0)
    assert made == make_sequence(5, seconds=60, back_to_back=back_to_back)
    assert made != make_sequence(6, seconds=60, back_to_back=back_to_back)


@pytest.mark.parametrize("back_to_back", [False, True])
def test_every_action_holds_its_click(tmp_path, back_to_back):
    write_demo_dataset(tmp_path / "data", videos=3, seed=4, seconds=40, back_to_back=back_to_back)
    truth = json.loads((tmp_path / "data" / "gt.json").read_text())["database"]
    head, *rows = (tmp_path / "data" / "points.csv").read_text().splitlines()
    assert head == "class,video_id,point"
    actions = [(a["label"], video, *a["segment"]) for video, entry in truth.items() for a in entry["annotations"]]
    for (label, video, start, end), row in zip(actions, rows, strict=True):
        name, place, point = row.split(",")
        assert (name, place) == (label, video)
        assert start <= float(point) * STRIDE_S <= end

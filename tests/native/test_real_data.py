"""Real recordings through both: the shipped sessions around the simple locator of tests/system/test_real_streams.py."""

from __future__ import annotations

import pytest
from punctum.runtime import Dataset

from tests.native.compare import compare_all
from tests.system import test_real_streams as real_streams


@pytest.mark.shared
@pytest.mark.parametrize(("name", "split"), [("shrec21", None), ("gtea", "split_1")])
def test_real_recordings_give_the_same_events(shared_dir, library, name, split):
    data = Dataset.open(shared_dir / "data" / name, split=split)
    one = real_streams.localizer(data, max_island_s=8.0)
    said = compare_all(library, one.plan, one.backend, data, data.test[:2], (None, 1.0))
    assert said["final"] > 100
    assert said["update"] > 10

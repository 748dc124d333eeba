"""`punctum data check` warns of two clicks at one action, and of nothing in real labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from punctum.runtime import Dataset
from punctum.runtime.datasets.check_close import check_close
from punctum.runtime.datasets.check_conflicts import check_conflicts
from punctum.runtime.datasets.findings import CheckResult
from punctum.runtime.datasets.tables import scan_points

HEAD = "class,video_id,time_s,annotator\n"


def warned(folder: Path, points: str = "points.csv", split: str | None = None) -> list[str]:
    data, result = Dataset.open(folder, split=split, points=points, need_features=False), CheckResult()
    check_close(data, scan_points(data.points_file), result)
    return [finding.message for finding in result.warnings]


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ("down,a,2.417,ann\ndown,a,3.0,ann\ndown,a,3.033,ann\n", 1),
        ("down,a,3.0,ann\nup,a,3.033,ann\n", 0),
        ("down,a,3.0,ann\ndown,a,3.033,ben\n", 0),  # counts once anyway
        ("down,a,3.0,ann\ndown,a,3.0,ann\n", 0),  # a duplicate, which has a warning of its own
        ("".join(f"knock,a,{0.3 * k:.2f},ann\n" for k in range(12)), 0),  # actions that follow each other fast
        ("".join(f"knock,a,{0.3 * k:.2f},ann\n" for k in range(12)) + "knock,a,0.64,ann\n", 1),
    ],
)
def test_clicks_that_are_too_close(tmp_path: Path, rows, count):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "points.csv").write_text(HEAD + rows)
    found = warned(tmp_path)
    assert len(found) == (count > 0)
    if count:
        assert found[0].startswith(f"{count} click")


@pytest.mark.parametrize(
    ("name", "points", "split"),
    [
        ("urfall", "points.csv", None),
        ("cctv_fight", "points.csv", None),
        ("thumos14", "points.csv", None),
        ("gtea", "points.csv", "split_1"),
        *(("gtea", f"points_human_{k}.csv", "split_1") for k in range(1, 5)),
    ],
)
def test_real_labels_are_not_warned_of(shared_dir, name, points, split):
    folder = shared_dir / "data" / name
    if not (folder / points).is_file():
        pytest.skip("the data set is not here")
    assert warned(folder, points, split) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("fall,a,1.44,ann\nlie_down,a,1.40,ben\n", "1 action with different classes"),
        ("fall,a,1.44,ann\nlie_down,a,1.40,ann\n", ""),  # one person may see two actions
        ("fall,a,1.44,ann\nfall,a,1.40,ben\nlie_down,a,1.5,ben\n", ""),  # both know the fall, one the other
        ("fall,a,1.44,ann\nlie_down,a,9.40,ben\n", ""),
    ],
)
def test_annotators_that_contradict_each_other(tmp_path: Path, rows: str, said: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "points.csv").write_text(HEAD + rows)
    data, result = Dataset.open(tmp_path, need_features=False), CheckResult()
    check_conflicts(data, scan_points(data.points_file), result)
    messages = [finding.message for finding in result.warnings]
    assert len(messages) == bool(said) and all(said in message for message in messages)
    if said:
        assert "a 1.44 s: fall (ann), lie_down (ben)" in messages[0]

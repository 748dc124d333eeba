"""Data sets of videos: no features yet, points in frames or in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.datasets.check import check_dataset

from tests.helpers import datasets as make


def video_dataset(folder: Path, **facts: object) -> Path:
    """Like `datasets.make_ours`, with (empty) video files in place of features."""
    make.make_ours(folder)
    for file in (folder / "features").iterdir():
        file.unlink()
    (folder / "features").rmdir()
    (folder / "videos").mkdir()
    for i in range(7):
        (folder / "videos" / f"v{i}.mp4").touch()
    info = {"name": "clips", "classes": list(make.LABELS), "fps": make.FPS, **facts}
    (folder / "dataset.json").write_text(json.dumps(info))
    return folder


def refused(code: str, call, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)


def test_opens_without_features(tmp_path):
    folder = video_dataset(tmp_path / "d")
    refused("features-missing", lambda: Dataset.open(folder), "punctum train", "punctum features")
    data = Dataset.open(folder, need_features=False)
    assert data.only_videos
    assert data.videos_dir == folder / "videos"
    assert data.video_file("v0") == folder / "videos" / "v0.mp4"
    assert data.points()["v0"][0].time_s == pytest.approx(1.75)
    assert data.truth("test").videos == ("v4", "v5", "v6")


def test_files_by_any_usual_ending(tmp_path):
    data = Dataset.open(video_dataset(tmp_path / "d"), need_features=False)
    (data.videos_dir / "v0.mp4").rename(data.videos_dir / "v0.MKV")
    assert data.video_file("v0").name == "v0.MKV"
    (data.videos_dir / "v1.mp4").unlink()
    refused("video-missing", lambda: data.video_file("v1"), "v1", ".mp4")
    refused("video-id", lambda: data.video_file("../secret"))


def test_another_folder_and_features_beside_videos(tmp_path):
    folder = video_dataset(tmp_path / "d", video_folder="clips")
    (folder / "videos").rename(folder / "clips")
    assert Dataset.open(folder, need_features=False).video_file("v2").parent.name == "clips"
    both = make.make_ours(tmp_path / "both")
    assert Dataset.open(both).videos_dir is None
    (both / "videos").mkdir()
    opened = Dataset.open(both)
    assert opened.videos_dir is not None and not opened.only_videos
    refused("videos-missing", lambda: Dataset.open(make.make_ours(tmp_path / "f")).video_file("v0"))
    bad = video_dataset(tmp_path / "bad", video_folder="../elsewhere")
    refused("dataset-json", lambda: Dataset.open(bad, need_features=False), "video_folder")


def test_points_in_seconds(tmp_path):
    folder = video_dataset(tmp_path / "d")
    (folder / "points.csv").write_text("class,video_id,time_s\nwave,v0,1.75\npush,v0,6\n")
    data = Dataset.open(folder, need_features=False)
    assert [p.time_s for p in data.points()["v0"]] == [1.75, 6.0]
    # Where both stand, seconds win, and an empty frame column does not matter.
    (folder / "points.csv").write_text("class,video_id,point,time_s\nwave,v0,900,1.5\npush,v0,,2\n")
    assert [p.time_s for p in data.points()["v0"]] == [1.5, 2.0]
    (folder / "points.csv").write_text("class,video_id,time_s\nwave,v0,soon\n")
    refused("points-row", data.points, "time_s")
    (folder / "points.csv").write_text("class,video_id\nwave,v0\n")
    refused("points-columns", data.points, "time_s")


def test_only_frame_numbers_need_a_rate(tmp_path):
    folder = video_dataset(tmp_path / "d")
    (folder / "dataset.json").write_text(json.dumps({"classes": list(make.LABELS)}))
    refused("fps-missing", Dataset.open(folder, need_features=False).points, "no fps", "time_s")
    assert "fps-missing" in {finding.code for finding in check_dataset(folder).errors}
    (folder / "points.csv").write_text(f"class,video_id,time_s\n{make.LABELS[0]},v0,1.5\n")
    assert Dataset.open(folder, need_features=False).points()["v0"][0].time_s == 1.5


def test_check_of_a_video_data_set(tmp_path, monkeypatch):
    folder = video_dataset(tmp_path / "d")
    # tests/training/test_check_videos.py looks at files that are videos.
    monkeypatch.setattr("punctum.runtime.datasets.check_videos.find_spec", lambda name: None)
    report = check_dataset(folder)
    assert not report.errors and [f.code for f in report.warnings] == ["videos-unread"]
    assert "videos with features" not in report.summary
    (folder / "videos" / "v3.mp4").unlink()
    assert [f.code for f in check_dataset(folder).errors] == ["video-missing"]

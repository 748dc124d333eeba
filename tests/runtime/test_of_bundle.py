"""Folders of videos in which not every class of a bundle occurs, and videos without a click."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
pytest.importorskip("av", reason="the videos are made with PyAV")
from punctum.runtime import Dataset, InputError
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.of_bundle import check_classes, open_footage, with_classes

LABELS = ("bounce", "fall", "jump")


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "rendered"
    words = ["--count", "3", "--seconds", "8", "--size", "96x72", "--fps", "10"]
    assert invoke(["data", "make-videos", "--out", str(out), *words]) == 0
    return out / "videos"


@pytest.fixture
def folder(videos: Path, tmp_path: Path) -> Path:
    """Three videos, of which one has a click, and one is listed as a test video."""
    place = tmp_path / "site"
    place.mkdir()
    for name, path in zip("abc", sorted(videos.iterdir()), strict=True):
        (place / f"{name}.mp4").write_bytes(path.read_bytes())
    (place / "points.csv").write_text("class,video_id,time_s\njump,a,2.0\n")
    (place / "test.txt").write_text("a\n")
    return place


@pytest.mark.parametrize("command", ["eval", "diagnose"])
def test_a_folder_in_which_few_classes_occur_can_be_judged(folder: Path, command: str, capsys):
    assert invoke([command, "default", str(folder), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["dataset"] == "site"


def test_classes_of_the_bundle_come_first_and_others_of_the_folder_follow(folder: Path):
    (folder / "points.csv").write_text("class,video_id,time_s\nwave,a,1\njump,a,2.0\n")
    data = with_classes(Dataset.open(folder, need_features=False), LABELS)
    assert data.labels == (*LABELS, "wave")
    assert [point.label for point in data.points()["a"]] == [3, 2]
    check_classes(data, LABELS)


def test_another_spelling_of_a_class_is_refused(folder: Path):
    (folder / "points.csv").write_text("class,video_id,time_s\nJump,a,2.0\n")
    with pytest.raises(InputError, match="'jump' in the bundle and 'Jump'") as error:
        with_classes(Dataset.open(folder, need_features=False), LABELS)
    assert error.value.code == "label-alike"


def test_a_dataset_json_keeps_its_classes_and_the_error_names_it(folder: Path, capsys):
    assert invoke(["data", "init", str(folder)]) == 2  # its only click is in a test video
    (folder / "test.txt").unlink()
    assert invoke(["data", "init", str(folder)]) == 0
    data = Dataset.open(folder, need_features=False)
    assert with_classes(data, LABELS) is data
    with pytest.raises(InputError, match=r"classes.* in dataset\.json") as error:
        check_classes(data, LABELS)
    assert error.value.code == "label-unknown"
    with pytest.raises(InputError, match="the same classes"):
        check_classes(data, ("walk", "run"))
    capsys.readouterr()


def test_diagnose_without_test_videos_says_that_clicks_are_enough(folder: Path, capsys):
    (folder / "test.txt").unlink()
    assert invoke(["diagnose", "default", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "[list-missing]" in said and "gt.json is not needed" in said


def test_footage_is_all_videos_or_those_of_the_list(folder: Path):
    assert open_footage(folder, LABELS).test == ("a",)
    (folder / "test.txt").unlink()
    (folder / "points.csv").unlink()
    data = open_footage(folder, LABELS)
    assert (data.labels, data.test, data.train) == (LABELS, ("a", "b", "c"), ())
    assert data.video_file("b") == folder / "b.mp4"


def test_videos_without_a_click_are_named_by_init_and_check(folder: Path, capsys):
    (folder / "test.txt").unlink()
    codes = {found.code: found for found in check_dataset(folder).warnings}
    assert "2 videos without a click" in codes["videos-unlisted"].message
    assert "train.txt" in codes["videos-unlisted"].fix
    assert invoke(["data", "init", str(folder)]) == 0
    assert "leaves out 2 videos without a click (b, c)" in capsys.readouterr().err
    codes = {found.code: found for found in check_dataset(folder).warnings}
    assert "2 videos in neither list" in codes["videos-unlisted"].message
    (folder / "train.txt").write_text("a\nb\nc.mp4\n")
    assert "videos-unlisted" not in {found.code for found in check_dataset(folder).warnings}


def test_a_class_in_one_video_or_group_is_named(folder: Path):
    (folder / "test.txt").unlink()

    def found() -> str:
        every = {each.code: each.message for each in check_dataset(folder).warnings}
        return every.get("class-held-out", "")

    (folder / "points.csv").write_text("class,video_id,time_s\njump,a,2.0\n")
    assert found() == ""  # nothing can be held out
    (folder / "points.csv").write_text("class,video_id,time_s\njump,a,2.0\njump,b,2\nfall,b,1\nfall,c,1\n")
    assert found() == ""
    (folder / "groups.csv").write_text("video_id,group\nb.mp4,hall\nc,hall\n")
    assert found() == "all clicks of a class are in one video or group: 'fall' in group hall"
    (folder / "groups.csv").write_text("video_id,room\nb.mp4,hall\n")
    assert found() == ""
    assert "groups-unreadable" in {each.code for each in check_dataset(folder).errors}
    (folder / "groups.csv").unlink()
    (folder / "points.csv").write_text("class,video_id,time_s\njump,a,2.0\njump,b,2\nfall,b,1\nfall,b,3\n")
    assert found() == "all clicks of a class are in one video: 'fall' in video b"

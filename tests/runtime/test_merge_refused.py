"""`punctum data merge`: folders that cannot be merged, and those that somebody is writing."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import InputError
from punctum.runtime.cli import invoke
from punctum.runtime.errors import PunctumError
from punctum.runtime.labeling.folder import open_folder
from punctum.runtime.labeling.lock import FolderLock
from punctum.runtime.merge import reading
from punctum.runtime.merge.run import merge_folders

from tests.helpers.merging import folder


@pytest.fixture
def one(tmp_path) -> Path:
    return folder(tmp_path / "one", ["a", "b"], clicks=["x,a,1,ann,k1,", "x,b,1,ann,k2,"])


@pytest.fixture
def two(tmp_path) -> Path:
    return folder(tmp_path / "two", ["c"], clicks=["y,c,1,ann,k3,"])


def features(place: Path) -> Path:
    made = folder(place, [], clicks=["x,a,1,,,"], below="features")
    (made / "dataset.json").write_text(json.dumps({"classes": ["x"], "fps": 25, "snippet_frames": 8, "feature_dim": 2}))
    np.save(made / "features" / "a.npy", np.zeros((4, 2), np.float32))
    (made / "train.txt").write_text("a\n")
    return made


def loop(place: Path) -> Path:
    place.symlink_to(place)
    return place


def empty(place: Path) -> Path:
    place.mkdir()
    return place


def odd_name(place: Path) -> Path:
    made = folder(place, ["a"], clicks=["x,a,1,,,"])
    Path(os.fsdecode(os.fsencode(made / "videos") + b"/caf\xe9.mp4")).write_text("v")
    return made


def pipe(place: Path) -> Path:
    made = folder(place, ["a"])
    os.mkfifo(made / "points.csv")
    return made


BAD = {
    "missing": (lambda p: p, "dataset-missing"),
    "a file": (lambda p: (p.write_text("x"), p)[1], "dataset-missing"),
    "a loop of links": (loop, "dataset-missing"),
    "empty": (empty, "video-folder-empty"),
    "no labels": (lambda p: folder(p, ["a"]), "points-missing"),
    "tables without videos": (lambda p: folder(p, [], clicks=["x,a,1,,,"]), "video-folder-empty"),
    "a click of another video": (lambda p: folder(p, ["a"], clicks=["x,gone,1,,,"]), "video-missing"),
    "a broken table": (
        lambda p: folder(p, ["a"], files={"points.csv": 'class,video_id,time_s\n"x'}),
        "points-unreadable",
    ),
    "no table": (lambda p: folder(p, ["a"], files={"points.csv": "\0\0"}), "points-unreadable"),
    "a row without time": (lambda p: folder(p, ["a"], clicks=["x,a,soon,,,"]), "points-row"),
    "frames": (lambda p: folder(p, ["a"], files={"points.csv": "class,video_id,point\nx,a,3\n"}), "points-frames"),
    "a broken span": (lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], spans=["a,3,2,x,,,"]), "background-row"),
    "a broken withheld span": (lambda p: folder(p, ["a"], withheld=["a,3,2,x,,,"]), "background-row"),
    "an unknown class of a span": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], spans=["a,1,2,q,,,"]),
        "label-unknown",
    ),
    "a broken record": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"labeling.json": "{"}),
        "json-unreadable",
    ),
    "another record": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"labeling.json": "{}"}),
        "labeling-record",
    ),
    "broken groups": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"groups.csv": "x\n"}),
        "groups-unreadable",
    ),
    "broken ground truth": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"gt.json": '{"database": []}'}),
        "truth-form",
    ),
    "a test video that is gone": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"test.txt": "gone\n"}),
        "video-missing",
    ),
    "a dataset.json without lists": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"dataset.json": '{"classes": ["x"]}'}),
        "list-missing",
    ),
    "a dataset.json that lacks a class": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={"dataset.json": '{"classes": ["z"]}', "train.txt": "a"}),
        "label-unknown",
    ),
    "features": (features, "merge-features"),
    "two videos of one name": (lambda p: folder(p, ["a.mp4", "a.avi"], clicks=["x,a,1,,,"]), "video-names"),
    "a name that is not UTF-8": (odd_name, "video-names"),
    "a name with a line break": (lambda p: folder(p, ["a\nb"], clicks=["x,a,1,,,"]), "video-names"),
    "an interrupted change": (
        lambda p: folder(p, ["a"], clicks=["x,a,1,,,"], files={".labeling-change.json": "{}"}),
        "merge-unfinished",
    ),
    "a pipe": (pipe, "merge-folders"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_folder_is_refused_before_anything_is_written(one, tmp_path, capsys, kind):
    make, code = BAD[kind]
    bad = make(tmp_path / "bad")
    before = sorted(tmp_path.iterdir())
    assert invoke(["data", "merge", str(one), str(bad), "--out", str(tmp_path / "all")]) == 2
    told = capsys.readouterr()
    assert f"error [{code}]" in told.err
    assert "Next: " in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read(one, two, tmp_path):
    two.chmod(0)
    try:
        with pytest.raises(InputError) as error:
            merge_folders([one, two], tmp_path / "all")
    finally:
        two.chmod(0o755)
    assert error.value.code == "video-permission"


def test_a_folder_is_given_twice(one, tmp_path):
    (tmp_path / "link").symlink_to(one)
    for again in (one, tmp_path / "one" / ".." / "one", tmp_path / "link"):
        with pytest.raises(InputError, match=r"twice|the same folder") as error:
            merge_folders([one, again], tmp_path / "all")
        assert error.value.code == "merge-folders"


def test_no_click_at_all(tmp_path):
    with pytest.raises(InputError, match="contain no click") as error:
        merge_folders([folder(tmp_path / "one", ["a"], withheld=["a,1,2,x,,,"])], tmp_path / "all")
    assert error.value.code == "points-empty"


def test_a_folder_that_is_labeled_at_the_moment(one, two, tmp_path):
    lock = FolderLock(two, two / "points.csv")
    with pytest.raises(InputError, match="is labeling") as error:
        merge_folders([one, two], tmp_path / "all")
    assert error.value.code == "label-running"
    lock.close()
    merge_folders([one, two], tmp_path / "all")
    labeled = open_folder(tmp_path / "all")
    try:
        with pytest.raises(InputError) as error:
            merge_folders([one, two], tmp_path / "all", replace=True)
        assert error.value.code == "label-running"
    finally:
        labeled.store.close()


def test_rows_that_are_written_meanwhile_are_read_together(one, tmp_path, monkeypatch):
    """The service writes points.csv, and then background.csv."""
    camera = folder(tmp_path / "camera", ["c"], clicks=["x,c,1,,r1,"])
    known = reading.read_groups

    def slow(*given):
        if not (camera / "background.csv").exists():
            folder(camera, [], clicks=["x,c,1,,r1,", "x,c,9,,r2,"], spans=["c,4,5,x,,,r2-1"])
        return known(*given)

    monkeypatch.setattr(reading, "read_groups", slow)
    result = merge_folders([one, camera], tmp_path / "all")
    assert [click.id for click in result.merged.clicks] == ["r1", "r2", "k1", "k2"]
    assert [span.id for span in result.merged.spans] == ["r2-1"]


def test_a_program_that_goes_on_writing_is_not_waited_for_without_end(one, two, tmp_path, monkeypatch):
    known, times = reading.read_groups, itertools.count(1)

    def slow(*given):
        (two / "groups.csv").write_text("video_id,group\n" + "c,g\n" * next(times))
        return known(*given)

    monkeypatch.setattr(reading, "read_groups", slow)
    with pytest.raises(PunctumError, match="is writing to") as error:
        merge_folders([one, two], tmp_path / "all")
    assert error.value.code == "write-failed"
    assert not (tmp_path / "all").exists()


def test_what_the_command_prints(one, two, tmp_path, capsys):
    folder(two, [], spans=["gone,1,2,y,,,"])
    assert invoke(["data", "merge", str(one), str(two), "--out", str(tmp_path / "all"), "--copy"]) == 0
    told = capsys.readouterr()
    assert told.err == "warning: two: left out: 1 background span of videos that are not in the folder\n"
    assert told.out.splitlines() == [
        "one: 2 videos, 2 clicks, 0 background spans",
        "two: 1 video, 1 click, 0 background spans",
        "together: 3 videos, 3 clicks, 0 background spans",
        "2 groups in groups.csv, each held out as a whole",
        f"wrote {tmp_path / 'all'} (0 videos linked, 3 copied)",
        f"train on it with: punctum train {tmp_path / 'all'} --out runs/all",
    ]

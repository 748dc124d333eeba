"""`punctum data merge`: folders that cannot be merged, and the output, which is whole or absent."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.cli import invoke
from punctum.runtime.errors import PunctumError
from punctum.runtime.labeling.folder import open_folder
from punctum.runtime.labeling.lock import FolderLock
from punctum.runtime.merge import reading
from punctum.runtime.merge.drafts import locked
from punctum.runtime.merge.output import MADE
from punctum.runtime.merge.run import merge_folders

from tests.helpers.merging import CLICKS, content, folder


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
    lock = FolderLock(two)
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


@pytest.mark.parametrize("place", ["one", "one/all", "one/videos/all", "."])
def test_the_output_and_the_inputs_are_apart(one, two, tmp_path, place):
    before = content(tmp_path)
    for replace in (False, True):
        with pytest.raises(InputError) as error:
            merge_folders([one, two], tmp_path / place, replace=replace)
        assert error.value.code == "output-is-input"
    (tmp_path / "link").symlink_to(one)
    with pytest.raises(InputError) as error:
        merge_folders([two, tmp_path / "link"], one / "all")
    assert error.value.code == "output-is-input"
    (tmp_path / "link").unlink()
    assert content(tmp_path) == before


def test_an_output_that_exists(one, two, tmp_path):
    (tmp_path / "all").mkdir()  # empty
    merge_folders([one], tmp_path / "all")
    before = content(tmp_path / "all")
    with pytest.raises(InputError) as error:
        merge_folders([one, two], tmp_path / "all")
    assert error.value.code == "output-exists"
    assert content(tmp_path / "all") == before


def test_replace_gives_the_same_and_what_is_new(one, two, tmp_path):
    merge_folders([one, two], tmp_path / "all")
    before = content(tmp_path / "all")
    merge_folders([two, one], tmp_path / "all", replace=True)
    assert content(tmp_path / "all") == before
    (two / "videos" / "d.mp4").write_text("two/d")
    with (two / "points.csv").open("a") as table:
        table.write("x,d,4,ann,k4,\n")
    (tmp_path / "all" / ".punctum-label").mkdir()  # can be made again
    merge_folders([one, two], tmp_path / "all", replace=True)
    assert len(Dataset.open(tmp_path / "all", need_features=False).points()) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "one", "two"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: (place / "points.csv").write_text(CLICKS), "points.csv was changed"),
        (lambda place: (place / "bundle").mkdir(), "contains bundle"),
        (lambda place: (place / "videos" / "new.mp4").write_text("x"), "contains videos/new.mp4"),
        (lambda place: (place / MADE).unlink(), "did not make it"),
        (lambda place: (place / MADE).write_text("[1]"), "did not make it"),
    ],
)
def test_a_folder_that_was_changed_is_not_replaced(one, two, tmp_path, change, words):
    merge_folders([one, two], tmp_path / "all")
    change(tmp_path / "all")
    before = content(tmp_path / "all")
    with pytest.raises(InputError, match=words) as error:
        merge_folders([one, two], tmp_path / "all", replace=True)
    assert error.value.code == "output-exists"
    assert content(tmp_path / "all") == before


def test_labels_made_in_the_result_are_merged_from_it(one, two, tmp_path):
    merge_folders([one, two], tmp_path / "all")
    with (tmp_path / "all" / "points.csv").open("a") as table:
        table.write("y,c,9.000,,,ann,,k9,\n")
    (two / "points.csv").write_text(CLICKS + "y,c,1,ann,k3,\ny,c,9,ann,k9,\n")
    result = merge_folders([one, two, tmp_path / "all"], tmp_path / "more")
    assert len(result.merged.clicks) == 4
    assert len(result.merged.videos) == 3


def test_a_full_disk_leaves_nothing(one, two, tmp_path, monkeypatch):
    merge_folders([one], tmp_path / "all")
    before = content(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(PunctumError) as error:
        merge_folders([one, two], tmp_path / "all", replace=True, copy=True)
    assert error.value.code == "write-failed"
    assert content(tmp_path) == before
    with pytest.raises(PunctumError):
        merge_folders([one, two], tmp_path / "other", copy=True)
    assert content(tmp_path) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from punctum.runtime.merge import output
from punctum.runtime.merge.run import merge_folders
known = output._bring
def bring(file, target, *, copy):
    if file.name == "c.mp4":
        print("now", flush=True)
        signal.pause()
    return known(file, target, copy=copy)
output._bring = bring
merge_folders([Path(each) for each in sys.argv[2:]], Path(sys.argv[1]), replace=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_merge_leaves_the_old_folder(one, two, tmp_path, number):
    merge_folders([one], tmp_path / "all")
    before = content(tmp_path / "all")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "all"), str(one), str(two)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(number)
    assert content(tmp_path / "all") == before
    shown = sorted(path.name for path in tmp_path.iterdir() if number == signal.SIGINT or path.name[0] != ".")
    assert shown == ["all", "one", "two"]
    merge_folders([one, two], tmp_path / "all", replace=True)


def test_the_draft_of_a_killed_merge_is_removed_later(one, tmp_path):
    drafts = [tmp_path / f".all.0000000{k}" for k in range(3)]
    others = [tmp_path / ".all.old.00000000", tmp_path / ".other.00000000"]
    for place in (*drafts, *others):
        folder(place, ["a"])
        os.utime(place, (0, 0))
    os.utime(drafts[0])  # its process may be about to lock it
    with locked(drafts[1]):
        merge_folders([one], tmp_path / "all")
    assert [place for place in (*drafts, *others) if place.exists()] == [*drafts[:2], *others]


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

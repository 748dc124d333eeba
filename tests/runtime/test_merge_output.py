"""`punctum data merge`: the output, which is whole or absent, and is replaced only as it was written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.errors import PunctumError
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

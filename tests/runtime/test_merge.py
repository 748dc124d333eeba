"""`punctum data merge`: what becomes of videos, labels, classes, lists and groups of several folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.datasets.background import read_background
from punctum.runtime.datasets.groups import read_groups
from punctum.runtime.datasets.labeled import read_labeling
from punctum.runtime.labeling.clicks import read_clicks
from punctum.runtime.labeling.folder import open_folder
from punctum.runtime.merge.run import MergeResult, merge_folders

from tests.helpers.merging import content, folder


def merged(tmp_path: Path, *folders: Path, **options: bool) -> tuple[MergeResult, Dataset]:
    result = merge_folders(folders, tmp_path / "all", **options)
    return result, Dataset.open(tmp_path / "all", need_features=False)


def clicks_of(data: Dataset) -> dict[str, list[tuple[str, float]]]:
    return {video: [(data.labels[p.label], p.time_s) for p in found] for video, found in data.points().items()}


def spans_of(data: Dataset) -> dict[str, list[tuple[float, float, str]]]:
    return {
        video: [(s.start_s, s.end_s, "" if s.label is None else data.labels[s.label]) for s in found]
        for video, found in data.background().items()
    }


@pytest.fixture
def door(tmp_path) -> Path:
    """As the reviews of a camera: labeled in part, and a span that waits for a click of its class."""
    return folder(
        tmp_path / "door",
        ["one", "two", "three"],
        clicks=["open,one,1.5,ann,review-1,a note"],
        spans=["one,3,4,open,ann,,review-1-1"],
        withheld=["two,2,5,close,ann,,review-2-1", "three,1,2,knock,ann,,review-3-1"],
        classes=["open", "close", "knock"],
        partly={"one": {"ann": "t1"}, "two": {"ann": "t2"}, "three": {"ann": "t3"}},
    )


@pytest.fixture
def own(tmp_path) -> Path:
    """Labeled by hand, as a whole; one video is not labeled yet."""
    return folder(
        tmp_path / "own",
        ["one", "four", "rest", "later"],
        clicks=["close,one.mp4,2.25,bob,c1,", "close,four,7,bob,c2,", "knocking,four,9,bob,c3,"],
        nothing={"rest": {"bob": "t"}},
        finished={"one": {"bob": "t"}},
        confirmed={"c2": {"bob": "t"}},
        reaction_s={"bob": 0.25},
        classes=["knocking", "close"],
        theirs={"kept": [1]},
    )


def test_reviews_and_videos_labeled_by_hand(door, own, tmp_path):
    before = content(door) | content(own)
    result, data = merged(tmp_path, door, own)
    assert clicks_of(data) == {
        "door-one": [("open", 1.5)],
        "own-one": [("close", 2.25)],
        "four": [("close", 7.0), ("knocking", 9.0)],
    }
    # The class of `two` has a click in the other folder; that of `three` has none.
    assert spans_of(data) == {"door-one": [(3.0, 4.0, "open")], "two": [(2.0, 5.0, "close")]}
    assert [row.video for row in read_background(tmp_path / "all" / "withheld.csv")] == ["three"]
    assert data.labels == ("open", "close", "knocking")
    assert set(data.train) == {"door-one", "own-one", "two", "four", "rest"}
    assert data.unlabeled == 2
    assert data.partly() == {"door-one", "two"}
    record = read_labeling(tmp_path / "all")
    assert record.classes == ["open", "close", "knock", "knocking"]
    assert record.nothing == {"rest": {"bob": "t"}}
    assert record.finished == {"own-one": {"bob": "t"}}
    assert record.confirmed == {"c2": {"bob": "t"}}
    assert (record.reaction_s, record.others) == ({"bob": 0.25}, {"theirs": {"kept": [1]}})
    found = {click.id: click for click in read_clicks(tmp_path / "all" / "points.csv")}
    assert (found["review-1"].note, found["review-1"].annotator) == ("a note", "ann")
    assert content(door) | content(own) == before
    assert result.lines() == [
        "door: 3 videos (3 labeled in part), 1 click, 1 background span, 2 withheld spans",
        "own: 4 videos (1 without labels), 3 clicks, 0 background spans",
        "together: 7 videos (3 labeled in part, 1 without labels), 4 clicks, 2 background spans, 1 withheld span",
        "1 withheld span became background: there are clicks of the class",
        "1 span withheld: no folder has a click of the class",
        "the folders are no groups for the hold-out: only one group has videos with clicks that are labeled as a whole",
        f"wrote {tmp_path / 'all'} (7 videos linked, 0 copied)",
    ]
    assert result.losses() == []


def test_the_order_of_the_folders_does_not_matter(door, own, tmp_path):
    merge_folders([door, own], tmp_path / "x" / "all")
    merge_folders([own, door], tmp_path / "y" / "all")
    assert content(tmp_path / "x") == content(tmp_path / "y")


def test_the_result_can_be_labeled_further(door, own, tmp_path):
    merged(tmp_path, door, own)
    opened = open_folder(tmp_path / "all")
    try:
        assert opened.store.classes == ["open", "close", "knock", "knocking"]
        assert len(opened.store.clicks) == 4
        assert len(opened.videos) == 7
    finally:
        opened.store.close()


@pytest.mark.parametrize("copy", [False, True])
def test_videos_are_linked_or_copied(door, own, tmp_path, copy):
    result, _ = merged(tmp_path, door, own, copy=copy)
    same = (tmp_path / "all" / "videos" / "two.mp4").samefile(door / "videos" / "two.mp4")
    assert (same, result.copied) == (not copy, 7 if copy else 0)


def test_what_cannot_be_linked_is_copied(door, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    result, _ = merged(tmp_path, door)
    assert result.copied == 3
    assert (tmp_path / "all" / "videos" / "one.mp4").read_text() == "door/one"


def test_a_linked_video_is_not_a_link_to_a_link(door, tmp_path):
    (door / "videos" / "linked.mp4").symlink_to(folder(tmp_path / "far", ["x"]) / "videos" / "x.mp4")
    merged(tmp_path, door)
    assert not (tmp_path / "all" / "videos" / "linked.mp4").is_symlink()


def test_frames_become_seconds_and_columns_are_kept(tmp_path):
    frames = folder(
        tmp_path / "frames",
        ["v.avi", "w.avi"],
        files={
            "dataset.json": json.dumps({"classes": ["jump", "fall"], "fps": 25}),
            "points.csv": "sep=;\nlabel;video;Frame;who\nfall;v;50;x\njump;w;25;y\n",
            "train.txt": "v\n",
            "test.txt": "w\n",
            "gt.json": json.dumps({"database": {"w": {"annotations": [{"label": "jump", "segment": [0.5, 1.5]}]}}}),
        },
    )
    plain = folder(tmp_path / "plain", ["p", "q"], clicks=["wave,p,1,ann,,"], spans=["q,1,2,jump,ann,now,"])
    _, data = merged(tmp_path, frames, plain)
    assert data.labels == ("jump", "fall", "wave")
    assert (data.train, data.test) == (("v", "p", "q"), ("w",))
    assert clicks_of(data) == {"v": [("fall", 2.0)], "w": [("jump", 1.0)], "p": [("wave", 1.0)]}
    found = {click.video: click.extra for click in read_clicks(data.points_file)}
    assert (found["v"]["frame"], found["v"]["who"]) == ("50", "x")
    # With dataset.json, a video that has background only must be marked as labeled in part.
    assert data.partly() == {"q"}
    assert read_labeling(tmp_path / "all").partly == {"q": {"ann": "now"}}
    assert data.truth("test").videos == ("w",)


def test_test_videos_stay_test_videos(tmp_path):
    one = folder(tmp_path / "one", ["a", "b"], clicks=["x,a,1,,,", "x,b,1,,,"], files={"test.txt": "b\n"})
    two = folder(tmp_path / "two", ["b", "c"], clicks=["x,b,1,,,", "x,c,1,,,"])
    _, data = merged(tmp_path, one, two)
    assert data.test == ("one-b",)
    assert data.train == ("a", "c", "two-b")
    assert not (tmp_path / "all" / "dataset.json").exists()


def test_a_test_video_of_one_folder_is_no_training_video_of_another(tmp_path):
    one = folder(tmp_path / "one", {"a": "1", "b": "film"}, clicks=["x,a,1,,,", "x,b,1,,k,"], files={"test.txt": "b\n"})
    two = folder(
        tmp_path / "two", {"c": "3", "d": "film"}, clicks=["x,c,1,,,", "x,d,1,,k,"], files={"train.txt": "c\nd\n"}
    )
    result, data = merged(tmp_path, one, two)
    assert (data.train, data.test) == (("a", "c"), ("b",))
    assert "test videos of one folder and training videos of another, kept for testing: b" in result.lines()


def test_a_list_of_training_videos_is_kept(tmp_path):
    one = folder(tmp_path / "one", ["a", "b"], clicks=["x,a,1,,,", "x,b,1,,,"], files={"train.txt": "b\n"})
    two = folder(tmp_path / "two", ["c", "d"], clicks=["x,c,1,,,"])
    _, data = merged(tmp_path, one, two)
    assert data.train == ("b", "c")


def test_each_folder_is_a_group_unless_it_has_groups(tmp_path):
    one = folder(tmp_path / "one", ["a", "b"], clicks=["x,a,1,,,", "x,b,1,,,"])
    two = folder(tmp_path / "two", ["c", "d"], clicks=["x,c,1,,,"], files={"groups.csv": "video_id,group\nc,hall\n"})
    _, data = merged(tmp_path, one, two)
    assert read_groups(data.folder, data.train) == {"a": "one", "b": "one", "c": "hall"}


def test_one_folder_is_no_group(own, tmp_path):
    """A single group would leave nothing to hold out."""
    merged(tmp_path, own)
    assert not (tmp_path / "all" / "groups.csv").exists()


def test_names_are_kept_where_they_are_unique(tmp_path):
    one = folder(tmp_path / "x" / "cam", ["v", "cam-v", "own"], clicks=["x,v,1,,,"])
    two = folder(tmp_path / "y" / "cam", ["V", "other"], clicks=["x,V,2,,,"])
    three = folder(tmp_path / "z", ["x-cam-v"], clicks=["x,x-cam-v,3,,,"])
    _, data = merged(tmp_path, one, two, three)
    assert set(clicks_of(data)) == {"x-cam-v-2", "y-cam-V", "x-cam-v"}
    assert clicks_of(data)["x-cam-v"] == [("x", 3.0)]
    names = {path.name for path in (tmp_path / "all" / "videos").iterdir()}
    assert names == {"x-cam-v-2.mp4", "y-cam-V.mp4", "x-cam-v.mp4", "cam-v.mp4", "own.mp4", "other.mp4"}


def test_the_same_video_is_taken_once(tmp_path):
    one = folder(tmp_path / "one", {"a": "film", "b": "b"}, clicks=["x,a,1,ann,k1,", "x,b,1,ann,k2,"])
    two = folder(tmp_path / "two", {"z": "film"}, clicks=["x,z,1,ann,k1,", "x,z,1.4,bob,k3,"])
    three = folder(tmp_path / "three", {"q": "film"}, clicks=[], withheld=["q,5,6,x,,,"], partly={"q": {"c": "t"}})
    result, data = merged(tmp_path, one, two, three)
    assert {path.name for path in (tmp_path / "all" / "videos").iterdir()} == {"a.mp4", "b.mp4"}
    assert [(c.video, c.annotator) for c in read_clicks(data.points_file)] == [("a", "ann"), ("a", "bob"), ("b", "ann")]
    assert spans_of(data) == {"a": [(5.0, 6.0, "x")]}
    assert data.partly() == frozenset()
    assert "2 videos that another folder has, too: taken once, with the labels of both" in result.lines()


@pytest.mark.parametrize(
    ("clicks", "marks", "words"),
    [
        (["x,z,1,ann,k1,", "x,z,7,ann,k9,"], {}, "at 7.000 s is in one of them only"),
        (["y,z,1,ann,k9,"], {}, "is in one of them only"),
        (["x,z,2,ann,k1,"], {}, "the click k1 was changed"),
        (["x,z,1.5,ann,k9,"], {}, "is at 1.500 s in the other"),
        ([], {"nothing": {"z": {"bob": "t"}}}, "is in one of them only"),
    ],
)
def test_the_same_video_with_other_labels_is_refused(tmp_path, clicks, marks, words):
    one = folder(tmp_path / "one", {"a": "film"}, clicks=["x,a,1,ann,k1,"])
    two = folder(tmp_path / "two", {"z": "film", "n": "n"}, clicks=[*clicks, "x,n,1,,,"], **marks)
    with pytest.raises(InputError, match=words) as error:
        merged(tmp_path, one, two)
    assert error.value.code == "merge-conflict"
    assert "a.mp4" in str(error.value)
    assert "z.mp4" in str(error.value)
    assert not (tmp_path / "all").exists()


def test_a_span_that_excludes_the_click_of_the_other_folder_is_refused(tmp_path):
    one = folder(tmp_path / "one", {"a": "film"}, clicks=["x,a,1,ann,k1,"], partly={"a": {"c": "t"}})
    two = folder(tmp_path / "two", {"z": "film"}, spans=["z,0,2,x,,,"])
    with pytest.raises(InputError, match="that excludes it"):
        merged(tmp_path, one, two)


def test_ids_are_told_apart_and_confirmations_follow(tmp_path):
    mark = {"confirmed": {"k": {"ann": "t"}}}
    one = folder(tmp_path / "one", ["a"], clicks=["x,a,1,,k,"])
    two = folder(tmp_path / "two", ["b"], clicks=["x,b,1,,k,"], **mark)
    _, data = merged(tmp_path, one, two)
    assert {click.video: click.id for click in read_clicks(data.points_file)} == {"a": "k", "b": "k-2"}
    assert read_labeling(data.folder).confirmed == {"k-2": {"ann": "t"}}


def test_what_is_left_out_is_said(tmp_path):
    one = folder(
        tmp_path / "one",
        ["a"],
        clicks=["x,a,1,,,"],
        spans=["gone,1,2,x,,,"],
        nothing={"away": {"ann": "t"}},
        reaction_s={"ann": 0.2},
        files={"gt.json": json.dumps({"database": {"lost": {"annotations": []}}})},
    )
    two = folder(tmp_path / "two", ["b"], clicks=["x,b,1,,,"], reaction_s={"ann": 0.3})
    result, _ = merged(tmp_path, one, two)
    assert result.losses() == [
        "one: left out: 1 background span of videos that are not in the folder",
        "one: left out: 1 mark of videos that are not in the folder",
        "one: left out: 1 entry of the ground truth of videos that are not in the folder",
        "two: left out: reaction time of ann, which another folder has with another value",
    ]


def test_a_camera_without_a_click_yet_is_taken(door, tmp_path):
    """`state/reviews/*` has such folders as long as all verdicts were "wrong"."""
    yard = folder(tmp_path / "yard", ["y"], withheld=["y,1,2,open,,,r"], classes=["open"], partly={"y": {"ann": "t"}})
    _, data = merged(tmp_path, door, yard)
    assert spans_of(data)["y"] == [(1.0, 2.0, "open")]


def test_a_class_that_is_in_no_use_may_be_spelled_otherwise(tmp_path):
    """The list of keys may have a class that nobody has clicked; training takes such a folder."""
    one = folder(tmp_path / "one", ["a"], clicks=["open,a,1,,,"], classes=["Open", "open"])
    assert merged(tmp_path, one)[1].labels == ("open",)


def test_test_videos_by_the_ground_truth_alone_are_named(tmp_path):
    truth = {"database": {"b": {"subset": "test", "annotations": []}}}
    one = folder(tmp_path / "one", ["a", "b"], clicks=["x,a,1,,,"], files={"gt.json": json.dumps(truth)})
    two = folder(tmp_path / "two", ["c", "d"], clicks=["x,c,1,,,"], files={"test.txt": "d\n"})
    lines = merged(tmp_path, one, two)[0].lines()
    assert "1 video that only gt.json marks as test videos: not in test.txt (b)" in lines
    assert "1 test video without ground truth (d)" in lines


def test_classes_that_differ_in_spelling_are_refused(door, tmp_path):
    for other in ("Open", "o\u200bpen", "open\u00a0"):
        two = folder(tmp_path / "two", ["b"], clicks=[f"{other},b,1,,,"])
        if other.strip() == "open":
            assert merged(tmp_path, door, two)[1].labels == ("open",)
            continue
        with pytest.raises(InputError, match="'open' and") as error:
            merged(tmp_path, door, two)
        assert error.value.code == "label-alike"

"""A folder of videos and clicks without dataset.json is a data set; several annotators; `punctum data init`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.annotators import SAME_ACTION_S, Mark, compare, one_per_action
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.init import init_dataset
from punctum.runtime.datasets.labeled import RECORD, SCHEMA, read_labeling
from punctum.runtime.labeling.folder import open_folder

HEAD = "class,video_id,time_s,annotator\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four videos, of which one has clicks and in one nothing happens."""
    place = tmp_path / "my-videos"
    place.mkdir()
    for name in ("a.mp4", "b.avi", "c.mov", "d.mp4"):
        (place / name).write_bytes(b"x")
    (place / "points.csv").write_text(HEAD + "open,a,1.5,ann\nclose,a.mp4,2.5,ann\n")
    marks = {"nothing": {"c": {"ann": "2026-01-01T00:00:00Z"}}, "classes": ["open", "knock", "close"]}
    (place / RECORD).write_text(json.dumps({"schema": SCHEMA, **marks}))
    return place


def test_classes_videos_and_clicks_come_from_the_clicks(folder: Path):
    data = Dataset.open(folder, need_features=False)
    assert data.labels == ("open", "close")  # in the order of the keys; without the class that has no click
    assert data.train == ("a", "c")
    assert data.test == ()
    assert data.unlabeled == 2
    assert data.only_videos
    assert data.video_file("c") == folder / "c.mov"
    assert [(p.label, p.time_s) for p in data.points()["a"]] == [(0, 1.5), (1, 2.5)]
    assert data.name == "my-videos"


def test_videos_in_a_subfolder_and_test_videos_apart(folder: Path):
    (folder / "videos").mkdir()
    for path in [*folder.glob("*.mp4"), *folder.glob("*.mov"), *folder.glob("*.avi")]:
        path.rename(folder / "videos" / path.name)
    (folder / "test.txt").write_text("c\n")
    data = Dataset.open(folder, need_features=False)
    assert (data.train, data.test) == (("a",), ("c",))
    assert data.video_file("a").parent == folder / "videos"


def test_without_clicks_the_error_says_how_to_label(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "points.csv").unlink()
    with pytest.raises(InputError, match="punctum label") as error:
        Dataset.open(folder, need_features=False)
    assert error.value.code == "points-missing"
    pytest.importorskip("torch", reason="training needs torch")
    assert invoke(["train", str(folder), "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "contains 4 videos and no points.csv" in told
    assert f"punctum label {folder}" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("class,video_id,point\nopen,a,30\n", "points-frames"),
        (HEAD, "points-empty"),
        (HEAD + "open,a,1,x\nOpen,a,2,x\n", "label-alike"),
        (HEAD + "open,a,soon,x\n", "points-row"),
    ],
)
def test_what_is_wrong_with_the_clicks_is_said(folder: Path, text: str, code: str):
    (folder / "points.csv").write_text(text)
    with pytest.raises(InputError) as error:
        Dataset.open(folder, need_features=False)
    assert error.value.code == code
    assert [finding.code for finding in check_dataset(folder).errors] == [code]


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"schema": "other"}', json.dumps({"schema": SCHEMA, "nothing": {"a": 1}})]
)
def test_a_damaged_record_is_an_error(folder: Path, text: str):
    (folder / RECORD).write_text(text)
    with pytest.raises(InputError) as error:
        read_labeling(folder)
    assert error.value.code in ("labeling-record", "json-unreadable")


def test_clicks_of_a_video_that_is_gone_are_an_error_of_that_video(folder: Path):
    (folder / "points.csv").write_text(HEAD + "open,a,1.5,\nopen,gone,1,\n")
    data = Dataset.open(folder, need_features=False)
    assert "gone" in data.train
    with pytest.raises(InputError, match="gone"):
        data.video_file("gone")


def test_videos_that_are_not_finished_are_named(folder: Path):
    pytest.importorskip("av", reason="PyAV is not installed")
    record = json.loads((folder / RECORD).read_text())
    assert "video-unfinished" not in [finding.code for finding in check_dataset(folder).warnings]
    (folder / RECORD).write_text(json.dumps({**record, "finished": {"b": {"ann": "now"}}}))
    (found,) = [finding for finding in check_dataset(folder).warnings if finding.code == "video-unfinished"]
    assert "1 video with clicks" in found.message
    (folder / RECORD).write_text(json.dumps({**record, "finished": {"a": {"ben": "now"}}}))
    assert "video-unfinished" not in [finding.code for finding in check_dataset(folder).warnings]


SPANS = "video_id,start_s,end_s,class\n"


def test_spans_of_classes_without_a_click_do_not_block_training(folder: Path):
    """The only click of a class was in doubt, and "no" has deleted it."""
    (folder / "background.csv").write_text(SPANS + "a,3,4,knock\na,5,6,open\nb,1,2,knock\n")
    data = Dataset.open(folder, need_features=False)
    assert data.train == ("a", "c")  # of b, nothing is known that training learns
    assert [(s.start_s, s.label) for s in data.background()["a"]] == [(5.0, 0)]
    assert "b" not in data.background()
    result = check_dataset(folder)
    assert "label-unknown" not in [f.code for f in result.errors]
    (found,) = [f for f in result.warnings if f.code == "background-unused"]
    assert "2 spans of classes without a click (knock)" in found.message
    init_dataset(folder)
    assert Dataset.open(folder, need_features=False).background().keys() == {"a"}


def test_unused_spans_leave_a_video_labeled_in_part(folder: Path):
    (folder / "background.csv").write_text(SPANS + "b,1,2,knock\n")
    (folder / "train.txt").write_text("a\nb\nc\n")
    data = Dataset.open(folder, need_features=False)
    assert (data.train, data.partly()) == (("a", "b", "c"), {"b"})


def test_spans_of_other_classes_are_still_an_error(folder: Path):
    (folder / "background.csv").write_text(SPANS + "a,3,4,fly\n")
    assert "label-unknown" in [f.code for f in check_dataset(folder).errors]


def test_marks_and_spans_of_a_video_that_is_gone_do_not_block_training(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder / "c.mov").unlink()
    (folder / "background.csv").write_text(SPANS + "gone,3,4,open\n")
    data = Dataset.open(folder, need_features=False)
    assert data.train == ("a",)
    assert "not in" in caplog.text
    assert "video-gone" in [f.code for f in check_dataset(folder).warnings]


@pytest.mark.parametrize("name", ["li\nne", " front", "back ", "dark\x07"])
def test_a_video_that_no_list_can_name_is_named_at_once(folder: Path, name: str):
    (folder / f"{name}.mp4").write_bytes(b"x")
    assert Dataset.open(folder, need_features=False).train == ("a", "c")  # nobody has labeled it
    (folder / "points.csv").write_text(f'{HEAD}"{name}",a,1,\nopen,"{name}",1,\n'.replace(f'"{name}",a', "open,a"))
    with pytest.raises(InputError, match=r"rename") as error:
        Dataset.open(folder, need_features=False)
    assert error.value.code == "video-names"
    with pytest.raises(InputError) as error:
        open_folder(folder)
    assert error.value.code == "video-names"


def test_only_answers_no_are_no_data_set(folder: Path):
    (folder / "points.csv").write_text(HEAD)
    (folder / "background.csv").write_text(SPANS + "a,3,4,open\nb,3,4,\n")
    with pytest.raises(InputError, match=r"2 spans.*at least one action") as error:
        Dataset.open(folder, need_features=False)
    assert error.value.code == "points-empty"


POINTS_FILES = [
    *(
        "labeling.json",
        "background.csv",
        "Background.CSV",
        "dataset.json",
        "a.csv/../x.csv",
        "../x.csv",
        "./x.csv",
        "x//y.csv",
    ),
    *("/elsewhere/x.csv", "train.txt", "a.mp4", ".hidden.csv", ".punctum-label/x.csv", "", "groups.csv"),
]


@pytest.mark.parametrize("points", POINTS_FILES)
def test_points_files_that_are_none_are_refused(folder: Path, points: str):
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError) as error:
        open_folder(folder, points=points)
    assert error.value.code in ("label-points", "path")
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("name", ["x" * 101, "a\x07b", "\u200b", "=1", "\udcff"])
def test_classes_that_no_page_can_show_are_refused(folder: Path, name: str):
    with pytest.raises(InputError) as error:
        open_folder(folder, classes=["open", name])
    assert error.value.code == "label-class"
    with pytest.raises(InputError, match="201"):
        open_folder(folder, classes=[f"k{k}" for k in range(201)])


def test_init_writes_what_opening_without_it_assumes(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = Dataset.open(folder, need_features=False)
    assert invoke(["data", "init", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {folder / 'dataset.json'}",
        f"wrote {folder / 'train.txt'}",
    ]
    after = Dataset.open(folder, need_features=False)
    assert (after.labels, after.train, after.name) == (before.labels, before.train, before.name)
    assert after.points() == before.points()
    assert after.video_file("a") == before.video_file("a")
    assert invoke(["data", "init", str(folder)]) == 2
    assert "already exists" in capsys.readouterr().err


def test_init_asks_for_the_frame_rate_of_clicks_in_frames(folder: Path):
    (folder / "points.csv").write_text("class,video_id,point\nopen,a,30\n")
    assert invoke(["data", "init", str(folder)]) == 0
    facts = json.loads((folder / "dataset.json").read_text())
    assert facts["fps"] == 0
    facts["fps"] = 20
    (folder / "dataset.json").write_text(json.dumps(facts))
    assert Dataset.open(folder, need_features=False).points()["a"][0].time_s == 1.5


def test_init_refuses_a_folder_that_is_being_labeled(folder: Path, capsys: pytest.CaptureFixture[str]):
    opened = open_folder(folder)
    assert invoke(["data", "init", str(folder)]) == 2
    assert "error [label-running]" in capsys.readouterr().err
    assert not (folder / "dataset.json").exists()
    opened.store.close()
    assert invoke(["data", "init", str(folder)]) == 0


def test_init_refuses_other_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke(["data", "init", str(tmp_path)]) == 2
    assert invoke(["data", "init", str(tmp_path / "none")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_two_annotators_click_one_action_once(folder: Path):
    rows = "open,a,1.0,ann\nopen,a,1.6,ben\nclose,a,1.2,ben\nopen,a,4,ann\nopen,a,4.5,ann\n"
    (folder / "points.csv").write_text(HEAD + rows)
    points = Dataset.open(folder, need_features=False).points()["a"]
    assert [(p.label, round(p.time_s, 3)) for p in points] == [(1, 1.2), (0, 1.3), (0, 4.0), (0, 4.5)]


def test_clicks_without_annotators_are_never_joined(folder: Path):
    (folder / "points.csv").write_text("class,video_id,time_s\nopen,a,1.0\nopen,a,1.1\n")
    assert len(Dataset.open(folder, need_features=False).points()["a"]) == 2


def marks(who: str, *clicks: tuple[str, float]) -> list[Mark]:
    return [Mark(who, label, time_s, f"{who}{k}") for k, (label, time_s) in enumerate(clicks)]


def test_agreement_counts_actions():
    first = marks("ann", ("open", 1.0), ("open", 2.0), ("close", 5.0), ("open", 9.0))
    second = marks("ben", ("open", 1.2), ("open", 2.9), ("open", 5.3))
    result = compare(first, second)
    assert [(p.first.time_s, p.second.time_s) for p in result.agreed] == [(1.0, 1.2), (2.0, 2.9)]
    assert [(p.first.label, p.second.label) for p in result.classes] == [("close", "open")]
    assert [mark.time_s for mark in result.alone] == [9.0]
    assert result.share == 0.5
    assert compare([], []).share == 1.0


def test_repeated_actions_are_matched_one_to_one():
    first, second = (
        marks("ann", *[("knock", 0.5 * k) for k in range(20)]),
        marks("ben", *[("knock", 0.5 * k + 0.1) for k in range(19)]),
    )
    result = compare(first, second)
    assert len(result.agreed) == 19
    assert all(pair.second.time_s - pair.first.time_s == pytest.approx(0.1) for pair in result.agreed)
    assert len(one_per_action([*first, *second])) == 20


def test_three_annotators():
    clicks = [*marks("a", ("open", 1.0)), *marks("b", ("open", 1.3)), *marks("c", ("open", 1.6), ("close", 8.0))]
    assert one_per_action(clicks) == [("open", pytest.approx(1.3)), ("close", 8.0)]


BAD_NAMES = ["li\u2028ft", "li\u202eft", "x" * 1025]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("column", ["time_s", "point"])
def test_a_class_that_no_bundle_can_have_is_refused_when_it_is_read(folder: Path, name: str, column: str):
    (folder / "points.csv").write_text(f'class,video_id,{column}\n"{name}",a,1.0\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        init_dataset(folder)
    assert caught.value.code == "class-name" and "points.csv" in str(caught.value) and len(str(caught.value)) < 500
    assert not (folder / "dataset.json").exists() and not (folder / "train.txt").exists()


@pytest.mark.parametrize("name", [*BAD_NAMES, "li\nft"])
def test_a_class_of_dataset_json_likewise(folder: Path, name: str):
    (folder / "dataset.json").write_text(json.dumps({"classes": ["open", name], "video_folder": "."}))
    with pytest.raises(InputError) as caught:
        Dataset.open(folder, need_features=False)
    assert caught.value.code == "class-name" and "dataset.json" in str(caught.value)


def test_clicks_of_other_videos_make_no_data_set(folder: Path):
    (folder / "points.csv").write_text("class,video_id,time_s\nopen,nobody,1.0\n")  # a video without action remains
    with pytest.raises(InputError, match="nobody") as caught:
        init_dataset(folder)
    assert caught.value.code == "train-list"
    assert not (folder / "dataset.json").exists() and not (folder / "train.txt").exists()


def test_clicks_of_other_videos_are_left_out_and_counted(folder: Path, caplog: pytest.LogCaptureFixture):
    rows = ["open,a,1.0", "open,nobody,1.0", "open,nobody,2.0", "open,else,1.0"]
    (folder / "points.csv").write_text("class,video_id,time_s\n" + "\n".join(rows) + "\n")
    init_dataset(folder)
    assert "nobody" not in (folder / "train.txt").read_text()
    assert "3 clicks of videos that are not in" in caplog.text and "nobody" in caplog.text


@st.composite
def some_marks(draw: st.DrawFn, who: str) -> list[Mark]:
    times = draw(st.lists(st.integers(0, 16).map(lambda k: k / 4), max_size=12))
    return [Mark(who, draw(st.sampled_from("xyz")), time_s, f"{who}{k}") for k, time_s in enumerate(times)]


def slowly(first: list[Mark], second: list[Mark], *, same: bool) -> set[tuple[Mark, Mark]]:
    """Pairs of marks, the nearest first, by looking at all of them."""
    first, second = sorted(first, key=lambda m: m.time_s), sorted(second, key=lambda m: m.time_s)
    every = [
        (abs(a.time_s - b.time_s), i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if abs(a.time_s - b.time_s) <= SAME_ACTION_S and (not same or a.label == b.label)
    ]
    pairs: dict[int, int] = {}
    for _, i, j in sorted(every):
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return {(first[i], second[j]) for i, j in pairs.items()}


@given(some_marks("ann"), some_marks("ben"))
def test_the_nearest_clicks_are_matched_first(first: list[Mark], second: list[Mark]):
    found = compare(first, second)
    agreed = slowly(first, second, same=True)
    assert set(found.agreed) == agreed
    used = {mark for pair in agreed for mark in pair}
    rest = ([m for m in first if m not in used], [m for m in second if m not in used])
    assert set(found.classes) == slowly(*rest, same=False)


def test_many_clicks_at_one_place_are_matched_at_once():
    """20,000 clicks of two annotators within 8 s have 75 million pairs that are close enough."""
    clicks = [Mark("ab"[k % 2], "x", 8 * (k // 2) / 10_000, k) for k in range(20_000)]
    assert len(one_per_action(clicks)) == 10_000

"""Every fault that a data set can have is found, with its file and line, and none hides another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import InputError
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.datasets.located_json import parse_located

from tests.helpers import datasets as make


@pytest.fixture
def folder(tmp_path) -> Path:
    return make.make_ours(tmp_path / "d")


def edit(path: Path, change) -> None:
    record = json.loads(path.read_text())
    change(record["database"])
    path.write_text(json.dumps(record, indent=1))


def the(report, code: str):
    found = [f for f in report.findings if f.code == code]
    assert len(found) == 1, [(f.code, f.message) for f in report.findings]
    assert found[0].message and found[0].fix
    return found[0]


def test_a_sound_data_set(folder):
    report = check_dataset(folder)
    assert report.findings == []
    assert report.summary["train videos"] == 4
    assert report.summary["seconds"] == 70.0
    assert report.summary["points per class"] == {"wave": 3, "push": 3, "turn": 2}
    assert report.summary["actions in the ground truth"] == 14
    json.dumps(report.to_record(), allow_nan=False)


def test_a_folder_of_test_videos_only_is_sound_for_evaluation(folder):
    (folder / "train.txt").unlink()
    make.write_rows(folder / "points.csv", make.point_rows([f"v{i}" for i in range(7)]))
    report = check_dataset(folder)
    assert report.errors == []
    assert the(report, "list-missing").severity == "warning"
    assert "points in training videos" not in report.summary
    assert report.summary["points in test videos"] == sum(report.summary["points per class"].values()) > 0
    listed = report.summary["actions in the ground truth"]
    assert listed + report.summary["actions of videos in neither list, not used"] == 14
    (folder / "points.csv").unlink()
    assert check_dataset(folder).errors == []


def test_clicks_count_as_often_as_training_uses_them(folder):
    before = check_dataset(folder).summary["points in training videos"]
    lines = (folder / "points.csv").read_text().splitlines()
    first = next(line for line in lines[1:] if ",v0," in line or line.split(",")[1] == "v0")
    (folder / "points.csv").write_text("\n".join([*lines, first]) + "\n")
    report = check_dataset(folder)
    assert the(report, "point-duplicate")
    assert report.summary["points in training videos"] == before


def test_without_truth_the_clicks_judge(folder):
    (folder / "gt.json").unlink()
    found = the(check_dataset(folder), "truth-missing")
    assert "by clicks only" in found.message
    assert "punctum eval" in found.fix


@pytest.mark.parametrize("kind", ["lacp", "hrpro"])
def test_sound_published_layouts(tmp_path, kind):
    folder = make.make_published(tmp_path, kind)
    # 40 snippets of 0.64 s are 25.6 s; the maker's truth says 10 s, which is what a wrong frame rate looks like.
    report = check_dataset(folder)
    assert report.errors == []
    assert {f.code for f in report.findings} == {"features-duration"}


def save(array):
    return lambda path: np.save(path, array, allow_pickle=True)


GOOD = make.features(0)


@pytest.mark.parametrize(
    ("spoil", "code", "severity"),
    [
        (lambda p: p.unlink(), "features-missing", "error"),
        (lambda p: p.write_bytes(p.read_bytes()[:300]), "features-unreadable", "error"),
        (lambda p: p.write_bytes(b""), "features-unreadable", "error"),
        (lambda p: p.write_text("hello"), "features-unreadable", "error"),
        (save(np.array([{"a": 1}], dtype=object)), "features-unreadable", "error"),
        (save(GOOD[:, :3]), "features-dimension", "error"),
        (save(GOOD[:, 0]), "features-shape", "error"),
        (save(GOOD[:0]), "features-empty", "error"),
        (save(GOOD.astype(np.complex64)), "features-dtype", "error"),
        (save(np.where(np.arange(6) == 2, np.nan, GOOD)), "features-not-finite", "error"),
        (save(np.where(np.arange(6) == 2, -np.inf, GOOD)), "features-not-finite", "error"),
        (save(GOOD.astype(np.float64)), "features-dtype", "warning"),
        (save(np.ones_like(GOOD)), "features-constant", "warning"),
    ],
)
def test_features(folder, spoil, code, severity):
    path = folder / "features" / "v2.npy"
    spoil(path)
    found = the(check_dataset(folder), code)
    assert (found.severity, found.file) == (severity, str(path))


def test_features_that_do_not_match_the_duration(folder):
    np.save(folder / "features" / "v1.npy", make.features(1)[:20])
    report = check_dataset(folder)
    assert report.errors == [] or {f.code for f in report.errors} == {"point-outside-video"}
    found = the(report, "features-duration")
    assert "v1 lasts 10.00 s, its features 5.00 s" in found.message


def test_points_by_line(folder):
    rows = make.point_rows([f"v{i}" for i in range(7)])
    rows[2][0] = "hop"  # line 3
    rows[3][4] = 100_000  # line 4
    rows[4][4] = "soon"  # line 5
    rows.append(list(rows[5]))  # line 16 repeats line 6, and is out of order
    rows.append(["wave", 0, 0, "stranger", 3])
    make.write_rows(folder / "points.csv", rows)
    report = check_dataset(folder)
    where = {f.code: (f.severity, f.line) for f in report.findings}
    assert where == {
        "label-unknown": ("error", 3),
        "point-outside-video": ("error", 4),
        "points-row": ("error", 5),
        "point-duplicate": ("warning", 16),
        "points-unsorted": ("warning", 16),
        "points-unlisted": ("warning", 0),
        "class-held-out": ("warning", 0),
    }


@pytest.mark.parametrize(
    ("column", "advice"), [("time_s", "check the time"), ("point", "check the frame number and fps")]
)
def test_a_point_outside_its_video_names_what_was_written(folder, column, advice):
    (folder / "points.csv").write_text(f"class,video_id,{column}\nwave,v0,99999\n")
    assert the(check_dataset(folder), "point-outside-video").fix.startswith(advice)


def test_negative_points_and_points_just_behind_the_end(folder):
    rows = make.point_rows([f"v{i}" for i in range(7)])
    rows[1][4], rows[4][4] = -1, 203  # 203 / 20 fps = 10.15 s of 10 s: the last snippet was cut off
    make.write_rows(folder / "points.csv", rows)
    assert the(check_dataset(folder), "point-outside-video").line == 2


def test_videos_and_classes_without_points(folder):
    rows = make.point_rows([f"v{i}" for i in range(7)])
    make.write_rows(folder / "points.csv", [rows[0]] + [r for r in rows[1:] if r[3] != "v3" and r[0] != "turn"])
    report = check_dataset(folder)
    assert the(report, "video-without-points").message == "no click in 1 training video (v3)"
    assert "turn" in the(report, "class-without-points").message


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("clip,frame\n", "points-columns", "line 1"),
        ("", "points-columns", "nothing"),
        ('class,video_id,point\nwave,"v0,3\n', "points-unreadable", "line"),
    ],
)
def test_points_file_that_is_no_table(folder, text, code, word):
    (folder / "points.csv").write_text(text)
    assert word in the(check_dataset(folder), code).message


def test_missing_points_file(folder):
    assert the(check_dataset(folder, points="human.csv"), "points-missing").severity == "error"


def test_lists(folder):
    (folder / "train.txt").write_text("v0\nv1\nv2\nv3\nv1\n")
    (folder / "test.txt").write_text("v4\nv2\n")
    report = check_dataset(folder)
    twice, both = the(report, "list-duplicate"), the(report, "split-overlap")
    assert (Path(twice.file).name, twice.line) == ("train.txt", 5)
    assert (Path(both.file).name, both.line) == ("test.txt", 2)
    assert "line 3 of train.txt" in both.message
    assert "2 files" in the(report, "features-unlisted").message
    (folder / "test.txt").write_text("\n")
    assert the(check_dataset(folder), "list-empty").severity == "warning"
    (folder / "test.txt").unlink()
    absent = the(check_dataset(folder), "list-empty")
    assert (absent.severity, absent.message, Path(absent.file).name) == ("warning", "no test.txt", "test.txt")
    assert "nothing for training" in absent.fix


def test_truth_by_line(folder):
    path = folder / "gt.json"

    def spoil(videos):
        videos["v0"]["annotations"][0]["segment"] = [3, 2]
        videos["v0"]["annotations"][1]["segment"] = [8, 99]
        videos["v1"]["annotations"][0]["label"] = "hop"
        videos["v1"]["annotations"][1]["segment"] = [4, 4]
        videos["v2"]["annotations"][0] = {"label": "wave"}
        videos["v2"]["annotations"].append(videos["v2"]["annotations"][1])
        videos["v3"]["duration"] = "long"
        videos["v4"]["annotations"] = None
        del videos["v5"]

    edit(path, spoil)
    report = check_dataset(folder)
    lines = path.read_text().splitlines()
    expected = {
        "truth-swapped": "error",
        "truth-outside": "warning",
        "label-unknown": "error",
        "truth-zero-length": "warning",
        "truth-repeated": "warning",
        "truth-duration": "error",
        "truth-missing-video": "error",
    }
    for code, severity in expected.items():
        assert the(report, code).severity == severity
    assert sum(f.code == "truth-form" for f in report.findings) == 2
    assert len(report.findings) == len(expected) + 2
    # The line is that of the annotation's opening brace.
    swapped = the(report, "truth-swapped").line
    assert lines[swapped - 1].strip() == "{"
    assert '"label"' in lines[swapped] and lines[swapped + 2].strip() == "3,"
    assert '"v3"' in lines[the(report, "truth-duration").line - 1]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('{"database": {\n"v4": {\n"annotations": [,]}}}', "json-unreadable", 3),
        ("", "json-unreadable", 1),
        ("[]", "truth-form", 1),
        ('{"database": 3}', "truth-form", 1),
        ("[" * 100_000, "json-unreadable", 0),
    ],
)
def test_truth_that_is_not_in_form(folder, text, code, line):
    (folder / "gt.json").write_text(text)
    assert the(check_dataset(folder), code).line == line


def test_truth_in_another_encoding_and_absent(folder):
    (folder / "gt.json").write_bytes(b'{"database": "\xff"}')
    assert the(check_dataset(folder), "json-unreadable").severity == "error"
    (folder / "gt.json").unlink()
    absent = the(check_dataset(folder), "truth-missing")
    assert (absent.severity, "punctum convert" in absent.fix) == ("warning", True)
    with pytest.raises(InputError, match=r"gt\.json does not exist.*punctum convert") as caught:
        Dataset.open(folder).truth()
    assert caught.value.code == "truth-missing"


def test_a_video_that_stands_twice_in_the_truth(folder):
    text = (folder / "gt.json").read_text()
    (folder / "gt.json").write_text(text.replace('"v6"', '"v0"'))
    report = check_dataset(folder)
    assert "v0" in the(report, "truth-duplicate").message
    assert "v6" in the(report, "truth-missing-video").message


def test_faults_do_not_hide_each_other(folder):
    (folder / "features" / "v0.npy").unlink()
    (folder / "points.csv").write_text("nonsense")
    (folder / "gt.json").write_text("{")
    (folder / "test.txt").write_text("v4\nv4\nv0\n")
    codes = {f.code for f in check_dataset(folder).errors}
    assert codes == {"features-missing", "points-columns", "json-unreadable", "list-duplicate", "split-overlap"}


def test_a_folder_that_cannot_be_opened_is_one_finding(tmp_path, folder):
    assert the(check_dataset(tmp_path / "none"), "dataset-missing").severity == "error"
    assert "allowed" in the(check_dataset(folder, split="split_3"), "split-missing").fix
    (folder / "dataset.json").write_text('{\n "name": }')
    assert "line 2" in the(check_dataset(folder), "json-unreadable").message


def test_video_ids_cannot_leave_the_folder(folder):
    (folder / "test.txt").write_text("../gt\n")
    report = check_dataset(folder)
    assert the(report, "video-id").severity == "error"


def test_located_json():
    text = '{"a": [\n  {"b": 1},\n\n  {"b": {\n"c": null}}], "d": "x\\ny"}'
    found = parse_located(text)
    assert found == json.loads(text)
    assert (found.line, found["a"][0].line, found["a"][1].line, found["a"][1]["b"].line) == (1, 2, 4, 4)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "split"), [("gtea", "split_1"), ("gtea", "split_4"), ("shrec21", None)])
def test_real_data_sets_have_no_errors(shared_dir, name, split):
    report = check_dataset(shared_dir / "data" / name, split=split)
    assert report.errors == []
    # GTEA's features of some videos stop up to 7 s before the video does: worth knowing, not fatal.
    assert {f.code for f in report.findings} <= {"features-duration"}

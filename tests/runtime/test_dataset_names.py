"""Names that differ in spelling mean one video, or are refused with the reason: nothing is silently another."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.evaluation.average_precision import Detections, evaluate, read_detections
from punctum.runtime.text.name_index import NameIndex

from tests.helpers import datasets as make

NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def refused(code: str, call, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def folder(tmp_path) -> Path:
    return make.make_ours(tmp_path / "d")


def respell(folder: Path, old: str, new: str, *files: str) -> None:
    """Write `old` as `new` in some of the data set's files; "features" renames the feature file."""
    for name in files:
        if name == "features":
            (folder / "features" / f"{old}.npy").rename(folder / "features" / f"{new}.npy")
        else:
            path = folder / name
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("spelling", ["v1.mp4", "v1.MKV", "films/v1.mov", " v1", "v1 "])
@pytest.mark.parametrize("file", ["points.csv", "gt.json", "fps.json"])
def test_a_video_is_found_by_any_spelling(folder, spelling, file):
    (folder / "fps.json").write_text('{"v1": 40}')
    right = Dataset.open(folder)
    respell(folder, "v1", spelling, file)
    data = Dataset.open(folder)
    assert data.points() == right.points() and data.points()["v1"][0].time_s == 35 / 40
    assert data.truth("train").segments.tolist() == right.truth("train").segments.tolist()
    assert check_dataset(folder).errors == []


@pytest.mark.parametrize("spelling", ["v1.mp4", "v1.avi"])
def test_a_list_may_name_files(folder, spelling):
    right = Dataset.open(folder)
    respell(folder, "v1\n", f"{spelling}\n", "train.txt")
    data = Dataset.open(folder)
    assert np.array_equal(data.features(spelling).data, right.features("v1").data)
    assert data.points()[spelling] == right.points()["v1"]
    assert check_dataset(folder).findings == []


@pytest.mark.parametrize("files", [("points.csv",), ("gt.json",), ("features",), ("train.txt", "points.csv")])
def test_unicode_forms(folder, files):
    for name in ("points.csv", "gt.json", "features", "train.txt"):
        respell(folder, "v1", NFC, name)
    right = Dataset.open(folder)
    respell(folder, NFC, NFD, *files)
    data = Dataset.open(folder)
    name = data.train[1]
    assert np.array_equal(data.features(name).data, make.features(1))
    assert data.points()[name] == right.points()[NFC]
    assert data.truth("train").segments.tolist() == right.truth("train").segments.tolist()
    assert check_dataset(folder).findings == []


def test_unicode_forms_of_classes(folder):
    for name in ("points.csv", "gt.json", "dataset.json"):
        respell(folder, "wave", NFC, name)
    right = Dataset.open(folder)
    respell(folder, NFC, NFD, "points.csv")
    (folder / "gt.json").write_text(json.dumps(json.loads((folder / "gt.json").read_text()), ensure_ascii=True))
    respell(folder, json.dumps(NFC), json.dumps(f" {NFD} "), "gt.json")
    data = Dataset.open(folder)
    assert data.labels[0] == NFC and data.points() == right.points()
    assert data.truth().label.tolist() == right.truth().label.tolist()
    assert check_dataset(folder).findings == []


def test_capitals_are_refused_and_named(folder):
    respell(folder, "v1", "V1", "points.csv")
    refused("video-alike", Dataset.open(folder).points, "'V1'", "'v1'", "line 4")
    respell(folder, "V1", "v1", "points.csv")
    respell(folder, "v4", "V4", "gt.json")
    refused("truth-missing", Dataset.open(folder).truth, "'v4'", "'V4'")
    respell(folder, "v2", "V2", "features")
    refused("features-missing", lambda: Dataset.open(folder).features("v2"), "'V2'", "spell")
    report = check_dataset(folder)
    assert {f.code for f in report.errors} == {"truth-missing-video", "features-missing"}
    assert all("'V" in f.message for f in report.errors)


def test_one_video_twice_in_a_list(folder):
    (folder / "train.txt").write_text("v0\nv1\nv1.mp4\n")
    refused("list-duplicate", lambda: Dataset.open(folder), "'v1'", "'v1.mp4'")
    assert [f.code for f in check_dataset(folder).errors] == ["list-duplicate"]
    (folder / "train.txt").write_text("v0\nv1\n")
    (folder / "test.txt").write_text("v4\nv1.mp4\n")
    assert [f.code for f in check_dataset(folder).errors] == ["split-overlap"]


def test_a_name_that_could_be_either(folder):
    for ending in (".mp4", ".avi"):
        np.save(folder / "features" / f"v1{ending}.npy", make.features(1))
    (folder / "train.txt").write_text("v0\nv1.mp4\nv1.avi\n")
    refused("video-alike", Dataset.open(folder).points, "'v1.mp4'", "'v1.avi'")
    assert "video-alike" in {f.code for f in check_dataset(folder).errors}


def test_two_video_files_of_one_name(tmp_path):
    make.make_ours(tmp_path)
    (tmp_path / "videos").mkdir()
    for name in ("v0.mp4", "v0.avi", "v1.MOV", f"{NFD}.mkv"):
        (tmp_path / "videos" / name).touch()
    data = Dataset.open(tmp_path)
    refused("video-ambiguous", lambda: data.video_file("v0"), "v0.avi", "v0.mp4")
    assert data.video_file("v0.avi").name == "v0.avi"
    assert data.video_file("v1").name == "v1.MOV"
    assert data.video_file(NFC).name == f"{NFD}.mkv"
    refused("video-missing", lambda: data.video_file("V1"), "'v1.MOV'")


def test_equal_points_count_once(folder):
    right = Dataset.open(folder).points()
    with (folder / "points.csv").open("a") as stream:
        stream.writelines((folder / "points.csv").read_text().splitlines(keepends=True)[1:3])
    assert Dataset.open(folder).points() == right
    assert {f.code for f in check_dataset(folder).findings} == {"point-duplicate", "points-unsorted"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("told", ["", "sep"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_points_as_spreadsheets_save_them(folder, delimiter, told, encoding):
    right = Dataset.open(folder).points()
    lines = [delimiter.join(("CLASS", "Video_ID", "Time_S"))]
    for video, points in right.items():
        for i, p in enumerate(points):
            when = f"00:00:{p.time_s:06.3f}" if i % 2 else f"{p.time_s:g}"
            lines.append(delimiter.join((make.LABELS[p.label], video, when.replace(".", ","))))
    text = (f"sep={delimiter}\r\n" if told else "") + "\r\n".join(lines) + "\r\n"
    (folder / "points.csv").write_bytes(text.encode(encoding))
    assert Dataset.open(folder).points() == right
    assert check_dataset(folder).findings == []


def test_a_decimal_comma_that_splits_a_cell_is_refused(folder):
    (folder / "points.csv").write_text("class,video_id,time_s\nwave,v0,1,77\n")
    refused("points-row", Dataset.open(folder).points, "line 2", "decimal comma")
    errors = check_dataset(folder).errors
    assert "points-row" in {f.code for f in errors} and "decimal comma" in errors[0].message


@pytest.mark.parametrize(
    ("facts", "stride"),
    [
        ({"fps": "30000/1001", "snippet_frames": 3}, 0.1001),
        ({"fps": "29,97", "snippet_frames": 29.97}, 1.0),
        ({"fps": 20, "snippet_frames": "5"}, 0.25),
    ],
)
def test_rates_as_people_write_them(folder, facts, stride):
    info = json.loads((folder / "dataset.json").read_text()) | facts
    (folder / "dataset.json").write_text(json.dumps(info))
    assert Dataset.open(folder).stride_s == pytest.approx(stride)
    (folder / "fps.json").write_text('{"v0.mp4": "30000/1001"}')
    assert Dataset.open(folder).rate("v0") == pytest.approx(29.97003)


@pytest.mark.parametrize(
    "facts",
    [
        {"fps": True},
        {"fps": 1e300},
        {"fps": 1e-300},
        {"fps": "1/0"},
        {"feature_dim": 6.5},
        {"feature_dim": 10**400},
        {"feature_dim": -6},
        {"classes": ["wave", None]},
        {"classes": ["wave", ["push"]]},
        {"classes": ["wave", ""]},
        {"classes": ["wave", "wave "]},
        {"classes": [NFC, NFD]},
        {"name": {"a": 1}},
        {"name": "\udcff"},
        {"video_folder": 3.5},
        {"video_folder": 10**400},
        {"feature_key": []},
    ],
)
def test_dataset_json_with_values_of_other_kinds(folder, facts):
    info = json.loads((folder / "dataset.json").read_text()) | facts
    (folder / "dataset.json").write_text(json.dumps(info))
    refused("dataset-json", lambda: Dataset.open(folder))
    assert [f.code for f in check_dataset(folder).errors] == ["dataset-json"]


@pytest.mark.parametrize("name", ["\ud800", "a\nb", "a\u2028b", "a\u202eb", "a" * 1025])
def test_classes_that_no_bundle_can_have(folder, name):
    info = json.loads((folder / "dataset.json").read_text()) | {"classes": ["wave", name]}
    (folder / "dataset.json").write_text(json.dumps(info))
    refused("class-name", lambda: Dataset.open(folder))
    assert [f.code for f in check_dataset(folder).errors] == ["class-name"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"fps": ' + "9" * 5000 + "}", '{"fps": 1, "fps": 2}', "\x00", "[1"])
def test_dataset_json_that_is_broken(folder, text):
    (folder / "dataset.json").write_text(text)
    refused("json-unreadable", lambda: Dataset.open(folder))


def test_a_key_that_stands_twice_in_the_truth(folder):
    path = folder / "gt.json"
    path.write_text(path.read_text().replace('"v5"', '"v4"'))
    refused("json-unreadable", Dataset.open(folder).truth, "'v4'", "twice")


@pytest.mark.parametrize("kind", ["lacp", "hrpro"])
def test_published_layouts_as_spreadsheets_save_them(tmp_path, kind):
    folder = make.make_published(tmp_path / "d", kind)
    right = Dataset.open(folder)
    expected, labels = right.points(), right.labels
    text = right.points_file.read_text()
    right.points_file.write_bytes(text.replace(",", ";").replace("class;", "Class;").encode("utf-8-sig"))
    again = Dataset.open(folder)
    assert (again.points(), again.labels) == (expected, labels)
    right.points_file.write_text(text.replace("wave", "Wave", 1))
    refused("label-alike", lambda: Dataset.open(folder), "'Wave'", "'wave'")


def test_a_truth_of_no_length_is_never_found(folder):
    path = folder / "gt.json"
    record = json.loads(path.read_text())
    record["database"]["v4"]["annotations"][0]["segment"] = [2.0, 2.0]
    path.write_text(json.dumps(record))
    truth = Dataset.open(folder).truth()
    rows = [(int(v), int(c), a, b, 0.9) for v, c, (a, b) in zip(truth.video, truth.label, truth.segments, strict=True)]
    found = evaluate(truth, Detections.from_rows(rows))
    assert found.truths == 6
    assert 0 < found.average < 1
    report = check_dataset(folder)
    assert report.errors == [] and [f.code for f in report.warnings] == ["truth-zero-length"]


def test_detections_by_any_spelling(folder, tmp_path):
    truth = Dataset.open(folder).truth()
    one = {"label": " wave", "segment": [1, 2], "score": 0.5}
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"results": {"v4.mp4": [one], "films/v5.avi": [one], "v6": [], "V4": [one]}}))
    found = read_detections(path, truth)
    assert found.video.tolist() == [0, 1] and found.ignored_videos == ("V4",)
    path.write_text(json.dumps({"results": {"v4.mp4": [one], "v4": [one]}}))
    refused("video-alike", lambda: read_detections(path, truth), "'v4.mp4'", "'v4'")


def test_name_index():
    names = NameIndex(["a", "B.mp4", NFC, "x 1"], media=True)
    assert [names.find(n) for n in ("a", "a.avi", "B", "dir/B.mov", NFD, f" {NFD}.mp4", "x 1 ", "b", "c", "")] == [
        *("a", "a", "B.mp4", "B.mp4", NFC, NFC, "x 1"),
        *(None, None, None),
    ]
    assert names.alike("b") == ["B.mp4"] and names.alike("c") == []
    assert names.twice() == [] and NameIndex(["a", "A", "b", "b "]).twice() == ["b", "b "]
    assert NameIndex(["a", "A"]).twice(fold=True) == ["a", "A"]


FILES = ("points.csv", "dataset.json", "train.txt", "gt.json")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("file", FILES)
def test_what_no_mark_announces_is_refused_as_such(folder, file, encoding):
    path = folder / file
    path.write_bytes(path.read_text().encode(encoding))
    found = check_dataset(folder).errors
    assert "without a byte order mark" in found[0].message and file in found[0].file + found[0].message
    with pytest.raises(InputError, match="without a byte order mark"):
        data = Dataset.open(folder)
        data.points()
        data.truth()


@pytest.mark.parametrize("file", FILES)
def test_a_byte_order_mark_before_another_is_ignored(folder, file):
    right = Dataset.open(folder)
    path = folder / file
    path.write_bytes(b"\xef\xbb\xbf" * 2 + path.read_bytes())
    data = Dataset.open(folder)
    assert (data.train, data.labels, data.points()) == (right.train, right.labels, right.points())
    assert check_dataset(folder).errors == []


def test_a_repeated_key_is_found_quickly_in_a_large_truth(folder):
    entry = '{"annotations": []}'
    videos = [f'"u{i}": {entry}' for i in range(60_000)]
    (folder / "gt.json").write_text('{"database": {' + ", ".join([*videos, f'"u59999": {entry}']) + "}}")
    refused("json-unreadable", Dataset.open(folder).truth, "'u59999'", "twice")
    assert any("u59999 has two entries" in f.message for f in check_dataset(folder).errors)


def test_long_lists_are_compared_quickly(folder):
    (folder / "train.txt").write_text("".join(f"v{i}\n" for i in range(4)) + "".join(f"a{i}\n" for i in range(1500)))
    (folder / "test.txt").write_text("".join(f"b{i}\n" for i in range(1500)) + "v1.mp4\n")
    found = [f for f in check_dataset(folder).errors if f.code == "split-overlap"]
    assert [f.message for f in found] == ["v1.mp4 is also a training video (line 2 of train.txt)"]

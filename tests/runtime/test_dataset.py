"""Data set folders: ours, the published layouts, odd encodings, and what is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
from punctum.runtime import Dataset, InputError

from tests.helpers import datasets as make


def refused(code: str, call, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.given and caught.value.expected and caught.value.next_step
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("split", [None, "split_2"])
def test_our_layout(tmp_path, split):
    data = Dataset.open(make.make_ours(tmp_path, split=split or ""), split=split)
    assert (data.name, data.labels, data.stride_s, data.feature_dim) == ("tiny", make.LABELS, 0.25, make.DIM)
    assert data.train == ("v0", "v1", "v2", "v3")
    assert data.test == ("v4", "v5", "v6")
    loaded = data.features("v1")
    np.testing.assert_array_equal(loaded.data, make.features(1))
    assert (loaded.data.dtype, loaded.stride_s, loaded.start_s) == (np.float32, 0.25, 0.0)
    # Frame 35 at 20 frames a second: the middle of an action from 1.0 to 2.5 s.
    assert [(p.label, p.time_s) for p in data.points()["v0"]] == [(0, 1.75), (1, 6.0)]
    truth = data.truth()
    assert truth.videos == data.test
    assert truth.segments.tolist()[:2] == [[1.0, 2.5], [5.0, 7.0]]
    assert truth.label.tolist() == [1, 2, 2, 0, 0, 1]
    assert data.truth("train").videos == data.train


@pytest.mark.parametrize("kind", ["lacp", "hrpro"])
def test_published_layouts(tmp_path, kind):
    data = Dataset.open(make.make_published(tmp_path / "THUMOS14", kind))
    assert data.name == "THUMOS14"
    assert data.stride_s == pytest.approx(0.64)
    assert (data.train, data.test) == (("a0", "a1", "a2"), ("a3", "a4"))
    # LACP's class_index gives the order (here reversed); without it the alphabet does.
    assert data.labels == (make.LABELS[::-1] if kind == "lacp" else tuple(sorted(make.LABELS)))
    assert data.feature_dim == 2 * make.DIM
    np.testing.assert_array_equal(data.features("a4").data, make.features(4, 2 * make.DIM))
    points = data.points()["a0"]
    assert [data.labels[p.label] for p in points] == ["wave", "push"]
    assert points[0].time_s == pytest.approx(round(1.75 * 30) / 30)
    assert len(data.truth().label) == 4


def test_a_dataset_json_beside_a_published_layout_wins(tmp_path):
    folder = make.make_published(tmp_path, "hrpro")
    info = {"name": "x", "classes": list(make.LABELS), "fps": 30, "snippet_frames": 8, "feature_dim": 12}
    (folder / "dataset.json").write_text(json.dumps(info))
    data = Dataset.open(folder)
    assert data.labels == make.LABELS
    assert data.stride_s == pytest.approx(8 / 30)
    assert data.points()["a1"][0].time_s == pytest.approx(round(1.75 * 30) / 30)


def test_published_layout_without_frame_rates_is_refused(tmp_path):
    folder = make.make_published(tmp_path, "lacp")
    (folder / "fps_dict.json").write_text("{}")
    refused("fps-missing", Dataset.open(folder).points, "a0")
    (folder / "fps_dict.json").write_text('{"a0": "fast"}')
    refused("fps", lambda: Dataset.open(folder), "fast")


def test_rgb_and_flow_must_agree(tmp_path):
    folder = make.make_published(tmp_path, "lacp")
    np.save(folder / "features" / "train" / "flow" / "a1.npy", np.zeros((7, make.DIM), np.float32))
    refused("features-length", lambda: Dataset.open(folder).features("a1"), "40 and 7")
    (folder / "features" / "train" / "flow" / "a2.npy").unlink()
    refused("features-missing", lambda: Dataset.open(folder).features("a2"), "flow")


def test_start_and_stop_columns_teach_nothing(tmp_path):
    """P14: the published points carry the truth. Whatever stands in those columns, points are the same."""
    data = Dataset.open(make.make_ours(tmp_path))
    before = data.points()
    rows = make.point_rows([f"v{i}" for i in range(7)])
    spoiled = [rows[0]] + [[row[0], "secret", -1, *row[3:]] for row in rows[1:]]
    make.write_rows(tmp_path / "points.csv", spoiled)
    assert Dataset.open(tmp_path).points() == before
    make.write_rows(tmp_path / "points.csv", [[row[0], *row[3:]] for row in rows])
    assert Dataset.open(tmp_path).points() == before


def test_training_never_opens_the_truth(tmp_path):
    folder = make.make_ours(tmp_path)
    (folder / "gt.json").write_text("not JSON at all")
    data = Dataset.open(folder)
    assert data.points() and len(data.features("v0").data) == make.SNIPPETS
    refused("json-unreadable", data.truth)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_encodings_and_line_ends(tmp_path, encoding, line_end):
    folder = make.make_ours(tmp_path)
    expected = Dataset.open(folder).points()
    for file in folder.rglob("*"):
        if file.suffix in (".csv", ".txt", ".json"):
            text = line_end.join(file.read_text().splitlines()) + line_end
            file.write_bytes(text.encode(encoding))
    data = Dataset.open(folder)
    assert data.points() == expected
    assert data.test == ("v4", "v5", "v6")
    assert len(data.truth().label) == 6


def test_points_come_sorted_and_by_other_column_names(tmp_path):
    make.make_ours(tmp_path)
    make.write_rows(tmp_path / "human.csv", [["video", "frame", "label"], ["v0", 80, "push"], ["v0", "20.5", "wave "]])
    points = Dataset.open(tmp_path, points="human.csv").points()
    assert [(p.label, p.time_s) for p in points["v0"]] == [(0, 1.025), (1, 4.0)]


def test_frame_rates_of_single_videos(tmp_path):
    make.make_ours(tmp_path)
    (tmp_path / "fps.json").write_text('{"v0": 40}')
    points = Dataset.open(tmp_path).points()
    assert points["v0"][0].time_s == 35 / 40
    assert points["v1"][0].time_s == 35 / 20


def test_lists_are_read_once_each_and_custom_ones_must_exist(tmp_path):
    make.make_ours(tmp_path)
    (tmp_path / "few.txt").write_text("v1\n\n v2 \nv1\n")
    assert Dataset.open(tmp_path, train_list="few.txt").train == ("v1", "v2")
    refused("list-missing", lambda: Dataset.open(tmp_path, train_list="fwe.txt"), "few.txt", "`train_list`")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "TypeError"),
        ('{"classes": [], "fps": 1, "snippet_frames": 1, "feature_dim": 1}', "classes"),
        ('{"classes": "abc", "fps": 1, "snippet_frames": 1, "feature_dim": 1}', "list"),
        ('{"classes": ["a", "a"], "fps": 1, "snippet_frames": 1, "feature_dim": 1}', "a, a"),
        ('{"classes": ["a"], "fps": 0, "snippet_frames": 1, "feature_dim": 1}', "fps is 0"),
        ('{"classes": ["a"], "fps": NaN, "snippet_frames": 1, "feature_dim": 1}', "fps is nan"),
        ('{"classes": ["a"], "snippet_frames": 1, "feature_dim": 1}', "fps"),
    ],
)
def test_broken_dataset_json(tmp_path, text, word):
    make.make_ours(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=word):
        Dataset.open(tmp_path)


def test_wrong_folders(tmp_path):
    refused("dataset-missing", lambda: Dataset.open(tmp_path / "none"))
    folder = make.make_ours(tmp_path / "d", split="split_1")
    refused("split-needed", lambda: Dataset.open(folder), "split_1")
    refused("split-missing", lambda: Dataset.open(folder, split="split_9"), "split_1")
    (tmp_path / "e" / "videos").mkdir(parents=True)
    refused("features-missing", lambda: Dataset.open(tmp_path / "e"))
    (tmp_path / "f").mkdir()
    refused("features-missing", lambda: Dataset.open(tmp_path / "f"))
    (tmp_path / "g" / "features").mkdir(parents=True)
    refused("file-missing", lambda: Dataset.open(tmp_path / "g"), "dataset.json")


def test_wrong_features_points_and_truth(tmp_path):
    data = Dataset.open(make.make_ours(tmp_path))
    np.save(data.features_dir / "v0.npy", np.zeros((4, 9), np.float32))
    refused("features-dimension", lambda: data.features("v0"), "9", str(make.DIM))
    refused("features-missing", lambda: data.features("v99"), "v99")
    refused("video-id", lambda: data.features("../gt"))
    for text, code in (
        ("class,video_id\nwave,v0\n", "points-columns"),
        ("", "points-columns"),
        ("class,video_id,point\nwave,v0,soon\n", "points-row"),
        ("class,video_id,point\nwave,v0,inf\n", "points-row"),
        ("class,video_id,point\nwave,v0\n", "points-row"),
        ("class,video_id,point\nhop,v0,3\n", "label-unknown"),
        ('class,video_id,point\nwave,"v0,3\n', "points-unreadable"),
    ):
        data.points_file.write_text(text)
        refused(code, data.points)
    data.points_file.write_bytes(b"class,video_id,point\nwave,\xff\xfe,3\n")
    refused("points-unreadable", data.points)
    refused("points-missing", Dataset.open(tmp_path, points="none.csv").points)
    for annotation, code in (
        ({"label": "wave", "segment": [3, 2]}, "truth-segment"),
        ({"label": "wave", "segment": [1, float("nan")]}, "truth-segment"),
        ({"label": "hop", "segment": [1, 2]}, "label-unknown"),
        ({"label": "wave", "segment": [1]}, "truth-form"),
        ({"label": "wave", "segment": "12"}, "truth-form"),
        ({"label": "wave", "segment": {"1": 0, "2": 0}}, "truth-form"),
        ({"label": "wave", "segment": [False, True]}, "truth-form"),
        ({"label": ["wave"], "segment": [1, 2]}, "truth-form"),
        ("wave", "truth-form"),
    ):
        data.truth_file.write_text(json.dumps({"database": {v: {"annotations": [annotation]} for v in data.test}}))
        refused(code, data.truth)
    data.truth_file.write_text('{"database": {}}')
    refused("truth-missing", data.truth, "v4")


def test_without_lists_the_truth_marks_the_subset(tmp_path):
    folder = make.make_ours(tmp_path)
    (folder / "test.txt").unlink()
    refused("list-missing", Dataset.open(folder).truth)
    (folder / "gt.json").write_text(json.dumps(make.database(["v0", "v1"], subset="test")))
    assert Dataset.open(folder, need_features=False).truth().videos == ("v0", "v1")


@pytest.mark.shared
def test_real_folders(shared_dir):
    gtea = Dataset.open(shared_dir / "data" / "gtea", split="split_1", points="points_human_1.csv")
    assert (len(gtea.train), len(gtea.test)) == (21, 7)
    assert gtea.features(gtea.test[0]).data.shape[1] == 128
    assert sum(map(len, gtea.points().values())) > 300
    thumos = Dataset.open(shared_dir / "data" / "thumos14", need_features=False)
    assert len(thumos.labels) == 20
    assert len(thumos.truth().videos) == 210
    assert len(thumos.truth().label) == 3311
    assert sum(map(len, thumos.points().values())) == 3003

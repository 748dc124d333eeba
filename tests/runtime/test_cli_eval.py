"""`punctum eval` as a user meets it: files of detections, a bundle, and input that is refused."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import pytest
from punctum.runtime import InputError
from punctum.runtime.cli import invoke
from punctum.runtime.cli.eval import levels

from tests.helpers import datasets as make

TEST_VIDEOS = ["v4", "v5", "v6"]


@pytest.fixture
def folder(tmp_path) -> Path:
    return make.make_ours(tmp_path / "d", split="split_1")


@pytest.fixture
def detections(tmp_path) -> Path:
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(make.perfect(TEST_VIDEOS, 4)))
    return path


def judge(folder: Path, detections: Path, *more: str) -> int:
    return invoke(["eval", str(folder), "--split", "split_1", "--detections", str(detections), *more])


def test_json_of_perfect_detections(folder, detections, capsys):
    assert judge(folder, detections, "--json", "--per-class", "--alignment") == 0
    record = json.loads(capsys.readouterr().out)
    assert next(iter(record)) == "map"
    assert record["map"] == {**{f"0.{k}": 1.0 for k in range(1, 8)}, "average": 1.0}
    assert set(record["per_class"]) == set(make.LABELS)
    assert record["recall"]["average"] == 1.0
    assert record["recall"]["at_number_of_proposals"]["1"] == 0.5
    assert record["counts"]["detections"] == record["counts"]["truth"] == 6
    assert record["alignment"]["rank_correlation"] is None  # all confidences are equal
    assert len(record["alignment"]["mean_iou_by_confidence"]) == 6
    assert record["reliability"]["share_right"] == [1.0] * 6
    assert record["reliability"]["error"] == pytest.approx(0.1)  # all are right at a score of .9
    assert record["timing"].keys() == {"read_s", "judge_s"}


def test_features_are_not_needed_to_judge_a_file(folder, detections, capsys):
    for file in (folder / "split_1" / "features").iterdir():
        file.unlink()
    (folder / "split_1" / "features").rmdir()
    assert judge(folder, detections, "--json", "--tiou", "0.5") == 0
    assert json.loads(capsys.readouterr().out)["map"] == {"0.5": 1.0, "average": 1.0}


def test_train_subset_and_wrong_subset(folder, detections, capsys):
    assert judge(folder, detections, "--subset", "train") == 2
    assert "none of the 4 evaluated videos" in capsys.readouterr().err
    assert judge(folder, detections, "--subset", "validation") == 2
    assert "test or train" in capsys.readouterr().err


def test_table(folder, detections, capsys):
    assert judge(folder, detections, "--per-class", "--alignment") == 0
    out = capsys.readouterr().out
    for word in ("mAP", "recall", "wave", "average", "6 detections of 6 actions", "calibration error"):
        assert word in out


def test_figure(folder, detections, tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs the extra report")
    assert judge(folder, detections, "--figure", str(tmp_path / "a.svg"), "--json") == 0
    assert "</svg>" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("{", "neither"),
        ('{"results": {"v4": [{"label": "hop", "score": 1, "segment": [0, 1]}]}}', "hop"),
        ('{"results": {"v4": [{"label": "wave", "score": NaN, "segment": [0, 1]}]}}', "nan"),
        ('{"results": {"v4": [{"label": "wave", "score": 1, "segment": [2, 1]}]}}', "[2.0, 1.0]"),
        ('{"results": {"v4": [{"label": "wave", "segment": [0, 1]}]}}', "entry 0"),
        ('{"results": {"other": [{"label": "wave", "score": 1, "segment": [0, 1]}]}}', "other"),
    ],
)
def test_wrong_detections(folder, tmp_path, capsys, text, word):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    refused(judge(folder, path), capsys, word)


def refused(code: int, capsys, word: str) -> None:
    shown = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in shown.err
    assert shown.out == ""
    for part in (word, "Next:"):
        assert part in shown.err, shown.err
    assert "Allowed:" in shown.err or "Required:" in shown.err, shown.err


def test_wrong_truth(folder, detections, capsys):
    path = folder / "gt.json"
    good = json.loads(path.read_text())
    path.write_text("[1, 2")
    refused(judge(folder, detections), capsys, "gt.json")
    path.write_text(json.dumps({"database": {v: good["database"][v] for v in ("v4", "v5")}}))
    refused(judge(folder, detections), capsys, "'v6'")
    good["database"]["v4"]["annotations"][0]["segment"] = [3, 1]
    path.write_text(json.dumps(good))
    refused(judge(folder, detections), capsys, "[3.0, 1.0]")
    path.unlink()
    refused(judge(folder, detections), capsys, "does not exist")


def test_wrong_arguments(folder, detections, tmp_path, capsys):
    refused(invoke(["eval", str(folder)]), capsys, "Too few arguments")
    refused(invoke(["eval", "b", str(folder), "--detections", str(detections)]), capsys, "one of the two")
    refused(judge(tmp_path / "none", detections), capsys, "is not a folder")
    refused(invoke(["eval", str(folder), "--split", "split_9", "--detections", "x"]), capsys, "split_1")
    refused(judge(folder, tmp_path / "none.json"), capsys, "does not exist")
    refused(judge(folder, detections, "--tiou", "0.5:0.9"), capsys, "0.5:0.9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1:0.7:0.1", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        ("0.5:0.95:0.05", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        ("0.3:0.7:0.3", [0.3, 0.6]),
        ("0.5", [0.5]),
        ("0.75, 0.5", [0.75, 0.5]),
        ("1:1:1", [1.0]),
    ],
)
def test_levels(text, expected):
    assert levels(text) == expected


@pytest.mark.parametrize("text", ["", "x", "0.1:0.7", "0.7:0.1:0.1", "0:1:0.1", "0.1:1.1:0.1", "0.1:0.7:0", "nan", "2"])
def test_wrong_levels(text):
    with pytest.raises(InputError):
        levels(text)


@pytest.fixture
def bundle() -> Path:
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    path = Path(str(resources.files("punctum.runtime") / "assets" / "demo"))
    if not (path / "manifest.json").is_file():
        pytest.skip("the demo bundle is not in this checkout")
    return path


def test_a_bundle_is_run_over_the_test_videos(bundle, tmp_path, capsys):
    assert invoke(["data", "make-demo", "--out", str(tmp_path / "demo"), "--count", "8", "--seed", "777"]) == 0
    capsys.readouterr()
    assert invoke(["eval", str(bundle), str(tmp_path / "demo"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["map"]["average"] > 0.3
    assert record["counts"]["videos"] == 2
    assert re.search("demo", record["bundle"])
    assert record["timing"]["real_time_factor"] < 1
    # The same events through a file are judged the same.
    out = tmp_path / "events.jsonl"
    features = tmp_path / "demo" / "features"
    listed = (tmp_path / "demo" / "test.txt").read_text().split()
    (tmp_path / "only").mkdir()
    for video in listed:
        (features / f"{video}.npy").rename(tmp_path / "only" / f"{video}.npy")
    assert invoke(["run", str(bundle), str(tmp_path / "only"), "--min-score", "0", "--out", str(out)]) == 0
    capsys.readouterr()
    assert invoke(["eval", str(tmp_path / "demo"), "--detections", str(out), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["map"]["average"] == pytest.approx(record["map"]["average"], abs=1e-9)


def test_a_bundle_of_another_data_set(bundle, folder, capsys):
    refused(invoke(["eval", str(bundle), str(folder), "--split", "split_1"]), capsys, "The bundle has the classes")
    refused(invoke(["eval", str(folder / "none"), str(folder), "--split", "split_1"]), capsys, "none")


@pytest.fixture
def filmed(tmp_path: Path) -> Path:
    """Videos with ground truth, without clicks and without dataset.json."""
    pytest.importorskip("av", reason="PyAV is not installed")
    from tests.helpers.video_corpus import encode

    place = tmp_path / "my-test"
    (place / "videos").mkdir(parents=True)
    encode(place / "videos" / "a.mp4", 60)
    (place / "test.txt").write_text("a\n")
    action = {"label": "open", "segment": [0.5, 1.5]}
    (place / "gt.json").write_text(json.dumps({"database": {"a": {"duration": 2.4, "annotations": [action]}}}))
    return place


def test_videos_with_ground_truth_need_no_clicks(filmed, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    assert invoke(["eval", "default", str(filmed), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["counts"]["videos"], record["counts"]["truth"]) == (1, 1)
    (filmed / "gt.json").write_text('{"database": {"a": {"annotations": []}}}')
    refused(invoke(["eval", "default", str(filmed)]), capsys, "contains no action")
    (filmed / "gt.json").write_text("[]")
    refused(invoke(["eval", "default", str(filmed)]), capsys, "contains no action")
    (filmed / "gt.json").unlink()
    refused(invoke(["eval", "default", str(filmed)]), capsys, "(to evaluate, gt.json)")


def test_without_a_list_the_error_says_what_is_enough(filmed, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    (filmed / "gt.json").unlink()
    (filmed / "test.txt").unlink()
    (filmed / "points.csv").write_text("class,video_id,time_s\nopen,a,1\n")
    refused(invoke(["eval", "default", str(filmed)]), capsys, "their clicks are enough")

"""Figures of videos that a bundle has seen: by its training, or by `punctum calibrate`."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from punctum.runtime import Bundle
from punctum.runtime.bundle.writer import save_bundle, seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Dataset, Point
from punctum.runtime.datasets.known import calibrated_by, notes_on, to_record, trained_videos, video_digests
from punctum.runtime.synthetic.sensors import write_demo_dataset

DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("known") / "data"
    write_demo_dataset(folder, videos=8, seed=77)
    return folder


@pytest.fixture
def seen(data, tmp_path) -> str:
    """The demo bundle with the record of a calibration by the clicks of one test video."""
    bundle = Bundle.load(DEMO)
    video = (data / "test.txt").read_text().split()[0]
    rows = [line.split(",") for line in (data / "points.csv").read_text().splitlines()]
    head = rows[0]
    labels = list(bundle.labels)
    info = json.loads((data / "dataset.json").read_text())
    points = []
    for row in rows[1:]:
        cell = dict(zip(head, row, strict=True))
        if cell["video_id"] == video:
            time_s = float(cell["time_s"]) if "time_s" in cell else float(cell["point"]) / info["fps"]
            points.append(Point(labels.index(cell["class"]), time_s))
    facts = {"dataset": "demo", "clicked": to_record(bundle.manifest, {video: points})}
    provenance = {**bundle.manifest.provenance, "calibration": facts}
    draft = bundle.manifest.model_copy(update={"provenance": provenance})
    save_bundle(seal_bundle(draft, dict(bundle.content)), tmp_path / "seen")
    return str(tmp_path / "seen")


def test_a_click_that_was_added_later_does_not_hide_the_others():
    manifest = Bundle.load(DEMO).manifest
    first = [Point(0, 1.0), Point(1, 5.25)]
    recorded = to_record(manifest, {"a": first, "b": []})
    assert len(recorded) == 2
    calibrated = manifest.model_copy(update={"provenance": {"calibration": {"clicked": recorded}}})
    assert calibrated_by(calibrated, {"a": [*first, Point(0, 9.0)], "b": [Point(0, 1.0)]}) == ["a"]
    assert calibrated_by(calibrated, {"a": [Point(0, 1.001), Point(0, 5.25)]}) == []  # another time, another class
    assert calibrated_by(manifest, {"a": first}) == []
    assert to_record(calibrated, {"a": first}) == recorded
    damaged = manifest.model_copy(update={"provenance": {"calibration": {"clicked": [1, None]}}})
    assert to_record(damaged, {}) == []


def test_training_videos_are_known_also_in_the_test_list_of_another_split(data):
    opened, manifest = Dataset.open(data), Bundle.load(DEMO).manifest
    assert trained_videos(manifest, opened, "train") == tuple(opened.train)  # an earlier bundle: by the name alone
    assert trained_videos(manifest, opened, "test") == ()
    digests = video_digests(opened.name, [*opened.test, "elsewhere"])
    assert digests == sorted(digests) and len(digests) == len(opened.test) + 1
    facts = {"dataset": opened.name, "training_videos": digests}
    of_another_split = manifest.model_copy(update={"provenance": facts})
    assert trained_videos(of_another_split, opened, "test") == tuple(opened.test)
    assert trained_videos(of_another_split, opened, "train") == ()
    other = manifest.model_copy(update={"provenance": facts | {"dataset": "other"}})
    assert trained_videos(other, opened, "test") == ()  # names of videos alone say nothing
    (note,) = notes_on(of_another_split, opened, "test", {})
    assert "trained on 2 of 2 videos here" in note


def test_eval_says_what_the_bundle_has_seen(data, seen, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    assert invoke(["eval", DEMO, str(data)]) == 0
    assert "note:" not in capsys.readouterr().out
    assert invoke(["eval", DEMO, str(data), "--subset", "train"]) == 0
    assert "the bundle was trained on 6 of 6 videos here" in capsys.readouterr().out
    assert invoke(["eval", seen, str(data), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["notes"]) == 1 and "calibrated by clicks of 1 of" in record["notes"][0]
    assert invoke(["eval", seen, str(data), "--online", "--max-delay", "1"]) == 0
    assert "note: The bundle was calibrated by clicks of 1 of" in capsys.readouterr().out
    assert invoke(["diagnose", seen, str(data)]) == 0
    assert "The bundle was calibrated by clicks of 1 of" in capsys.readouterr().out


def test_the_page_of_a_data_set_states_what_the_default_minimum_gives(data, seen, tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    pytest.importorskip("jinja2", reason="the page needs the extra report")
    assert invoke(["eval", seen, str(data), "--json"]) == 0
    at = json.loads(capsys.readouterr().out)["at_minimum_score"]
    right = round(at["precision"]["value"] * at["precision"]["of"])
    assert invoke(["report", seen, "--data", str(data), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert f"{right} of {at['recall']['of']} actions are found and {right} of {at['precision']['of']} events" in page
    assert "The bundle was calibrated by clicks of 1 of" in page

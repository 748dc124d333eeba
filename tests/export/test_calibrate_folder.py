"""`punctum calibrate` on a plain folder of videos: another site has no lists, not every class, or no click at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
pytest.importorskip("av", reason="the videos are made with PyAV")
from punctum.runtime import Bundle
from punctum.runtime.cli import invoke


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "rendered"
    words = ["--count", "4", "--seconds", "20", "--size", "96x72", "--fps", "10"]
    assert invoke(["data", "make-videos", "--out", str(out), *words]) == 0
    return out


@pytest.fixture
def site(rendered: Path, tmp_path: Path) -> Path:
    """The videos and clicks alone; clicks of a few classes."""
    place = tmp_path / "site"
    place.mkdir()
    for path in (rendered / "videos").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    with (rendered / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    some = sorted({row["class"] for row in rows})[:6]
    kept = [row for row in rows if row["class"] in some]
    lines = [f"{row['class']},{row['video_id']},{row['time_s']}\n" for row in kept]
    (place / "points.csv").write_text("class,video_id,time_s\n" + "".join(lines))
    return place


def calibrate(site: Path, *words: str) -> int:
    return invoke(["calibrate", "default", str(site), "--out", str(site.parent / "out"), *words])


def test_a_folder_of_clicks_needs_no_lists_and_not_every_class(site: Path, capsys):
    assert calibrate(site, "--json") == 0
    facts = json.loads(capsys.readouterr().out)["calibration"]
    assert facts["clicks"] == len((site / "points.csv").read_text().splitlines()) - 1
    assert Bundle.load(site.parent / "out").labels == Bundle.load("default").labels


def test_a_folder_of_videos_without_clicks_is_enough_for_a_rate(site: Path, capsys):
    (site / "points.csv").unlink()
    assert calibrate(site, "--actions-per-hour", "600", "--json") == 0
    facts = json.loads(capsys.readouterr().out)["calibration"]
    assert (facts["clicks"], facts["videos"]) == (None, 4)
    assert facts["min_score"] == Bundle.load("default").manifest.calibration.classes[0].min_score
    assert 0 < facts["from_min_score"] < facts["events"]
    assert not list(site.glob("*.json"))


def test_all_videos_count_where_the_clicks_are_left_out(site: Path, capsys):
    first = (site / "points.csv").read_text().splitlines()[:2]
    (site / "points.csv").write_text("\n".join(first) + "\n")
    assert calibrate(site, "--no-points", "--actions-per-hour", "600", "--json") == 0
    assert json.loads(capsys.readouterr().out)["calibration"]["videos"] == 4


def test_neither_clicks_nor_a_rate(site: Path, capsys):
    (site / "points.csv").unlink()
    assert calibrate(site) == 2
    said = capsys.readouterr().err
    assert "[no-points]" in said and "--actions-per-hour" in said


def test_training_videos_are_taken_only_if_they_are_asked_for(site: Path, capsys):
    name = str(Bundle.load("default").manifest.provenance["dataset"])
    trained = site.rename(site.with_name(name))
    assert calibrate(trained) == 2
    said = capsys.readouterr().err
    assert "[list-missing]" in said and "--subset to train" in said
    assert calibrate(trained, "--subset", "train") == 0


def test_clicks_of_a_class_that_the_bundle_lacks(site: Path, capsys):
    with (site / "points.csv").open("a") as file:
        file.write(f"swim,{next(site.glob('*.mp4')).stem},1.0\n")
    assert calibrate(site) == 2
    said = capsys.readouterr().err
    assert "[labels-differ]" in said and "clicks of other classes" in said

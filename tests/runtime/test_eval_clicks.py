"""Evaluation by clicks: which clicks are found, which events hold none, and the command without ground truth."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Point
from punctum.runtime.evaluation.clicks import Share, evaluate_clicks
from punctum.runtime.events.event import Event
from punctum.runtime.synthetic.sensors import write_demo_dataset

DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")
LABELS = ("jump", "fall")


def event(label: str, start: float, end: float, score: float) -> Event:
    return Event("v", "v/1", 0, "final", label, score, start, end, end, 0.0, "b")


def test_each_click_and_each_event_counts_once():
    events = {
        "a": [event("jump", 0, 4, 0.9), event("jump", 1, 3, 0.8), event("fall", 1, 3, 0.7), event("jump", 8, 9, 0.2)],
        "b": [event("fall", 5, 6, 0.6)],
    }
    clicks = {"a": [Point(0, 2.0), Point(0, 8.5)], "b": [Point(0, 5.5)]}
    found = evaluate_clicks(events, clicks, LABELS, hours=0.5, min_score=0.5)
    assert (found.chosen.recall, found.chosen.precision) == (Share(1, 3), Share(1, 4))
    assert found.chosen.without_click_per_hour == 6.0
    assert found.chosen.min_score == 0.5
    assert found.per_class["fall"].recall.total == 0
    everything = found.rows[0]
    assert (everything.recall, everything.precision) == (Share(2, 3), Share(2, 5))
    assert everything.f1 == pytest.approx(4 / 8)
    by_class = evaluate_clicks(events, clicks, LABELS, hours=0.5, min_score={"jump": 0.1, "fall": 0.65})
    assert by_class.chosen.min_score is None
    assert by_class.chosen.precision == Share(2, 4)
    assert found.videos_without_clicks == 0
    with_more = evaluate_clicks(events | {"c": []}, clicks, LABELS, hours=0.5)
    assert (with_more.videos, with_more.videos_without_clicks) == (3, 1)


@pytest.mark.parametrize(
    ("share", "low", "high"), [(Share(8, 10), 0.490, 0.943), (Share(0, 10), 0.0, 0.278), (Share(0, 0), 0.0, 1.0)]
)
def test_intervals_are_those_of_wilson(share, low, high):
    assert share.interval == pytest.approx((low, high), abs=5e-4)


def test_nothing_found_and_nothing_clicked():
    found = evaluate_clicks({"a": []}, {}, LABELS, hours=0.1)
    assert found.chosen.recall == Share(0, 0)
    assert found.rows == ()
    assert json.dumps(found.to_record())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_demo_dataset(tmp_path / "data", videos=8, seed=77)
    return tmp_path / "data"


def test_the_command_needs_no_ground_truth(data, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    assert invoke(["eval", DEMO, str(data), "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    (data / "gt.json").unlink()
    assert invoke(["eval", DEMO, str(data), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert "map" in both
    assert "map" not in alone
    assert alone["clicks"] == both["clicks"]
    assert alone["clicks"]["at_minimum_score"]["recall"]["value"] > 0.8
    assert invoke(["eval", DEMO, str(data), "--per-class"]) == 0
    assert "clicks found" in capsys.readouterr().out
    assert invoke(["eval", DEMO, str(data), "--min-score", "0.7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clicks"]["at_minimum_score"]["min_score"] == 0.7
    assert invoke(["eval", DEMO, str(data), "--tiou", "0.5"]) == 2
    assert "gt.json" in capsys.readouterr().err
    (data / "points.csv").unlink()
    assert invoke(["eval", DEMO, str(data)]) == 2
    assert "[truth-missing]" in capsys.readouterr().err


def test_videos_without_a_click_are_stated(data, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    assert invoke(["eval", DEMO, str(data)]) == 0
    assert "no click:" not in " ".join(capsys.readouterr().out.split())
    video = (data / "test.txt").read_text().split()[0]
    lines = (data / "points.csv").read_text().splitlines(keepends=True)
    (data / "points.csv").write_text("".join(line for line in lines if video not in line))
    assert invoke(["eval", DEMO, str(data)]) == 0
    assert "1 video has no click:" in " ".join(capsys.readouterr().out.split())

"""`punctum diagnose`: tables, JSON and page, by ground truth and by clicks, for a bundle and for a run folder."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle, Localizer
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Dataset, Point
from punctum.runtime.diagnosis.held_out import FILE, HeldOut, HeldOutVideo, read_held_out, write_held_out
from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.files.atomic import sha256_file
from punctum.runtime.synthetic.sensors import write_demo_dataset

from tests.helpers.reports import Page

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A data set, and a run folder as training leaves it."""
    folder = tmp_path_factory.mktemp("diagnose")
    write_demo_dataset(folder / "data", videos=8, seed=77)
    data, bundle = Dataset.open(folder / "data"), Bundle.load(DEMO)
    localizer = Localizer(bundle)
    videos = {}
    for k, video in enumerate(data.train):
        features = data.features(video)
        raw = [
            (localizer.labels.index(e.label), e.start, e.end, e.raw_score)
            for e in localizer.localize(features, stream=video)
        ]
        videos[video] = HeldOutVideo(k % 3, features.duration_s, tuple(raw))
    calibration = bundle.manifest.calibration
    (folder / "run").mkdir()
    write_held_out(folder / "run", HeldOut(bundle.labels, videos, calibration))
    (folder / "run" / "calibration.json").write_text(calibration.model_dump_json())
    return folder / "data", folder / "run"


@pytest.fixture
def data(made, tmp_path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "data"))


@pytest.fixture(scope="module")
def run(made) -> Path:
    return made[1]


def record(capsys, *words: object) -> dict:
    assert invoke(["diagnose", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def best_click(clicks: list[Point], events: list[Event], labels: tuple[str, ...]) -> Point:
    """The click in the event with the best score."""
    pairs = [
        (e.score, p.time_s, p)
        for e in events
        for p in clicks
        if labels[p.label] == e.label and e.start <= p.time_s <= e.end
    ]
    return max(pairs)[2]


def refused(capsys, *words: object) -> str:
    assert invoke(["diagnose", *map(str, words)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    assert "Next: " in told.err
    return told.err


def test_by_truth_and_by_clicks(data, capsys):
    by_truth = record(capsys, DEMO, data)
    assert (by_truth["by"], by_truth["tiou"]) == ("ground truth", 0.5)
    assert by_truth["actions"] > by_truth["actions_found"] * 0.9
    assert {"length", "class", "gap"} == {group["factor"] for group in by_truth["groups"]}
    by_clicks = record(capsys, DEMO, data, "--by", "clicks")
    (data / "gt.json").unlink()
    assert record(capsys, DEMO, data) == by_clicks
    assert by_clicks["tiou"] is None
    assert "merged" in {each["type"] for each in by_clicks["errors"]}
    assert "length" not in {group["factor"] for group in by_clicks["groups"]}


def test_ground_truth_without_actions(data, capsys):
    truth = json.loads((data / "gt.json").read_text())
    for video in truth["database"].values():
        video["annotations"] = []
    (data / "gt.json").write_text(json.dumps(truth))
    assert "truth-empty" in refused(capsys, DEMO, data)


def test_tables_in_a_pipe(data, capsys):
    assert invoke(["diagnose", DEMO, str(data), "--min-score", "0.05"]) == 0
    told = capsys.readouterr().out
    for title in ("error types", "not found", "confusion", "worst cases"):
        assert title in told
    assert max(len(line) for line in told.splitlines()) <= 160


def test_a_page(data, tmp_path, capsys):
    pytest.importorskip("jinja2", reason="the page needs jinja2")
    page = tmp_path / "errors.html"
    assert invoke(["diagnose", DEMO, str(data), "--min-score", "0.05", "--html", str(page)]) == 0
    assert f"wrote {page}" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    for title in ("Error types", "Worst cases", "not found", "Confusion"):
        assert title in text
    assert Page(text).texts["h1"]
    assert invoke(["diagnose", DEMO, str(data), "--html", str(page)]) == 0  # its own page is replaced
    capsys.readouterr()
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    assert "[output-exists]" in refused(capsys, DEMO, data, "--html", notes)
    assert notes.read_text() == "mine"
    assert "[output]" in refused(capsys, DEMO, data, "--html", "-")


def test_a_run_folder_shows_label_errors(data, run, capsys):
    opened = Dataset.open(data)
    train, clicks, events = opened.train, opened.points(), read_held_out(run).events()
    forgotten, renamed = (best_click(clicks[v], events[v], opened.labels) for v in train[:2])
    clicks[train[0]].remove(forgotten)
    clicks[train[1]].remove(renamed)
    clicks[train[1]].append(Point((renamed.label + 1) % len(opened.labels), renamed.time_s))
    rows = [f"{opened.labels[p.label]},{video},{p.time_s}" for video, points in clicks.items() for p in points]
    (data / "points.csv").write_text("\n".join(["class,video_id,time_s", *rows]) + "\n")
    found = record(capsys, data, "--run", run)
    assert found["subset"] == "train"
    assert found["videos"] == len(train)
    first = {(each["kind"], each["video"], each["found"]) for each in found["suspects"][:5]}
    assert ("no click", train[0], opened.labels[forgotten.label]) in first
    assert ("other class", train[1], opened.labels[renamed.label]) in first
    assert invoke(["diagnose", str(data), "--run", str(run)]) == 0
    assert "suspected label errors" in capsys.readouterr().out
    assert record(capsys, data, "--run", run, "--by", "truth")["by"] == "ground truth"


def test_a_suspect_that_was_confirmed_is_marked_as_such(data, run, capsys):
    opened = Dataset.open(data)
    video, clicks, events = opened.train[1], opened.points(), read_held_out(run).events()
    renamed = best_click(clicks[video], events[video], opened.labels)
    wrong = opened.labels[(renamed.label + 1) % len(opened.labels)]
    clicks[video].remove(renamed)
    rows = [f"{opened.labels[p.label]},{name},{p.time_s}," for name, points in clicks.items() for p in points]
    rows.append(f"{wrong},{video},{renamed.time_s},c1")
    (data / "points.csv").write_text("\n".join(["class,video_id,time_s,id", *rows]) + "\n")

    def marked() -> list[bool]:
        suspects = record(capsys, data, "--run", run)["suspects"]
        assert len([s for s in suspects if s["confirmed"]]) <= 1
        return [
            s["confirmed"] for s in suspects if (s["video"], s["clicked"], s["kind"]) == (video, wrong, "other class")
        ]

    assert marked() == [False]
    marks = {"schema": "punctum.labeling/1", "confirmed": {"c1": {"ann": "2026-01-01T00:00:00Z"}}}
    (data / "labeling.json").write_text(json.dumps(marks))
    assert marked() == [True]
    assert invoke(["diagnose", str(data), "--run", str(run)]) == 0
    assert "(confirmed in" in " ".join(capsys.readouterr().out.split())


def test_clicks_of_a_class_that_was_held_out_at_once_are_not_suspected(data, run, capsys):
    opened = Dataset.open(data)
    assert len({each.fold for each in read_held_out(run).videos.values()}) > 1
    only = opened.labels[0]
    rows = [
        f"{opened.labels[p.label]},{video},{p.time_s + 0.7}"  # off, so that many are suspected
        for video, points in opened.points().items()
        for p in points
        if video == opened.train[0] or opened.labels[p.label] != only
    ]
    (data / "points.csv").write_text("\n".join(["class,video_id,time_s", *rows]) + "\n")
    (data / "train.txt").write_text("\n".join(f"{video}.mp4" for video in opened.train))
    found = record(capsys, data, "--run", run, "--most", "500")
    assert found["unjudged_classes"] == [only]
    assert only in found["notes"][0] and "held out at once" in found["notes"][0]
    clicked = {each["clicked"] for each in found["suspects"]}
    assert only not in clicked and len(clicked) > 2
    assert invoke(["diagnose", str(data), "--run", str(run)]) == 0
    assert "held out at once" in " ".join(capsys.readouterr().out.split())


def test_a_run_with_fewer_videos(data, run, tmp_path, capsys):
    part = Path(shutil.copytree(run, tmp_path / "run"))
    content = json.loads((part / FILE).read_text())
    content["videos"].pop(next(iter(content["videos"])))
    (part / FILE).write_text(json.dumps(content))
    found = record(capsys, data, "--run", part, "--by", "truth")
    assert found["videos_left_out"] == 1
    assert "1 listed video not in the run" in found["notes"][0]
    content["videos"] = {}
    (part / FILE).write_text(json.dumps(content))
    assert "[held-out-other-videos]" in refused(capsys, data, "--run", part)


def test_a_run_on_videos_keeps_it_in_the_locator(run, tmp_path):
    shutil.copytree(run, tmp_path / "run" / "locator")
    assert read_held_out(tmp_path / "run") == read_held_out(run)


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.update(schema="punctum.held-out/9"),
        lambda r: r.pop("labels"),
        lambda r: r.update(labels=[]),
        lambda r: r.update(labels="abc"),
        lambda r: r.update(videos=[]),
        lambda r: next(iter(r["videos"].values()))["events"].append([99, 0.0, 1.0, 0.5]),
        lambda r: next(iter(r["videos"].values()))["events"].append([0, 2.0, 1.0, 0.5]),
        lambda r: next(iter(r["videos"].values()))["events"].append([0, 0.0, float("nan"), 0.5]),
        lambda r: next(iter(r["videos"].values()))["events"].append([0, 0.0]),
        lambda r: next(iter(r["videos"].values()))["events"].append([0, 0.0, 1.0, 5.0]),
        lambda r: next(iter(r["videos"].values()))["events"].append([1.7, 0.0, 1.0, 0.5]),
        lambda r: next(iter(r["videos"].values()))["events"].append([True, 0.0, 1.0, 0.5]),
        lambda r: next(iter(r["videos"].values())).update(fold=-3),
        lambda r: next(iter(r["videos"].values())).update(fold=0.5),
        lambda r: next(iter(r["videos"].values())).update(segments=[[99, 0.0, 1.0]]),
        lambda r: next(iter(r["videos"].values())).update(duration_s=None),
        lambda r: r["videos"].update(v=3),
    ],
)
def test_damaged_runs_are_refused(run, tmp_path, damage):
    part = Path(shutil.copytree(run, tmp_path / "run"))
    content = json.loads((part / FILE).read_text())
    damage(content)
    (part / FILE).write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_held_out(part)
    assert caught.value.code == "held-out-damaged"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", "[" * 100_000])
def test_files_that_are_no_record(run, tmp_path, text):
    part = Path(shutil.copytree(run, tmp_path / "run"))
    (part / FILE).write_text(text)
    with pytest.raises(InputError) as caught:
        read_held_out(part)
    assert caught.value.code == "held-out-damaged"
    (part / FILE).write_text((run / FILE).read_text())
    (part / "calibration.json").write_text("{}")
    with pytest.raises(InputError):
        read_held_out(part)


def test_the_calibration_is_the_one_that_the_summary_lists(run, tmp_path):
    part = Path(shutil.copytree(run, tmp_path / "run"))
    file = part / "calibration.json"
    (part / "summary.json").write_text(json.dumps({"files": {file.name: sha256_file(file)}}))
    assert read_held_out(part) == read_held_out(run)
    content = file.read_text()
    file.write_text(content + "\n")
    with pytest.raises(InputError, match=r"calibration\.json cannot be used") as caught:
        read_held_out(part)
    assert caught.value.code == "held-out-damaged"
    file.unlink()
    with pytest.raises(InputError, match="is missing"):
        read_held_out(part)
    file.write_text("{}")
    (part / "summary.json").unlink()
    with pytest.raises(InputError, match=r"calibration\.json cannot be used \(classes") as caught:
        read_held_out(part)
    assert "http" not in str(caught.value)


@pytest.mark.parametrize("time_s", ["9999.9", "-5.0", "1e308"])
def test_a_click_outside_of_its_video_is_no_miss(data, run, capsys, time_s):
    points = data / "points.csv"
    header, *rows = points.read_text().splitlines()
    subset = {video: name for name in ("train", "test") for video in (data / f"{name}.txt").read_text().split()}
    last = {subset[row.split(",")[1]]: row for row in rows}
    wrong = [f"{row.rpartition(',')[0]},{time_s}" for row in last.values()]
    points.write_text("\n".join([header, *rows, *wrong]) + "\n")
    for words in ([DEMO, data, "--by", "clicks"], [data, "--run", run]):
        told = refused(capsys, *words)
        assert "[point-outside-video]" in told and len(told) < 500
    assert invoke(["eval", DEMO, str(data)]) == 2
    assert "[point-outside-video]" in capsys.readouterr().err


def test_a_points_file_that_is_named_must_exist(data, run, capsys):
    for words in ([DEMO, data], [DEMO, data, "--by", "truth"], [data, "--run", run]):
        assert "[points-missing]" in refused(capsys, *words, "--points", "nope.csv")


def test_what_is_refused(data, run, tmp_path, capsys):
    assert "[arguments]" in refused(capsys, DEMO)
    assert "[arguments]" in refused(capsys, DEMO, data, "--run", run)
    assert "[held-out-missing]" in refused(capsys, data, "--run", tmp_path / "none")
    assert "[held-out-missing]" in refused(capsys, data, "--run", data)
    assert "[judge-by]" in refused(capsys, DEMO, data, "--by", "both")
    assert "[tiou]" in refused(capsys, DEMO, data, "--tiou", "0")
    assert "[tiou]" in refused(capsys, DEMO, data, "--tiou", "nan")
    assert "[min-score]" in refused(capsys, DEMO, data, "--min-score", "nan")
    assert "[subset]" in refused(capsys, DEMO, data, "--subset", "all")
    assert "[dataset-missing]" in refused(capsys, DEMO, tmp_path / "none")
    assert "[bundle-missing]" in refused(capsys, tmp_path / "none", data)


def test_data_sets_that_cannot_be_judged(data, run, capsys):
    points = data / "points.csv"
    header, *rows = points.read_text().splitlines()
    points.write_text(header + "\n")
    assert record(capsys, DEMO, data)["suspects"] == []
    assert "[no-points]" in refused(capsys, DEMO, data, "--by", "clicks")
    assert "[no-points]" in refused(capsys, data, "--run", run)
    listed = (data / "test.txt").read_text()
    (data / "test.txt").write_text("")
    assert "[list-missing]" in refused(capsys, DEMO, data, "--by", "clicks")
    (data / "test.txt").write_text(listed)
    (data / "gt.json").unlink()
    assert "[truth-missing]" in refused(capsys, DEMO, data)
    points.write_text("\n".join([header, *rows, *(row.replace(row.split(",")[0], "flight", 1) for row in rows[:1])]))
    assert "[label-unknown]" in refused(capsys, DEMO, data)


def test_other_classes_and_features(data, run, capsys):
    facts = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**facts, "classes": facts["classes"][::-1]}))
    assert "[labels-differ]" in refused(capsys, data, "--run", run)
    (data / "dataset.json").write_text(json.dumps(facts))
    video = Dataset.open(data).test[0]
    values = np.load(data / "features" / f"{video}.npy")
    values[3, 0] = np.nan
    np.save(data / "features" / f"{video}.npy", values)
    refused(capsys, DEMO, data)
    (data / "features" / f"{video}.npy").unlink()
    assert "[features-missing]" in refused(capsys, DEMO, data)

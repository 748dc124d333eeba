"""`punctum calibrate`: a bundle with other scores, from clicks or a known rate of actions."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime import Bundle, Localizer
from punctum.runtime.bundle.writer import save_bundle, seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.synthetic.sensors import make_sequence, write_demo_dataset

DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_demo_dataset(folder / "data", videos=12, seed=5)
    return folder / "data"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    """The demo bundle without calibration."""
    bundle = Bundle.load(DEMO)
    draft = bundle.manifest.model_copy(update={"calibration": None})
    folder = tmp_path_factory.mktemp("plain") / "bundle"
    save_bundle(seal_bundle(draft, dict(bundle.content)), folder)
    assert "calibration" not in json.loads((folder / "manifest.json").read_text())
    return str(folder)


def test_clicks_calibrate_a_bundle_and_change_no_network(plain, data, tmp_path, capsys):
    assert invoke(["calibrate", plain, str(data), "--subset", "train", "--out", str(tmp_path / "b"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["calibration"]
    assert record["clicks"] > 50
    assert record["precision"] > 0.8
    before, after = Bundle.load(plain), Bundle.load(tmp_path / "b")
    assert before.content == after.content
    assert before.id != after.id
    maps = after.manifest.calibration
    assert maps is not None
    assert len(maps.reduced) == len(maps.classes) == len(after.labels)  # overloaded sessions have probabilities, too
    assert maps.reduced != maps.classes
    features = make_sequence(3, seconds=60).features
    old, new = Localizer(before).localize(features), Localizer(after).localize(features)
    assert [(e.label, e.start, e.end, e.score) for e in old] == [(e.label, e.start, e.end, e.raw_score) for e in new]
    assert all(e.raw_score is None for e in old)
    assert 0.7 < sum(e.score for e in new) / len(make_sequence(3, seconds=60).actions) < 1.4


def test_clicks_that_count_twice_are_warned_of(plain, data, tmp_path, capsys):
    first, second, by_rate, third = (str(tmp_path / name) for name in ("1", "2", "3", "4"))
    words = [str(data), "--subset", "train", "--out"]
    assert invoke(["calibrate", plain, *words, first]) == 0
    assert "count twice" not in capsys.readouterr().err
    rate = ["--no-points", "--actions-per-hour", "200"]
    assert invoke(["calibrate", first, *words, by_rate, *rate]) == 0
    assert "count twice" not in capsys.readouterr().err
    for before, out in ((first, second), (by_rate, third)):
        assert invoke(["calibrate", before, *words, out]) == 0
        assert "are in the calibration of this bundle already and count twice" in capsys.readouterr().err
    more = [*words[:-1], "--points", "more.csv", "--out", str(tmp_path / "5")]
    lines = (data / "points.csv").read_text().splitlines()
    (data / "more.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")  # without the first click
    assert invoke(["calibrate", first, *more]) == 0
    assert "and count twice" in capsys.readouterr().err


def test_videos_of_the_training_are_warned_of(data, tmp_path, capsys):
    assert invoke(["calibrate", DEMO, str(data), "--subset", "train", "--out", str(tmp_path / "a")]) == 0
    assert "on such videos the scores are too high" in capsys.readouterr().err
    assert invoke(["calibrate", DEMO, str(data), "--out", str(tmp_path / "b")]) == 0
    done = capsys.readouterr()
    assert "trained on" not in done.err
    assert "Next: punctum run" in done.err and "FEATURES.npy" in done.err  # this bundle takes no video


def test_videos_without_a_click_are_counted(plain, tmp_path, capsys):
    own = tmp_path / "data"
    write_demo_dataset(own, videos=6, seed=9)
    first = (own / "train.txt").read_text().split()[0]
    lines = (own / "points.csv").read_text().splitlines()
    (own / "points.csv").write_text("\n".join([lines[0], *(line for line in lines[1:] if first in line)]) + "\n")
    videos = len((own / "train.txt").read_text().split())
    assert invoke(["calibrate", plain, str(own), "--subset", "train", "--out", str(tmp_path / "b")]) == 0
    assert f"({videos - 1} without any, as footage in which nothing happens)" in capsys.readouterr().out


def test_maps_of_reduced_scoring_are_learned_where_a_calibrated_bundle_has_none(data, tmp_path):
    bundle = Bundle.load(DEMO)
    maps = bundle.manifest.calibration
    assert maps is not None
    without = bundle.manifest.model_copy(update={"calibration": maps.model_copy(update={"reduced": ()})})
    save_bundle(seal_bundle(without, dict(bundle.content)), tmp_path / "without")
    words = [str(tmp_path / "without"), str(data), "--subset", "train", "--out", str(tmp_path / "b")]
    assert invoke(["calibrate", *words]) == 0
    found = Bundle.load(tmp_path / "b").manifest.calibration
    assert found is not None
    assert len(found.reduced) == len(found.classes)


def test_a_rate_fixes_the_number_of_expected_actions(data, tmp_path, capsys):
    out = str(tmp_path / "b")
    words = ["calibrate", DEMO, str(data), "--no-points", "--actions-per-hour", "900", "--out", out, "--json"]
    assert invoke(words) == 0
    record = json.loads(capsys.readouterr().out)["calibration"]
    assert record["clicks"] is None
    before = Bundle.load(DEMO).manifest.calibration
    assert before is not None and 0.8 < before.choices[0].recall < 1
    # Some actions have no event at all, here as on the footage of the bundle's calibration.
    assert record["expected"] == pytest.approx(900 * record["hours"] * before.choices[0].recall, rel=0.03)


def test_scores_alone_are_refused(data, tmp_path, capsys):
    """They do not show which share of the events is right."""
    assert invoke(["calibrate", DEMO, str(data), "--no-points", "--out", str(tmp_path / "b")]) == 2
    told = capsys.readouterr().err
    assert "[no-points]" in told and "--actions-per-hour" in told
    assert not (tmp_path / "b").exists()


def test_more_actions_than_events_are_refused(data, tmp_path, capsys):
    words = [DEMO, str(data), "--no-points", "--actions-per-hour", "1e5", "--out", str(tmp_path / "b")]
    assert invoke(["calibrate", *words]) == 2
    told = capsys.readouterr().err
    assert "[actions-per-hour]" in told
    assert "less than" in told and "because the bundle finds" in told
    assert not (tmp_path / "b").exists()


def test_without_clicks_it_compares_and_warns(data, tmp_path, capsys):
    words = ["--no-points", "--actions-per-hour", "300", "--out", str(tmp_path / "b")]
    assert invoke(["calibrate", DEMO, str(data), *words]) == 0
    done = capsys.readouterr()
    assert " actions by the rate: " in done.out
    assert " right events expected (" in done.out and " before)" in done.out
    words = ["--no-points", "--actions-per-hour", "2", "--out", str(tmp_path / "c")]
    assert invoke(["calibrate", DEMO, str(data), *words]) == 0
    assert "the shift is large" in capsys.readouterr().err


def test_few_clicks_for_an_uncalibrated_bundle(plain, data, tmp_path, capsys):
    own = tmp_path / "data"
    write_demo_dataset(own, videos=4, seed=9)
    (own / "test.txt").write_text((own / "train.txt").read_text().split()[0])
    assert invoke(["calibrate", plain, str(own), "--out", str(tmp_path / "b")]) == 0
    done = capsys.readouterr()
    assert "on these same videos" in done.out
    assert "a few dozen are needed" in done.err


def test_it_is_said_why_there_are_no_clicks(plain, data, tmp_path, capsys):
    assert invoke(["calibrate", plain, str(data), "--no-points", "--out", str(tmp_path / "b")]) == 2
    assert "--no-points leaves the clicks out" in capsys.readouterr().err
    (tmp_path / "none.csv").write_text("class,video_id,time_s\n")
    own = tmp_path / "data"
    write_demo_dataset(own, videos=4, seed=9)
    (own / "points.csv").write_text("class,video_id,time_s\n")
    assert invoke(["calibrate", plain, str(own), "--subset", "train", "--out", str(tmp_path / "b")]) == 2
    assert "there are no clicks in these videos" in capsys.readouterr().err
    assert invoke(["calibrate", DEMO, str(own), "--subset", "train", "--out", str(tmp_path / "b")]) == 2
    told = capsys.readouterr().err
    assert "[no-points]" in told and "--actions-per-hour" in told  # not silently another method


@pytest.mark.parametrize(
    ("bundle", "words", "code"),
    [
        ("plain", ["--no-points"], "not-calibrated"),
        ("demo", ["--actions-per-hour", "3"], "arguments"),
        ("demo", ["--no-points", "--actions-per-hour", "-3"], "actions-per-hour"),
        ("demo", ["--no-points", "--points", "p.csv"], "arguments"),
        ("demo", ["--subset", "all"], "subset"),
    ],
)
def test_what_is_refused(bundle, words, code, plain, data, tmp_path, capsys):
    source = plain if bundle == "plain" else DEMO
    assert invoke(["calibrate", source, str(data), *words, "--out", str(tmp_path / "b")]) == 2
    assert f"[{code}]" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("out", "words", "code"),
    [
        ("afile/x", [], "output"),
        ("other", ["--replace"], "output-exists"),
        ("afile", ["--replace"], "output-exists"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_first(data, tmp_path, monkeypatch, capsys, out, words, code):
    from punctum.export import calibrate

    monkeypatch.setattr(calibrate, "calibrate_bundle", lambda *given, **more: pytest.fail("the work began"))
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert invoke(["calibrate", DEMO, str(data), *words, "--out", str(tmp_path / out)]) == 2
    assert f"[{code}]" in capsys.readouterr().err
    assert (tmp_path / "afile").read_text() == (tmp_path / "other" / "notes.txt").read_text() == "mine"


def test_clicks_of_other_videos_and_other_classes(plain, data, tmp_path, capsys):
    own = tmp_path / "data"
    write_demo_dataset(own, videos=4, seed=9)
    lines = (own / "points.csv").read_text().splitlines()
    (own / "points.csv").write_text("\n".join([lines[0], *(f"{line.rsplit(',', 1)[0]},0.0" for line in lines[1:2])]))
    assert invoke(["calibrate", plain, str(own), "--subset", "train", "--out", str(tmp_path / "b")]) == 2
    assert "[calibration-judgment]" in capsys.readouterr().err
    facts = json.loads((own / "dataset.json").read_text())
    facts["classes"] = facts["classes"][::-1]
    (own / "dataset.json").write_text(json.dumps(facts))
    assert invoke(["calibrate", plain, str(own), "--subset", "train", "--out", str(tmp_path / "b")]) == 2
    assert "[labels-differ]" in capsys.readouterr().err

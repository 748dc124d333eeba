"""The text about the minimum score: where it comes from, and whether the footage supports it."""

from __future__ import annotations

from importlib import resources

import pytest
from punctum.runtime import Bundle
from punctum.runtime.bundle.chosen import choose_minimum
from punctum.runtime.bundle.operating_point import OperatingPoint
from punctum.runtime.bundle.writer import save_bundle, seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.synthetic.sensors import write_demo_dataset

DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")


def manifest_of(*, hours=None, clicks=None, facts=None, calibrated=True):
    manifest = Bundle.load(DEMO).manifest
    provenance = {**manifest.provenance, **({} if facts is None else {"calibration": facts})}
    if facts is None:
        provenance.pop("calibration", None)
    calibration = manifest.calibration.model_copy(update={"hours": hours, "clicks": clicks}) if calibrated else None
    return manifest.model_copy(update={"calibration": calibration, "provenance": provenance})


def chosen(manifest, **asked):
    return choose_minimum(OperatingPoint(**asked), manifest, manifest.labels)


def test_the_reason_of_the_minimum():
    trained = manifest_of()
    assert chosen(trained).text == "minimum score 0.45 (the default of the bundle)"
    assert chosen(trained, min_score=0.0).text == "minimum score 0 (as asked for)"
    assert (
        "(at most 50 false alarms per hour on held-out training videos)"
        in chosen(trained, false_alarms_per_hour=50.0).text
    )
    assert "at most 5000 false alarms" in chosen(trained, false_alarms_per_hour=5000.0).text
    site = manifest_of(facts={"dataset": "hall", "clicks": 30})
    assert "the videos of hall, by which it was calibrated" in chosen(site, target_recall=0.5).text
    shifted = manifest_of(facts={"dataset": "hall", "clicks": None})
    assert "not of this site" in chosen(shifted, target_recall=0.5).text
    assert chosen(manifest_of(calibrated=False)).text == "minimum score 0 (the bundle is not calibrated)"


@pytest.mark.parametrize(
    ("asked", "hours", "clicks", "told"),
    [
        ({"false_alarms_per_hour": 5.0}, 0.1, 50, "one false alarm is 10 per hour"),
        ({"false_alarms_per_hour": 20.0}, 0.1, 50, ""),
        ({"target_precision": 0.94}, 0.1, 5, "it takes at least 17"),
        ({"target_precision": 0.94}, 10.0, 500, ""),
        ({"target_recall": 0.97}, 0.1, 20, "rests on 20 clicks"),
        ({"target_recall": 0.97}, 0.1, 200, ""),
        ({"false_alarms_per_hour": 5.0}, None, None, ""),
        ({}, 0.01, 5, ""),
    ],
)
def test_targets_that_the_footage_cannot_support(asked, hours, clicks, told):
    doubt = chosen(manifest_of(hours=hours, clicks=clicks), **asked).doubt
    assert told in doubt
    assert bool(told) == bool(doubt)


def test_the_size_of_the_footage_is_kept_and_changes_no_id(tmp_path):
    bundle = Bundle.load(DEMO)
    sized = seal_bundle(manifest_of(hours=0.5, clicks=40, facts={}), dict(bundle.content))
    assert sized.id == bundle.id
    save_bundle(sized, tmp_path / "b")
    found = Bundle.load(tmp_path / "b").manifest.calibration
    assert (found.hours, found.clicks) == (0.5, 40)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    folder = tmp_path_factory.mktemp("data") / "d"
    write_demo_dataset(folder, videos=4, seed=3)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    bundle = Bundle.load(DEMO)
    folder = tmp_path_factory.mktemp("plain") / "bundle"
    save_bundle(seal_bundle(manifest_of(calibrated=False), dict(bundle.content)), folder)
    return str(folder)


def test_run_says_how_many_candidates_and_which_minimum(data, plain, capsys):
    features = str(next((data / "features").glob("*.npy")))
    assert invoke(["run", DEMO, features, "--stats"]) == 0
    done = capsys.readouterr()
    printed = len(done.out.splitlines())
    assert f"{printed} events of " in done.err and "minimum score 0.45 (the default of the bundle)" in done.err
    candidates = done.err.partition(f"{printed} events of ")[2].split()[0]
    assert f"{candidates} candidates, {printed} printed;" in done.err
    assert "not calibrated" not in done.err
    assert invoke(["run", DEMO, features, "--min-score", "1", "--label", "swipe"]) == 0
    done = capsys.readouterr()
    assert done.out == ""
    assert f"0 events of {candidates} candidates, only of class swipe; minimum score 1" in done.err
    assert invoke(["run", plain, features]) == 0
    done = capsys.readouterr()
    assert done.err.count("is not calibrated") == 2  # a note, and the reason of the minimum
    assert len(done.out.splitlines()) == int(candidates)


def test_live_runs_and_archives_say_it_too(data, plain, tmp_path, capsys):
    features = str(next((data / "features").glob("*.npy")))
    assert invoke(["run", plain, features, "--stream"]) == 0
    assert "only rank events" in capsys.readouterr().err
    assert invoke(["run", DEMO, features, "--stream", "--false-alarms-per-hour", "50"]) == 0
    assert "at most 50 false alarms per hour on " in capsys.readouterr().err


def test_doctor_shows_what_the_scores_are_worth(plain, capsys):
    invoke(["doctor", plain])
    assert "no: scores only rank events" in capsys.readouterr().out
    invoke(["doctor", DEMO])
    shown = capsys.readouterr().out
    assert "default minimum" in shown and "precision 0." in shown and "false alarms per hour on " in shown


def test_eval_judges_a_target_on_these_videos(data, capsys):
    assert invoke(["eval", DEMO, str(data), "--false-alarms-per-hour", "50"]) == 0
    shown = capsys.readouterr().out
    assert "(at most 50 false alarms per hour on " in shown
    assert "from it on, by ground truth at tIoU 0.5: recall " in shown
    assert "from a score of 0.27 on" in shown
    (data / "gt.json").rename(data / "away.json")
    try:
        assert invoke(["eval", DEMO, str(data), "--target-recall", "0.9"]) == 0
        assert "(recall of at least 0.9 on " in capsys.readouterr().out
    finally:
        (data / "away.json").rename(data / "gt.json")

"""`punctum eval --online` as a user meets it: a bundle, a recorded stream, and input that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime import Event
from punctum.runtime.cli import invoke

from tests.helpers import datasets as make


@pytest.fixture
def folder(tmp_path) -> Path:
    return make.make_ours(tmp_path / "d")


@pytest.fixture
def recording(tmp_path) -> Path:
    """Every action of the test videos: announced half a second after its end, final three seconds after it."""
    lines = []
    for number in (4, 5, 6):
        for k, (label, start, end) in enumerate(make.actions(number)):
            one = {"stream": f"v{number}", "id": f"v{number}/{k}", "label": label, "score": 0.9, "bundle": "b"}
            times = {"start": start, "end": end}
            soon = Event(**one, **times, revision=0, phase="update", emitted_at=end + 0.5, delay_s=0.5)
            last = Event(**one, **times, revision=1, phase="final", emitted_at=end + 3.0, delay_s=3.0)
            lines += [soon.to_json(), last.to_json()]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_recorded_stream(folder, recording, tmp_path, capsys):
    arguments = ["eval", str(folder), "--online", "--detections", str(recording), "--max-delay", "1,0.25"]
    assert invoke([*arguments, "--json", "--per-class"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["map"]["average"] == 1.0
    assert record["score_floor"] == {"score": 0.9, "f1": 1.0}
    assert record["media_hours"] == pytest.approx(30 / 3600)
    early, late = record["online"]
    assert (early["max_delay_s"], late["max_delay_s"]) == (0.25, 1.0)
    assert early["map"]["average"] == 0.0
    assert late["map"]["average"] == 1.0
    assert late["detection_delay_s"]["median"] == pytest.approx(0.5)
    assert late["revisions_per_event"] == 1.0
    assert late["false_alarms_per_hour"] == 0.0
    assert set(late["per_class"]) == set(make.LABELS)
    assert record["offline"]["detection_delay_s"]["mean"] == pytest.approx(3.0)

    assert invoke([*arguments, "--per-class"]) == 0
    out = capsys.readouterr().out
    for text in ("AP wave", "0.25 s", "offline", "detection delay, s, median", "false alarms per hour", "at least 0.9"):
        assert text in out

    assert invoke([*arguments, "--min-score", "0.95", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["score_floor"] == {"score": 0.95, "f1": None}
    assert record["map"]["average"] == 1.0 and record["offline"]["in_time"] == 0.0
    assert invoke([*arguments, "--min-score", "0.95"]) == 0
    assert "at least 0.95, as asked for" in " ".join(capsys.readouterr().out.split())


def test_figure(folder, recording, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="drawing needs the extra report")
    figure = tmp_path / "curve.svg"
    assert invoke(["eval", str(folder), "--online", "--detections", str(recording), "--figure", str(figure)]) == 0
    assert "</svg>" in figure.read_text()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--online", "--max-delay", "-1"], "positive"),
        (["--online", "--max-delay", ""], "comma-separated"),
        (["--online", "--max-delay", "nan"], "positive"),
        (["--online", "--max-delay", "inf"], "positive"),
        (["--online", "--max-delay", "1,soon"], "soon"),
        (["--online", "--alignment"], "--alignment"),
        (["--online", "--tick", "0.1"], "--tick"),
        (["--max-delay", "1"], "--online"),
    ],
)
def test_options_that_are_refused(folder, recording, capsys, options, word):
    assert invoke(["eval", str(folder), "--detections", str(recording), *options]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert "Traceback" not in error


def test_tick_longer_than_the_deadline(folder, capsys):
    assert invoke(["eval", "bundle", str(folder), "--online", "--max-delay", "0.5,1", "--tick", "0.75"]) == 2
    assert "--tick is 0.75" in capsys.readouterr().err


def test_detections_without_phases(folder, tmp_path, capsys):
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(make.perfect(["v4", "v5", "v6"], 4)))
    assert invoke(["eval", str(folder), "--online", "--detections", str(path)]) == 2
    assert "does not state when" in capsys.readouterr().err


def test_a_data_set_without_truth(folder, recording, capsys):
    (folder / "gt.json").unlink()
    assert invoke(["eval", str(folder), "--online", "--detections", str(recording)]) == 2
    assert "gt.json" in capsys.readouterr().err


def test_media_time_unknown(folder, recording, capsys):
    record = json.loads((folder / "gt.json").read_text())
    del record["database"]["v5"]["duration"]
    (folder / "gt.json").write_text(json.dumps(record))
    assert invoke(["eval", str(folder), "--online", "--detections", str(recording), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["offline"]["false_alarms_per_hour"] is None


def test_demo_bundle(tmp_path, capsys):
    """A real bundle and its data: the offline column is `punctum eval`, and a second is nearly enough."""
    pytest.importorskip("onnxruntime", reason="running a bundle needs the extra cpu")
    from importlib import resources

    from punctum.runtime.synthetic.sensors import write_demo_dataset

    bundle = str(resources.files("punctum.runtime") / "assets" / "demo")
    write_demo_dataset(tmp_path / "data", videos=4, seed=3, seconds=60.0)
    assert invoke(["eval", bundle, str(tmp_path / "data"), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert invoke(["eval", bundle, str(tmp_path / "data"), "--online", "--max-delay", "0.5,60", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["map"] == plain["map"] == record["offline"]["map"]
    soon, whole = record["online"]
    assert soon["map"]["average"] > 0.5 * plain["map"]["average"]
    assert whole["map"]["average"] == pytest.approx(plain["map"]["average"], abs=1e-9)
    assert soon["detection_delay_s"]["median"] < whole["detection_delay_s"]["median"]
    assert 0 < soon["real_time_factor"] < 1
    # A target of the bundle gives the minimum, as in punctum run.
    words = ["eval", bundle, str(tmp_path / "data"), "--target-precision", "0.9", "--json"]
    assert invoke(words) == 0
    least = json.loads(capsys.readouterr().out)["clicks"]["at_minimum_score"]["min_score"]
    assert invoke([*words, "--online", "--max-delay", "60"]) == 0
    assert json.loads(capsys.readouterr().out)["score_floor"] == {"score": pytest.approx(least, abs=1e-4), "f1": None}


def test_a_bundle_of_another_data_set(folder, capsys):
    pytest.importorskip("onnxruntime", reason="running a bundle needs the extra cpu")
    from importlib import resources

    bundle = str(resources.files("punctum.runtime") / "assets" / "demo")
    assert invoke(["eval", bundle, str(folder), "--online"]) == 2
    assert "the same classes" in capsys.readouterr().err

"""`--expect-sha256`: every command that takes a bundle refuses one with another digest, before it does anything."""

from __future__ import annotations

import json
import shutil
from importlib import resources

import numpy as np
import pytest
from punctum.runtime import Bundle
from punctum.runtime.cli import invoke
from punctum.runtime.synthetic.sensors import make_sequence

DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")
DIGEST = Bundle.load(DEMO).sha256
COMMANDS = {
    "run": ["run", "b", "x.npy"],
    "run --stream": ["run", "b", "x.npy", "--stream"],
    "score": ["score", "b", "x.npy", "--out", "out"],
    "eval": ["eval", "b", "data"],
    "eval --online": ["eval", "b", "data", "--online"],
    "report": ["report", "b", "x.npy", "--out", "r.html"],
    "bench": ["bench", "b", "--seconds", "1", "--rounds", "1"],
    "bench --input": ["bench", "b", "--input", "x.npy"],
    "build": ["build", "b", "--out", "engines"],
    "build --check": ["build", "b", "--check", "here"],
    "features": ["features", "b", "here", "--out", "f"],
    "quantize": ["quantize", "b", "data", "--out", "q"],
    "export --triton": ["export", "b", "--triton", "t"],
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(DEMO, tmp_path / "b")
    np.save(tmp_path / "x.npy", make_sequence(3, seconds=20).features)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "v.mp4").write_bytes(b"")
    data = tmp_path / "data"
    (data / "features").mkdir(parents=True)
    shutil.copy(tmp_path / "x.npy", data / "features" / "v.npy")
    head = {"name": "d", "classes": list(Bundle.load(DEMO).labels), "fps": 50, "snippet_frames": 5, "feature_dim": 8}
    (data / "dataset.json").write_text(json.dumps(head))
    (data / "test.txt").write_text("v\n")
    (data / "train.txt").write_text("v\n")
    (data / "points.csv").write_text("class,video_id,point\nlift,v,2.0\n")
    one = {"subset": "test", "duration": 20.0, "annotations": [{"label": "lift", "segment": [1.0, 3.0]}]}
    (data / "gt.json").write_text(json.dumps({"database": {"v": one}}))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_another_digest_is_refused(work, capsys, name):
    assert invoke([*COMMANDS[name], "--expect-sha256", "0" * 64]) == 2
    said = capsys.readouterr()
    assert "bundle-digest-differs" in said.err, said.err
    assert DIGEST in said.err
    assert not said.out
    assert not [n for n in ("out", "r.html", "engines", "f", "q", "t") if (work / n).exists()]


@pytest.mark.parametrize("name", ["run", "run --stream", "report", "eval"])
def test_the_right_digest_runs(work, capsys, name):
    assert invoke([*COMMANDS[name], "--expect-sha256", DIGEST.upper()]) == 0, capsys.readouterr().err


def test_a_digest_that_is_cut_off_is_refused(work, capsys):
    assert invoke(["run", "b", "x.npy", "--expect-sha256", DIGEST[:12]]) == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err


def test_doctor_prints_the_digest_and_checks_it(work, capsys):
    assert invoke(["doctor", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"]["Bundle"]["sha256"] == DIGEST
    assert invoke(["doctor", "b", "--expect-sha256", "1" * 64]) == 1
    assert DIGEST in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["doctor"],
        ["eval", "data", "--detections", "x.jsonl"],
        ["build", "--check", "here"],
        ["export", "b", "--out", "new"],
    ],
)
def test_a_digest_without_a_bundle_is_refused_by_name(work, capsys, command):
    assert invoke([*command, "--expect-sha256", DIGEST]) == 2
    assert "--expect-sha256" in capsys.readouterr().err

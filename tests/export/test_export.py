"""From clicks to a bundle on made data: graphs equal the model at every length, a killed export leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")

from punctum.runtime import Bundle, Dataset, InputError, Localizer, evaluate
from punctum.runtime.cli import invoke
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.synthetic.sensors import write_demo_dataset
from punctum.training import load_run

PARTNER = {"locator": {"hidden": [{"kernel": 3, "units": 16, "dilation": 2}]}, "optim": {"steps": 100, "rate": 5e-3}}
RECIPE = {"locator_optim": {"epochs": 10}, "partners": [PARTNER], "center_optim": {"epochs": 2}, "folds": 0}
"""Two networks whose tracks are averaged, trained just long enough to find most actions."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A data set, a run and a bundle in one folder."""
    folder = tmp_path_factory.mktemp("made")
    write_demo_dataset(folder / "data", videos=12, seed=3, seconds=60)
    config = folder / "config.json"
    config.write_text(json.dumps(RECIPE))
    assert invoke(["train", str(folder / "data"), "--out", str(folder / "run"), "--config", str(config)]) == 0
    assert invoke(["export", str(folder / "run"), "--out", str(folder / "bundle")]) == 0
    return folder


def test_the_bundle_finds_actions(made):
    data = Dataset.open(made / "data")
    localizer = Localizer(Bundle.load(made / "bundle"))
    truth = data.truth()
    events = {video: localizer.localize(data.features(video), stream=video) for video in truth.videos}
    assert evaluate(truth, Detections.from_events(events, truth)).average > 0.5


def test_parity_is_recorded_over_lengths_and_counts(made):
    report = json.loads(Bundle.load(made / "bundle").read("parity.json"))
    lengths = ("T=1", "T=2", "T=97", "T=1000")
    assert set(report["locator"]) == {*lengths, *(f"B=3,{length}" for length in lengths)}
    assert report["worst"] <= report["tolerance"]


def test_torch_and_onnx_runtime_give_the_same_events(made):
    from punctum.training.models.torch_backend import TorchBackend

    run = load_run(made / "run")
    bundle = Localizer(Bundle.load(made / "bundle"))
    model = Localizer.from_parts(
        TorchBackend(run.locator, run.center),
        labels=run.labels,
        dim=run.feature_spec.dim,
        stride_s=run.feature_spec.stride_s,
        post=run.post,
        receptive_field=run.locator.receptive_field,
    )
    features = Dataset.open(made / "data").features("seq_3_011")
    a, b = bundle.localize(features), model.localize(features)
    assert [e.label for e in a] == [e.label for e in b]
    np.testing.assert_allclose(
        [(e.start, e.end, e.score) for e in a], [(e.start, e.end, e.score) for e in b], atol=1e-4
    )


def test_streaming_the_bundle_equals_offline(made):
    localizer = Localizer(Bundle.load(made / "bundle"))
    data = Dataset.open(made / "data").features("seq_3_010").data
    offline = localizer.localize(data)
    for size in (1, 7, 64):
        live = list(localizer.stream(data[t : t + size] for t in range(0, len(data), size)))
        assert [(e.label, e.id) for e in live] == [(e.label, e.id) for e in offline]
        np.testing.assert_allclose(
            [(e.start, e.end, e.score) for e in live], [(e.start, e.end, e.score) for e in offline], atol=1e-4
        )


def test_the_graphs_hold_no_trace_of_the_machine(made):
    import onnx

    bundle = Bundle.load(made / "bundle")
    for name in bundle.content:
        if not name.endswith(".onnx"):
            continue
        model = onnx.load_from_string(bundle.read(name))
        kinds = {node.op_type for node in model.graph.node}
        for tensor in model.graph.initializer:  # weights hold any three bytes sooner or later
            tensor.ClearField("raw_data")
        data = model.SerializeToString()
        for word in (str(Path.home()), str(Path(__file__).parent), "site-packages", ".py"):
            assert word.encode() not in data, f"{word} in {name}"
        assert "RoiAlign" not in kinds


def test_export_of_the_same_run_gives_the_same_id(made, tmp_path):
    assert invoke(["export", str(made / "run"), "--out", str(tmp_path / "again")]) == 0
    assert Bundle.load(tmp_path / "again").id == Bundle.load(made / "bundle").id


def test_existing_bundle_and_wrong_run_are_refused(made, tmp_path, capsys):
    assert invoke(["export", str(made / "run"), "--out", str(made / "bundle")]) == 2
    assert "exists" in capsys.readouterr().err
    assert invoke(["export", str(tmp_path), "--out", str(tmp_path / "b")]) == 2
    assert not (tmp_path / "b").exists()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("wait", [1.0, 3.5, 5.0])
def test_a_killed_export_leaves_no_bundle_that_loads(made, tmp_path, wait):
    out = tmp_path / "bundle"
    arguments = ["export", str(made / "run"), "--out", str(out)]
    code = f"from punctum.runtime.cli import invoke; raise SystemExit(invoke({arguments!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if out.exists():
        Bundle.load(out)  # finished in time, so it must be whole
    else:
        with pytest.raises(InputError):
            Bundle.load(out)

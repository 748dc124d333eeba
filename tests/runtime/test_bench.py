"""punctum bench: what it says of variants is there, adds up, and leaves nothing out in silence."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")

from punctum.runtime import Bundle
from punctum.runtime.bench import STAGES, Timed, bench, noise_features
from punctum.runtime.bundle.precision import PrecisionRecord
from punctum.runtime.bundle.writer import save_bundle, seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError

DEMO = Path(__file__).parents[2] / "runtime" / "assets" / "demo"


@pytest.fixture(scope="module")
def varied(tmp_path_factory) -> Path:
    """The demo bundle with two variants whose graphs are those of fp32: one for the CPU, one for GPUs."""
    demo = Bundle.load(DEMO)
    precision = {
        "copy": PrecisionRecord(files={"locator": "locator.copy.onnx"}, targets=("cpu",)),
        "fp16": PrecisionRecord(files={"locator": "locator.fp16.onnx"}, targets=("cuda", "tensorrt")),
    }
    graph = demo.graph("locator")
    content = {**demo.content, "locator.copy.onnx": graph, "locator.fp16.onnx": graph}
    folder = tmp_path_factory.mktemp("varied") / "bundle"
    save_bundle(seal_bundle(demo.manifest.model_copy(update={"precision": precision}), content), folder)
    return folder


@pytest.mark.slow
def test_variants_in_turns(varied):
    found = bench(varied, seconds=5, rounds=3)
    record = found.to_record()
    json.dumps(record)
    assert record["schema"] == "punctum.bench/1"
    assert record["bundle"] == Bundle.load(varied).id
    assert (record["rounds"], record["media_s"]) == (3, 5.0)
    assert [v["name"] for v in record["variants"]] == ["cpu fp32", "cpu copy"]
    assert record["left_out"] == {"cpu fp16": "meant for cuda, tensorrt"}
    first, second = record["variants"]
    assert set(first["ratio"].values()) == {1.0}
    assert first["events"] == second["events"]  # the graphs are the same
    for variant in record["variants"]:
        spent = variant["ms_per_media_s"]
        assert set(spent) == set(STAGES) - {"backbone"}
        assert all(value > 0 for value in spent.values())
        assert 0 < variant["push_ms"]["p50"] <= variant["push_ms"]["p99"] <= variant["push_ms"]["max"]
        assert (variant["requested"], variant["actual"]) == ("cpu", "cpu")
        assert sum(variant["nodes"].values()) > 10
        memory = variant["memory_mib"]
        assert not memory or 0 < memory["before"] <= memory["after_a_run"]


def test_the_stages_of_a_round_are_its_whole(varied):
    found = bench(varied, precisions=["fp32"], seconds=2, rounds=2)
    (variant,) = found.variants
    for turn in variant.rounds:
        assert turn["all"] == pytest.approx(turn["locator"] + turn["scorer"] + turn["post"])
    assert not isinstance(variant.localizer.backend, Timed)  # the watch is off again


def test_the_spread_of_the_rounds_is_shown(varied, capsys):
    assert invoke(["bench", str(varied), "--seconds", "2", "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("lowest to highest") == 4  # locator, scorer, post, all
    assert re.search(r"lowest to highest\s+│\s+\d+\.\d\d to \d+\.\d\d │\s+\d+\.\d\d to \d+\.\d\d\s+\(x", out)
    assert "not measured: decoding of videos" in out
    assert invoke(["bench", str(varied), "--seconds", "2", "--rounds", "1", "--precision", "fp32"]) == 0
    assert "lowest to highest" not in capsys.readouterr().out


def test_the_help_says_that_decoding_is_left_out(capsys):
    assert invoke(["bench", "--help"]) == 0
    assert "Decoding of videos is not measured" in " ".join(re.sub("[│\n]", " ", capsys.readouterr().out).split())


def test_given_features_are_what_runs():
    rows = np.zeros((40, 8), np.float32)
    found = bench(DEMO, rounds=1, features=rows)
    assert found.media_s == pytest.approx(4.0)
    assert found.variants[0].events == 0


def test_noise_features_are_like_those_of_training():
    bundle = Bundle.load(DEMO)
    rows = noise_features(bundle, 4000)
    known = bundle.manifest.features.fingerprint
    assert rows.shape == (4000, 8)
    assert rows.dtype == np.float32
    assert rows.std() == pytest.approx(known.std, rel=0.05)
    np.testing.assert_array_equal(rows, noise_features(bundle, 4000))


@pytest.mark.parametrize(
    "given",
    [
        {"seconds": 0.1},
        {"seconds": math.nan},
        {"seconds": 1e6},
        {"rounds": 0},
        {"devices": ["gpu"]},
        {"precisions": ["int4"]},
        {"threads": 0},
    ],
)
def test_bad_input(given):
    with pytest.raises(InputError):
        bench(DEMO, **{"rounds": 1, "seconds": 1} | given)


@pytest.mark.slow
def test_the_command(varied, capsys, tmp_path):
    np.save(tmp_path / "rows.npy", noise_features(Bundle.load(DEMO), 60))
    given = ["bench", str(varied), "--rounds", "2", "--input", str(tmp_path / "rows.npy")]
    assert invoke([*given, "--json"]) == 0
    out = capsys.readouterr().out
    record = json.loads(out)
    assert record["details"]["media_s"] == pytest.approx(6.0)
    assert {"cpu fp32: all", "cpu copy: push p99"} <= {row["name"] for row in record["rows"]}
    (tmp_path / "earlier.json").write_text(out)
    assert invoke([*given, "--compare", str(tmp_path / "earlier.json")]) == 0
    out = capsys.readouterr().out
    assert "after" in out  # the head of the column may be wrapped
    assert "before" in out
    assert invoke(given) == 0
    out = capsys.readouterr().out
    assert "cpu copy" in out
    assert "not measured: cpu fp16: meant for cuda, tensorrt" in out.replace("\n", " ")
    np.save(tmp_path / "wrong.npy", np.zeros((9, 5), np.float32))
    assert invoke(["bench", str(varied), "--input", str(tmp_path / "wrong.npy")]) == 2
    assert "5" in capsys.readouterr().err


def test_a_device_that_was_asked_for_must_run(capsys):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has a CUDA provider")
    assert invoke(["bench", str(DEMO), "--device", "cpu", "--device", "cuda"]) == 2
    assert "CUDA provider" in capsys.readouterr().err

"""The promise of --device, as a user meets it: every command runs on what was asked for, or ends with the reason.

PUNCTUM_GPU_PYTHON may name a Python that has punctum and onnxruntime-gpu; without a GPU the same has to hold there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")

from punctum.runtime.backends.tensorrt.cuda import gpu_here
from punctum.runtime.cli._engine import announce
from punctum.runtime.synthetic.sensors import make_sequence

DEMO = Path(__file__).parents[2] / "runtime" / "assets" / "demo"
OTHER = os.environ.get("PUNCTUM_GPU_PYTHON", "")
pytestmark = pytest.mark.skipif(gpu_here() is not None, reason="there is a GPU: what is refused here would run")


def punctum(*arguments: object, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [python, "-c", "from punctum.runtime.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("features") / "seq.npy"
    np.save(path, make_sequence(99, seconds=40).features)
    return path


@pytest.fixture(
    params=[
        sys.executable,
        pytest.param(OTHER, marks=pytest.mark.skipif(not OTHER, reason="PUNCTUM_GPU_PYTHON names no Python")),
    ],
    ids=["here", "gpu-wheel"],
)
def python(request) -> str:
    return request.param


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "ort-tensorrt"])
def test_no_command_falls_back(rows, python, device):
    done = punctum("run", DEMO, rows, "--device", device, python=python)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("error [")
    assert "Traceback" not in done.stderr
    assert "Next: " in done.stderr
    assert any(word in done.stderr for word in ("CUDA provider", "TensorRT provider", "driver")), done.stderr


@pytest.mark.slow
def test_auto_runs_and_says_on_what(rows, python):
    plain = punctum("run", DEMO, rows, python=python)
    auto = punctum("run", DEMO, rows, "--device", "auto", python=python)
    assert auto.returncode == 0, auto.stderr
    assert plain.stderr == "" or "device:" not in plain.stderr
    assert auto.stderr.count("device: auto took cpu (not tensorrt: ") == 1
    assert auto.stdout == plain.stdout
    assert len(auto.stdout.splitlines()) > 3


def test_a_choice_is_told_once(capsys):
    """A bundle and its backbone usually go to the same device, for the same reasons."""
    first, same, other = (SimpleNamespace(choice=f"auto took {name}") for name in ("cpu", "cpu", "cuda"))
    announce(first, same, SimpleNamespace(choice=""), SimpleNamespace())
    assert capsys.readouterr().err == "device: auto took cpu\n"
    announce(same, other, after=first)
    assert capsys.readouterr().err == "device: auto took cuda\n"


@pytest.mark.slow
def test_the_doctor_answers_by_its_exit_code(python):
    for device, code in (("cpu", 0), ("auto", 0), ("cuda", 1), ("tensorrt", 1)):
        done = punctum("doctor", DEMO, "--device", device, "--json", python=python)
        told = json.loads(done.stdout)
        assert (done.returncode, told["runs"]) == (code, not code), (device, done.stderr)
        assert bool(told["findings"]) or not code


@pytest.mark.slow
def test_other_commands_are_as_strict(tmp_path):
    """Nothing is written where the device does not run."""
    for command in (
        ["eval", DEMO, tmp_path / "none", "--device", "cuda"],
        ["bench", DEMO, "--device", "cuda"],
        ["run", DEMO, "-", "--device", "gpu"],
    ):
        done = punctum(*command)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []

"""The page of measured results is that of the committed files, and every script in benchmarks/ writes such files."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from punctum.runtime.backends.tensorrt.cuda import gpu_here
from punctum.runtime.bench import result_of, row_of, write_result

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "benchmarks").glob("*.md"))]
# Made by hand or from no script; they write no result.
WITHOUT = {"sequences", "site_folders", "rtsp_cameras", "calibrate_shipped", "result_file"}
WITHOUT |= {"make_default_bundle", "make_demo_bundle"}
WITHOUT |= {"make_motion_weights", "gpu_checks", "site_cameras", "site_checks", "site_outages"}


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("ci_benchmarks", ROOT / ".ci" / "benchmarks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(maker):
    assert maker.differences() == []


def test_a_page_that_is_not_is_named(maker, monkeypatch, tmp_path):
    monkeypatch.setattr(maker, "PAGE", tmp_path / "measured.md")
    assert "out of date" in maker.differences()[0]
    assert maker.main([]) == 0
    assert maker.main(["--check"]) == 0
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text("{}")
    monkeypatch.setattr(maker, "RESULTS", tmp_path / "results")
    assert "not a result" in maker.differences()[0]


def test_what_a_result_does_not_say_is_left_out(maker, monkeypatch, tmp_path):
    rows = [row_of("sorting", [1.0, 2.0, 4.0], "ms")]
    result = result_of("kernels", rows, command="python benchmarks/kernels.py") | {"skipped": {}}
    monkeypatch.setattr(maker, "RESULTS", tmp_path)
    for spread, vectors, table, cpu in (
        ([1.0, 4.0], "AVX2", "| sorting | 2 ms | 1 to 4 |  |", " (AVX2), "),
        (None, "", "| sorting | 2 ms |  |", ", "),
    ):
        result["rows"][0]["spread"] = spread
        result["machine"] |= {"cpu": "CPU", "vectors": vectors}
        write_result(tmp_path / "a.json", result)
        lines = maker.page().splitlines()
        assert table in lines
        assert ("| | value | spread | ratio |" in lines) == (spread is not None)
        assert any(line.startswith(f"CPU{cpu}") for line in lines)


def test_commands_of_the_pages_are_scripts():
    for page in PAGES:
        for name in re.findall(r"benchmarks/(\w+)\.py", page.read_text(encoding="utf-8")):
            assert (ROOT / "benchmarks" / f"{name}.py").is_file(), (page.name, name)


def test_every_script_writes_results():
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        if script.stem not in WITHOUT:
            called = {
                node.func.id
                for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert {"add_json", "save"} <= called, script.name


def test_the_gpu_script_begins_with_the_device(tmp_path):
    """Rendering its videos takes minutes."""
    if gpu_here() is not None:
        pytest.skip("there is a GPU")
    for device in ("cuda", "tensorrt", "gpu"):
        command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", device]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 2
        assert f"--device {device} does not run here: " in done.stderr
        assert "--device cpu --quick" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_gpu_script_without_a_gpu(tmp_path):
    """It runs to its end, and names what it could not check."""
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", "--quick", "--json", str(out)]
    command += ["--only", "kernels,engines,ort-tensorrt,cuda-graphs,power,jetson-decoder"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["schema"] == "punctum.benchmark/1"
    assert {"kernels", "engines", "ort-tensorrt"} <= set(result["skipped"])
    assert "dry run" in result["skipped"]["kernels"]
    assert any(row["name"].startswith("cuda-graphs: step of 64") for row in result["rows"])
    wrong = subprocess.run([*command[:2], "--only", "speed"], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 2
    assert "Allowed: " in wrong.stderr

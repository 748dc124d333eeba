"""The command as a user meets it: bad input ends with exit code 2, a message that helps, and no traceback."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")


def punctum(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def called(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The same in this process, which saves its start. test_cli_process runs errors in processes of their own."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = invoke([str(a) for a in arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def bundle() -> Path:
    return Path(str(resources.files("punctum.runtime") / "assets" / "demo"))


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    from punctum.runtime.synthetic.sensors import make_sequence

    path = tmp_path_factory.mktemp("features") / "seq.npy"
    np.save(path, make_sequence(99, seconds=40).features)
    return path


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def test_demo_finds_most_actions():
    done = punctum("demo", "--sensors", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["actions"] >= 5
    assert record["found"] >= 0.7 * record["actions"]
    assert record["mean_iou"] > 0.5
    assert len({e["event"] for e in record["events"]}) == len(record["events"])


@pytest.mark.slow
def test_demo_with_a_video(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed")
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    done = punctum("demo", "--seconds", "12", "--min-score", "0.01", "--out", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["report.html", "scene-7.mp4"]
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "punctum demo" in page
    assert "actions found" in done.stdout
    assert "final" in done.stdout
    again = punctum("run", "default", str(tmp_path / "demo" / "scene-7.mp4"))
    assert again.returncode == 0, again.stderr
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert events
    assert all(e["bundle"].startswith("default-") for e in events)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_the_demo_replaces_nothing_of_the_users(tmp_path, kind):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.txt").write_text("years")
    out = {"file": kept / "thesis.txt", "folder": kept, "link": tmp_path / "link"}[kind]
    if kind == "link":
        (tmp_path / "empty").mkdir()
        out.symlink_to(tmp_path / "empty")
    refused(called("demo", "--seconds", "12", "--out", str(out)), "output-exists", "choose another --out")
    assert (kept / "thesis.txt").read_text() == "years"
    assert out.is_symlink() == (kind == "link")


def test_run_prints_one_event_a_line(bundle, features, tmp_path):
    done = punctum("run", bundle, features, "--stats")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events
    assert all(e["phase"] == "final" and e["start"] < e["end"] and e["stream"] == "seq" for e in events)
    assert "real-time factor" in done.stderr
    out = tmp_path / "results.json"
    assert punctum("run", bundle, features.parent, "--format", "activitynet", "--out", out).returncode == 0
    results = json.loads(out.read_text())["results"]
    assert len(results["seq"]) == len(events)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: np.zeros((10, 3), np.float32), ["dimension 3", "Allowed", "Next"]),
        (lambda: np.full((10, 8), np.nan, np.float32), ["nan", "snippet 0"]),
        (lambda: np.zeros((10, 8), np.complex64), ["complex64"]),
        (lambda: np.zeros(10, np.float32), ["shape"]),
        (lambda: np.zeros((0, 8), np.float32), ["no snippet"]),
        (lambda: np.array([{"a": 1}], dtype=object), ["not a readable"]),
    ],
)
def test_bad_features(bundle, tmp_path, make, words):
    path = tmp_path / "bad.npy"
    np.save(path, make(), allow_pickle=True)
    refused(called("run", bundle, path), *words)


def test_features_that_are_no_array(bundle, features, tmp_path):
    refused(called("run", bundle, tmp_path / "none.npy"), "not a file")
    text = tmp_path / "text.npy"
    text.write_text("hello")
    refused(called("run", bundle, text), "not a readable")
    cut = tmp_path / "cut.npy"
    cut.write_bytes(features.read_bytes()[:500])
    refused(called("run", bundle, cut), "not a readable")


def test_one_snippet_works(bundle, tmp_path):
    path = tmp_path / "one.npy"
    np.save(path, np.zeros((1, 8), np.float32))
    assert punctum("run", bundle, path).returncode == 0


def test_bad_bundles(bundle, features, tmp_path):
    refused(called("run", tmp_path / "none", features), "does not exist")
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    (broken / "locator.onnx").write_bytes(b"x" + (broken / "locator.onnx").read_bytes()[1:])
    refused(called("run", broken, features), "SHA-256")
    (broken / "locator.onnx").unlink()
    refused(called("run", broken, features), "no locator.onnx")
    shutil.copy(bundle / "locator.onnx", broken)
    record = json.loads((bundle / "manifest.json").read_text())
    (broken / "manifest.json").write_text(json.dumps(record | {"schema": "9.0"}))
    refused(called("run", broken, features), "9.0", "update punctum")


@pytest.mark.slow
def test_wrong_words(bundle, features, tmp_path):
    refused(called("run", bundle, features, "--label", "juggle"), "juggle", "swipe")
    refused(called("run", bundle, features, "--device", "cuda"), "cuda")
    refused(called("run", bundle, features, "--format", "xml"), "xml")
    refused(called("run", bundle), "")
    refused(called("eval", bundle, tmp_path / "nowhere"), "data set folder")
    refused(called("train", tmp_path / "nowhere", "--out", tmp_path / "r"), "nowhere")
    refused(called("nonsense"), "nonsense")


@pytest.mark.slow
def test_versions_and_help():
    done = punctum("--version")
    assert done.returncode == 0
    assert "onnxruntime" in done.stdout
    for command in ("run", "eval", "demo", "train", "export"):
        text = punctum(command, "--help").stdout
        assert "Example" in text, command


def test_import_is_quick_and_light():
    code = (
        "import time, sys; t = time.perf_counter(); import punctum.runtime; s = time.perf_counter() - t\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'matplotlib', 'av'} & set(sys.modules)\n"
        "print(s, sorted(heavy))"
    )
    best = 9.0
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert time.perf_counter() > began
        seconds, heavy = done.stdout.split(" ", 1)
        assert heavy.strip() == "[]"
        best = min(best, float(seconds))
    assert best < 1.0

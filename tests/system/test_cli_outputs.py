"""Outputs of every command as users give them: over inputs, links, pipes, other people's files, and to `-`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.synthetic.sensors import make_sequence, write_demo_dataset

pytestmark = pytest.mark.slow

BUNDLE = str(resources.files("punctum.runtime") / "assets" / "demo")
PUNCTUM = [sys.executable, "-c", "from punctum.runtime.cli import main; main()"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    np.save(folder / "seq.npy", make_sequence(99, seconds=40).features)
    write_demo_dataset(folder / "dataset", videos=4, seed=3)
    assert invoke(["run", BUNDLE, str(folder / "seq.npy"), "--out", str(folder / "wanted.jsonl")]) == 0
    return folder


def run(*arguments: object) -> int:
    return invoke([str(argument) for argument in arguments])


def refused(capsys, code: str, *arguments: object) -> None:
    capsys.readouterr()
    assert run(*arguments) == 2
    told = capsys.readouterr().err
    assert f"[{code}]" in told, told
    assert "Next: " in told


WRITERS = {  # arguments after which the output path follows, for commands that write one file
    "run": ["run", BUNDLE, "{npy}", "--out"],
    "run activitynet": ["run", BUNDLE, "{npy}", "--format", "activitynet", "--out"],
    "run live": ["run", BUNDLE, "{npy}", "--stream", "--out"],
    "report": ["report", BUNDLE, "{npy}", "--out"],
    "eval": ["eval", BUNDLE, "{dataset}", "--figure"],
    "convert": ["convert", "{events}", "--to", "csv"],
}


def arguments(name: str, place: Path, npy: Path | None = None) -> list[str]:
    if name == "report":
        pytest.importorskip("jinja2", reason="report needs jinja2")
    if name == "eval":
        pytest.importorskip("matplotlib", reason="the figure needs matplotlib")
    values = {"npy": npy or place / "seq.npy", "dataset": place / "dataset", "events": place / "wanted.jsonl"}
    return [word.format(**values) for word in WRITERS[name]]


@pytest.mark.parametrize("name", WRITERS)
def test_links_and_pipes(place, tmp_path, name, capsys):
    command = arguments(name, place)
    (tmp_path / "link").symlink_to("target")
    assert run(*command, tmp_path / "link") == 0
    assert (tmp_path / "link").is_symlink()
    wanted = (tmp_path / "target").read_bytes()
    assert wanted
    os.mkfifo(tmp_path / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    # The command in a process of its own: a thread of this one holds the other end.
    done = subprocess.run([*PUNCTUM, *command, tmp_path / "pipe"], capture_output=True, timeout=240)
    reader.join(30)
    assert done.returncode == 0, done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert len(found) == 1
    assert len(found[0]) == pytest.approx(len(wanted), rel=0.01)
    capsys.readouterr()


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "convert"])
def test_files_of_others_are_kept(place, tmp_path, capsys, name):
    command = arguments(name, place)
    for file, data in (("clip.mp4", b"\0\0\0\x18ftypmp42"), ("tool.py", b"print(1)\n"), ("notes.txt", b"years\n")):
        (tmp_path / file).write_bytes(data)
        capsys.readouterr()
        assert run(*command, tmp_path / file) == 2
        assert (tmp_path / file).read_bytes() == data
        assert "Next: " in capsys.readouterr().err
    out = tmp_path / "out"
    assert run(*command, out) == 0
    before = out.stat().st_size
    assert run(*command, out) == 0  # its own kind
    assert out.stat().st_size == pytest.approx(2 * before if name == "run live" else before, rel=0.01)


@pytest.mark.parametrize("name", WRITERS)
def test_the_input_is_kept(place, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name == "eval":
        pytest.skip("its inputs are folders")
    data = (place / ("wanted.jsonl" if name == "convert" else "seq.npy")).read_bytes()
    (tmp_path / "in.npy").write_bytes(data)
    os.link("in.npy", "hard")
    Path("soft").symlink_to("in.npy")
    command = arguments(name, place, npy=Path("in.npy"))
    if name == "convert":
        command[1] = "in.npy"
        command += ["--from", "events", "--replace"]
    for out in ("in.npy", "./in.npy", "hard", "soft", tmp_path / "in.npy"):
        refused(capsys, "output-is-input", *command, out)
    assert (tmp_path / "in.npy").read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hard", "in.npy", "soft"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_dash_is_standard_output(place, tmp_path, name, monkeypatch):
    command = arguments(name, place)
    done = subprocess.run([*PUNCTUM, *command, "-"], capture_output=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    begins = {"report": b"<!doctype", "eval": b"<?xml", "convert": b"class,", "run activitynet": b'{\n "version"'}
    assert done.stdout.lstrip().startswith(begins.get(name, b'{"schema"'))
    if name == "run":
        assert done.stdout == (place / "wanted.jsonl").read_bytes()
    assert not list(tmp_path.iterdir())


def test_an_appending_shell_keeps_what_was_there(place, tmp_path):
    kept = tmp_path / "kept.log"
    kept.write_text("before\n")
    with kept.open("ab") as out:
        command = [*PUNCTUM, "run", BUNDLE, place / "seq.npy", "--out", "/proc/self/fd/1"]
        assert subprocess.run(command, stdout=out, timeout=120).returncode == 0
    assert kept.read_bytes() == b"before\n" + (place / "wanted.jsonl").read_bytes()


FOLDERS = {
    "score": ["score", BUNDLE, "{npy}", "--out"],
    "build": ["build", BUNDLE, "--out"],
    "demo": ["demo", "--seconds", "10", "--out"],
    "make-demo": ["data", "make-demo", "--count", "2", "--out"],
    "make-videos": ["data", "make-videos", "--count", "2", "--out"],
    "features": ["features", BUNDLE, "{folder}", "--out"],
    "train": ["train", "{dataset}", "--out"],
    "train-backbone": ["train-backbone", "{folder}", "--out"],
    "export": ["export", "{folder}", "--out"],
    "export-backbone": ["export-backbone", "x.onnx", "--spec", "x.json", "--out"],
    "backbones": ["backbones", "compose", "--part", "motion", "--out"],
    "quantize": ["quantize", BUNDLE, "{dataset}", "--out"],
    "triton": ["export", BUNDLE, "--triton"],
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_are_not_files(place, tmp_path, capsys, name):
    for library in {
        "train": ["torch"],
        "train-backbone": ["torch"],
        "export": ["onnx", "torch"],
        "backbones": ["onnx"],
    }.get(name, []):
        pytest.importorskip(library, reason=f"{name} needs {library}")
    values = {"npy": place / "seq.npy", "dataset": place / "dataset", "folder": place / "dataset"}
    command = [word.format(**values) for word in FOLDERS[name]]
    (tmp_path / "file").write_text("mine")
    for out in ("-", tmp_path / "file"):
        capsys.readouterr()
        assert run(*command, out) == 2
        told = capsys.readouterr().err
        assert "[output" in told or "[out-" in told, told
    assert (tmp_path / "file").read_text() == "mine"
    assert not Path("-").exists()


def test_a_folder_that_holds_the_input_is_refused(place, tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="score needs pyarrow")
    dataset = place / "dataset"
    (tmp_path / "link").symlink_to(dataset)
    for out in (dataset, dataset / "features", place, tmp_path / "link", dataset / ".." / "dataset"):
        refused(capsys, "output-is-input", "score", BUNDLE, dataset / "features", "--out", out)
    refused(capsys, "output-is-input", "score", BUNDLE, place / "seq.npy", "--out", BUNDLE)
    if pytest.importorskip("torch", reason="train needs torch"):
        for out in (dataset, place, tmp_path / "link"):
            refused(capsys, "output-is-input", "train", dataset, "--out", out, "--fresh")
            refused(capsys, "output-is-input", "quantize", BUNDLE, dataset, "--out", out, "--replace")
    assert sorted(p.name for p in dataset.iterdir()) == sorted(
        ["dataset.json", "features", "gt.json", "points.csv", "test.txt", "train.txt"]
    )


def test_a_folder_behind_a_link(tmp_path, place, capsys):
    pytest.importorskip("pyarrow", reason="score needs pyarrow")
    (tmp_path / "link").symlink_to("results")
    command = ["score", BUNDLE, place / "seq.npy", "--out", tmp_path / "link", "--workers", "1"]
    assert run(*command) == 0
    assert run(*command) == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "results" / "items.parquet").is_file()
    (tmp_path / "made").symlink_to("data")
    assert run("data", "make-demo", "--count", "2", "--out", tmp_path / "made") == 0
    assert (tmp_path / "made").is_symlink()
    assert (tmp_path / "data" / "dataset.json").is_file()


def test_a_fresh_start_discards_nothing_of_the_users(tmp_path, capsys):
    """A folder that happens to hold "backbone" and "data" is not taken for a run."""
    pytest.importorskip("torch", reason="train needs torch")
    pytest.importorskip("av", reason="videos need av (the extra `video`)")
    pytest.importorskip("onnxscript", reason="training a backbone needs onnxscript")
    assert run("data", "make-videos", "--count", "2", "--seconds", "10", "--out", tmp_path / "videos") == 0
    project = tmp_path / "project"
    for name in ("backbone", "data"):
        (project / name).mkdir(parents=True)
        (project / name / "mine.txt").write_text("years")
    (project / "README").write_text("mine")
    refused(capsys, "out-foreign", "train", tmp_path / "videos", "--out", project, "--fresh")
    refused(
        capsys, "output-is-input", "train", tmp_path / "videos", "--out", project, "--backbone", project / "backbone"
    )
    assert (project / "data" / "mine.txt").read_text() == "years"
    # Nor is any folder with a config.json.
    for name, text in (("config.json", '{"model_type": "bert"}'), ("summary.json", "{}"), ("log.jsonl", "mine")):
        (project / name).write_text(text)
    write_demo_dataset(tmp_path / "dataset", videos=4, seed=3)
    refused(capsys, "out-foreign", "train", tmp_path / "dataset", "--out", project, "--fresh")
    refused(capsys, "out-foreign", "train-backbone", tmp_path / "videos", "--out", project, "--fresh")
    assert (project / "log.jsonl").read_text() == "mine"


def test_replace_of_a_conversion_is_not_for_other_files(place, tmp_path, capsys):
    source = place / "wanted.jsonl"
    for file, data in (("clip.csv", b"\0\0\0\x18ftypmp42"), ("tool.csv", b"print(1)\n"), ("zip.csv", b"PK\x03\x04\0")):
        (tmp_path / file).write_bytes(data)
    for file in ("clip.csv", "zip.csv"):
        refused(capsys, "output-exists", "convert", source, tmp_path / file, "--replace")
    assert run("convert", source, tmp_path / "ok.csv") == 0
    assert run("convert", source, tmp_path / "ok.csv", "--replace") == 0
    link = tmp_path / "link.csv"
    link.symlink_to("ok.csv")
    assert run("convert", source, link, "--replace") == 0
    assert link.is_symlink()


def test_snapshots_are_files_of_their_own(place, tmp_path, capsys):
    live = ["run", BUNDLE, place / "seq.npy", "--stream"]
    out = tmp_path / "e.jsonl"
    os.mkfifo(tmp_path / "pipe")
    for snapshot, to, code in (
        (out, out, "output-is-input"),
        (place / "seq.npy", out, "output-is-input"),
        (tmp_path / "pipe", out, "snapshot-out"),
        (tmp_path / "s", tmp_path / "pipe", "snapshot-out"),
        ("-", out, "snapshot-out"),
        (tmp_path / "s", "-", "snapshot-out"),
    ):
        refused(capsys, code, *live, "--snapshot", snapshot, "--out", to)
    (tmp_path / "link").symlink_to("state")
    assert run(*live, "--snapshot", tmp_path / "link", "--out", out) == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "state").stat().st_size > 100


def test_features_made_elsewhere_are_kept(place, tmp_path, capsys):
    pytest.importorskip("av", reason="videos need av (the extra `video`)")
    from punctum.runtime.synthetic.video import render
    from punctum.runtime.synthetic.video.dataset import encode

    encode(render(3, seconds=10.0), tmp_path / "clip.mp4")
    out = tmp_path / "features"
    out.mkdir()
    np.save(out / "clip.npy", np.zeros((5, 7)))
    before = (out / "clip.npy").read_bytes()
    refused(capsys, "output-exists", "features", "default", tmp_path / "clip.mp4", "--out", out)
    assert (out / "clip.npy").read_bytes() == before
    (out / "clip.npy").unlink()
    assert run("features", "default", tmp_path / "clip.mp4", "--out", out) == 0
    # A run that was interrupted between a file and its record goes on.
    record = json.loads((out / "features.json").read_text())
    record["videos"] = {}
    (out / "features.json").write_text(json.dumps(record))
    assert run("features", "default", tmp_path / "clip.mp4", "--out", out) == 0


def test_two_inputs_of_one_stem(tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="score needs pyarrow")
    for name in ("a.mov", "a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    both = [tmp_path / "a.mov", tmp_path / "a.mp4"]
    for options in ([], ["--root", tmp_path]):
        refused(capsys, "item-name-twice", "score", "default", *both, "--out", tmp_path / "r", *options)
    assert run("score", "default", *both, "--out", tmp_path / "r", "--root", tmp_path) == 2
    assert "rename one of them" in capsys.readouterr().err
    assert run("run", "default", tmp_path) == 2
    told = capsys.readouterr().err
    assert "[video-names]" in told
    assert "rename one of them" in told
    # Apart, the folder above both helps, as the advice says.
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "b.npy", make_sequence(1, seconds=10).features)
    files = [tmp_path / "x" / "b.npy", tmp_path / "y" / "b.npy"]
    assert run("score", BUNDLE, *files, "--out", tmp_path / "r") == 2
    assert "--root" in capsys.readouterr().err
    assert run("score", BUNDLE, *files, "--out", tmp_path / "r", "--root", tmp_path, "--workers", "1") == 0


@pytest.mark.parametrize("form", ["jsonl", "activitynet"])
def test_a_video_that_cannot_be_read_leaves_an_earlier_result_as_it_is(place, tmp_path, capsys, form):
    pytest.importorskip("av", reason="PyAV is not installed")
    (tmp_path / "broken.mp4").write_bytes(bytes(range(256)) * 8)
    command = ["run", "default", tmp_path / "broken.mp4", "--format", form, "--out"]
    assert run(*command, tmp_path / "new") == 2
    assert not (tmp_path / "new").exists()
    assert run("run", BUNDLE, place / "seq.npy", "--format", form, "--out", tmp_path / "events") == 0
    before = (tmp_path / "events").read_bytes()
    assert before
    assert run(*command, tmp_path / "events") == 2
    assert (tmp_path / "events").read_bytes() == before
    assert "Next: " in capsys.readouterr().err

"""`punctum data check` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke

from tests.helpers import datasets as make


@pytest.fixture
def folder(tmp_path) -> Path:
    return make.make_ours(tmp_path / "d", split="split_1")


def test_sound(folder, capsys):
    assert invoke(["data", "check", str(folder), "--split", "split_1"]) == 0
    out = capsys.readouterr().out
    assert "nothing wrong found" in out
    assert "train videos: 4" in out
    assert "wave 3, push 3, turn 2" in out


def test_faults_by_file_and_line(folder, capsys):
    rows = make.point_rows([f"v{i}" for i in range(7)])
    rows[2][0] = "[red]hop[/red]"  # text from files must not be taken for markup
    make.write_rows(folder / "points.csv", rows)
    assert invoke(["data", "check", str(folder), "--split", "split_1"]) == 2
    out = capsys.readouterr().out
    assert "points.csv" in out
    assert "[red]hop[/red]" in out.replace("\n", "")
    assert "1 error, 0 warnings" in out


def test_json(folder, capsys):
    (folder / "split_1" / "features" / "v0.npy").unlink()
    assert invoke(["data", "check", str(folder), "--split", "split_1", "--json"]) == 2
    record = json.loads(capsys.readouterr().out)
    assert (record["errors"], record["warnings"]) == (1, 0)
    (finding,) = record["findings"]
    assert finding["code"] == "features-missing"
    assert finding["file"].endswith("v0.npy")
    assert set(finding) == {"severity", "code", "file", "line", "message", "fix"}


def test_warnings_alone_are_no_failure(folder, capsys):
    (folder / "gt.json").unlink()
    assert invoke(["data", "check", str(folder), "--split", "split_1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == 1


def test_hundreds_of_faults_are_cut_short_but_counted(folder, capsys):
    rows = make.point_rows([f"v{i}" for i in range(7)])
    make.write_rows(folder / "points.csv", rows + [["hop", 0, 0, "v0", i] for i in range(300)])
    assert invoke(["data", "check", str(folder), "--split", "split_1"]) == 2
    out = capsys.readouterr().out
    assert "and 260 more" in out
    assert "300 errors" in out


@pytest.mark.parametrize("name", ["none", ""])
def test_no_data_set(tmp_path, capsys, name):
    assert invoke(["data", "check", str(tmp_path / name)]) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "error" in shown.out


def test_usage(capsys):
    assert invoke(["data", "check"]) == 2
    assert "DATASET" in capsys.readouterr().err
    assert invoke(["data", "check", "--help"]) == 0
    assert "Example" in capsys.readouterr().out

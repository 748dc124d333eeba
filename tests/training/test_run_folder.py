"""One command at a time writes to an output folder."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError
from punctum.training.config import TrainConfig
from punctum.training.engine.run_folder import sole_writer


@pytest.mark.parametrize("command", ["train", "ablate", "learning-curve"])
def test_a_second_command_with_the_same_folder_is_refused(toy, small: TrainConfig, tmp_path, capsys, command):
    recipe, out = tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(small.model_dump_json())
    words = [command, str(toy), "--out", str(out), "--config", str(recipe)]
    with sole_writer(out):
        assert invoke(words) == 2
        shown = capsys.readouterr().err
        assert "[output-locked]" in shown and "choose another --out" in shown
        assert not any(out.iterdir())
    assert not out.exists()  # nothing was written


def test_the_folder_of_a_run_is_kept_and_free_again(tmp_path):
    out = tmp_path / "a" / "b"
    with sole_writer(out):
        (out / "config.json").write_text("{}")
        with pytest.raises(InputError, match="Another command writes to"), sole_writer(out):
            raise AssertionError("two writers")
    with sole_writer(out):
        assert (out / "config.json").is_file()


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def no_locks(handle: int, kind: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with sole_writer(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()


def test_a_place_where_no_folder_can_be_is_left_to_the_command(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with sole_writer(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "mine"

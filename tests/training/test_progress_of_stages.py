"""What training says of its stages, and of settings that differ."""

from __future__ import annotations

import json

import pytest
from punctum.runtime.archive._progress import Progress
from punctum.runtime.errors import InputError
from punctum.training.ablation.table import markdown
from punctum.training.engine.report import Reporter
from punctum.training.engine.run_folder import prepare


def test_stages_are_counted_across_folds(tmp_path, capsys):
    reporter = Reporter(tmp_path / "log.jsonl")
    reporter.stages.total = 4
    inner = reporter.within("fold0")
    reporter.begin("locator", 10, 0)
    reporter.end()
    reporter.stages.done = 2
    reporter.stages.seconds = 360.0
    inner.begin("locator", 10, 0)
    inner.end()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "locator: 10 steps (stage 1 of 4)"
    assert second.startswith("fold0/locator: 10 steps (stage 3 of 4, about 6 ")


def test_settings_that_differ_are_named_with_both_values(tmp_path):
    def call(epochs):
        record = {"schema": "kind/1", "config": {"optim": {"epochs": epochs, "rate": 0.1}, "partners": [{"epochs": 2}]}}
        return prepare(tmp_path / "run", record, files=(), compared=("config",), resume=True, fresh=False)

    call(15)
    with pytest.raises(InputError, match=r"\(config: optim.epochs was 15, is 3\)"):
        call(3)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["optim"]["epochs"] == 15


def test_the_time_left_of_an_archive_leaves_the_start_out():
    now = [0.0]
    progress = Progress(10, 0, clock=lambda: now[0])

    def done(at):
        now[0] = at
        progress._recent.append((at, progress._done + 1, 0))
        progress._done += 1

    done(60.0)  # workers started, kernels were compiled
    assert progress.remaining_s(60.0) is None
    done(61.0)
    assert progress.remaining_s(61.0) == pytest.approx(8.0)


def test_the_difference_of_an_ablation_is_that_of_the_values_shown():
    def row(name, value):
        levels = {k: {"mean": value, "lowest": value, "highest": value} for k in ("0.5", "average")}
        return {"row": name, "title": name, "map": levels}

    record = {
        "thresholds": [0.5],
        "seeds": [0],
        "dataset": "d",
        "split": None,
        "train_videos": 1,
        "clicks": 1,
        "test_videos": 1,
        "actions": 1,
        "rows": [row("full", 0.5274), row("other", 0.5236) | {"difference": {"mean": -0.0038}}],
    }
    assert "| -0.3 |" in markdown(record, "punctum ablate")

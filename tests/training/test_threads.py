"""Threads of training: measured at the start, kept over a break, and without any other effect."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime import Dataset
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine import threads
from punctum.training.engine.state import load_state
from punctum.training.engine.threads import fastest, training_threads
from punctum.training.engine.trainer import train_run
from safetensors.numpy import load_file
from torch import nn

pytestmark = pytest.mark.slow


class Slow:
    """A task whose step takes as long as `spent` says for the number of threads."""

    name, steps, describe = "slow", 9, {}

    def __init__(self, spent) -> None:
        self.module, self.spent = nn.BatchNorm1d(3), spent
        self.seen: list[int] = []

    def step_loss(self, step, rng):
        self.seen.append(torch.get_num_threads())
        time.sleep(self.spent(torch.get_num_threads()))
        return self.module(torch.randn(5, 3) + float(rng.random())).sum(), {}


@pytest.mark.parametrize(
    ("spent", "chosen"),
    [
        (lambda n: 0.02 if n > 1 else 0.1, 4),  # worth it
        (lambda n: 0.1 if n > 1 else 0.02, 1),  # a busy machine, or a small network
        (lambda n: 0.09 if n > 1 else 0.1, 1),  # not worth the cores
    ],
)
def test_the_faster_number_of_threads_is_chosen_and_nothing_else_changes(spent, chosen):
    before, task = torch.get_num_threads(), Slow(spent)
    task.module.train()
    kept = {name: value.clone() for name, value in task.module.state_dict().items()}
    assert fastest(task, seed=0, most=4) == chosen
    assert set(task.seen) == {1, 4} and torch.get_num_threads() == before
    assert all(torch.equal(value, kept[name]) for name, value in task.module.state_dict().items())
    assert all(p.grad is None for p in task.module.parameters())


def test_nothing_is_measured_where_there_is_one_core():
    task = Slow(lambda n: 0.0)
    assert fastest(task, seed=0, most=1) == 1 and task.seen == []


def test_the_callers_number_is_restored():
    before = torch.get_num_threads()
    for given, inside in ((None, (before, None)), (0, (1, None)), (3, (3, 3))):
        with training_threads(given) as fixed:
            assert (torch.get_num_threads(), fixed) == inside
        assert torch.get_num_threads() == before


def test_a_measured_run_gives_the_weights_of_one_with_that_number(toy: Path, small: TrainConfig, tmp_path, monkeypatch):
    data = load_training_set(Dataset.open(toy))
    monkeypatch.setattr(threads, "whole_cores", lambda: 2)
    train_run(data, small, tmp_path / "measured", quiet=True, threads=0)
    summary = json.loads((tmp_path / "measured" / "summary.json").read_text())
    chosen = {stage["threads"] for stage in summary["stages"].values()}
    assert chosen <= {1, 2}
    if chosen == {1}:
        train_run(data, small, tmp_path / "one", quiet=True, threads=1)
        for name in ("locator.safetensors", "center.safetensors"):
            a, b = (load_file(tmp_path / run / name) for run in ("measured", "one"))
            assert all(np.array_equal(a[key], b[key]) for key in a)


def test_a_continued_stage_keeps_its_number(toy: Path, small: TrainConfig, tmp_path, monkeypatch):
    from punctum.training.engine import loop
    from punctum.training.engine.stop import TrainingInterrupted

    data, measured = load_training_set(Dataset.open(toy)), []

    def choose(task, *, seed):
        measured.append(task.name)
        if len(measured) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            return 2
        return 1

    monkeypatch.setattr(loop, "fastest", choose)
    with pytest.raises(TrainingInterrupted):
        train_run(data, small, tmp_path / "run", quiet=True, threads=0)
    state = load_state(tmp_path / "run" / "state" / "locator.safetensors")
    assert state is not None and state.facts["threads"] == 2
    train_run(data, small, tmp_path / "run", quiet=True, threads=0, resume=True)
    stages = json.loads((tmp_path / "run" / "summary.json").read_text())["stages"]
    assert measured == ["locator", "center"]
    assert (stages["locator"]["threads"], stages["center"]["threads"]) == (2, 1)

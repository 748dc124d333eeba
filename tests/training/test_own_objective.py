"""Objectives from outside of the package."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError
from punctum.training import load_run, train_run
from punctum.training.data.videos import load_training_set
from punctum.training.recipes import with_own

CODE = """
import numpy as np
import torch
from punctum.training import LocatorTask


class Clicks(LocatorTask):
    batch, window = 4, 16

    def annotate(self, sample):
        rows = np.zeros((len(sample.features), len(self.data.labels) + 2), np.float32)
        rows[:, -2] = 1.0
        rows[:, -1] = 0.05
        rows[sample.clicks.snippet, -2] = 0.0
        rows[sample.clicks.snippet, sample.clicks.label] = 1.0
        rows[sample.clicks.snippet, -1] = 1.0
        return rows

    def loss(self, logits, rows):
        log = torch.log_softmax(logits, dim=1).transpose(1, 2)
        return {"clicks": -(rows[..., :-1] * log).sum(2).mul(rows[..., -1]).sum() / rows[..., -1].sum().clamp(min=1)}


class Short(Clicks):
    def annotate(self, sample):
        return super().annotate(sample)[1:]


def broken(net, data, *, epochs, seed):
    raise RuntimeError("no luck")


def empty(net, data, *, epochs, seed):
    return object()
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    (tmp_path / "my_objective.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_objective", raising=False)
    return tmp_path


def test_it_trains_the_same_way_again_and_is_resumed(toy, small, place):
    data = load_training_set(Dataset.open(toy))
    recipe = with_own(small, "my_objective:Clicks").model_copy(update={"folds": 0})
    summary = train_run(data, recipe, place / "a", quiet=True)
    assert summary["stages"]["locator"]["objective"] == "Clicks"
    train_run(data, recipe, place / "b", quiet=True)
    first, second = (load_run(place / name).locator.state_dict() for name in ("a", "b"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    losses = [json.loads(line) for line in (place / "a" / "log.jsonl").read_text().splitlines()]
    own = [line["clicks"] for line in losses if line["stage"] == "locator"]
    assert own[-1] < own[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere:Clicks", "nowhere"),
        ("my_objective:Nothing", "Nothing"),
        ("my_objective:broken", "no luck"),
        ("my_objective:empty", "has no step_loss"),
        ("my_objective:Short", "annotate()"),
    ],
)
def test_what_is_no_objective_is_refused(toy, small, place, name, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        train_run(load_training_set(Dataset.open(toy)), with_own(small, name), place / "a", quiet=True)
    assert caught.value.code == "objective-import"
    if name in ("nowhere:Clicks", "my_objective:Nothing"):
        assert not (place / "a").exists()  # found before anything is written


def test_a_recipe_file_runs_no_code_that_the_command_does_not_name(toy, small, place, capsys):
    recipe = with_own(small, "my_objective:Clicks").model_copy(update={"folds": 0})
    (place / "r.json").write_text(recipe.model_dump_json())
    words = ["train", str(toy), "--config", "r.json", "--threads", "1", "--quiet", "--no-center"]
    assert invoke([*words, "--out", "a"]) == 2
    told = capsys.readouterr().err
    assert "[objective-unknown]" in told
    assert "--objective my_objective:Clicks" in told
    assert not (place / "a").exists()
    assert invoke([*words, "--out", "a", "--objective", "my_objective:Clicks"]) == 0

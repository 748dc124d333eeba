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


class Raises(Clicks):
    def loss(self, logits, rows):
        raise KeyError("what the loss lacks")


class NoTerms(Clicks):
    def loss(self, logits, rows):
        return {}


class NoGradient(Clicks):
    def loss(self, logits, rows):
        return {"clicks": torch.tensor(1.0)}


class NotFinite(Clicks):
    def loss(self, logits, rows):
        return {"clicks": logits.mean() * float("nan")}


class Complex(Clicks):
    def loss(self, logits, rows):
        return {"clicks": logits.mean().to(torch.complex64)}


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("what the gradient lacks")


class NoBackward(Clicks):
    def loss(self, logits, rows):
        return {"clicks": Backward.apply(logits.mean())}


class Late(Clicks):
    def step_loss(self, step, rng):
        if step == 3:
            raise KeyError("what step 4 lacks")
        return super().step_loss(step, rng)


class NoState(Clicks):
    def extra_state(self):
        return None


class NoCriterion(Clicks):
    def criterion(self):
        return None


class NoSteps(Clicks):
    def __init__(self, net, data, *, epochs, seed):
        super().__init__(net, data, epochs=epochs, seed=seed)
        self.steps = 0


class NoFacts(Clicks):
    def __init__(self, net, data, *, epochs, seed):
        super().__init__(net, data, epochs=epochs, seed=seed)
        self.describe = {"net": net}


number = 5


def nothing(net, data, *, epochs, seed):
    return None


def quits(net, data, *, epochs, seed):
    raise SystemExit(0)


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
        ("my_objective:number", "not callable"),
        ("my_objective:nothing", "NoneType"),
        ("my_objective:quits", "SystemExit"),
        ("my_objective:NoSteps", "steps"),
        ("my_objective:NoFacts", "describe"),
    ],
)
def test_what_is_no_objective_is_refused(toy, small, place, name, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        train_run(load_training_set(Dataset.open(toy)), with_own(small, name), place / "a", quiet=True)
    assert caught.value.code == "objective-import"
    assert not (place / "a").exists()  # found before anything is written


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Raises", "what the loss lacks"),
        ("NoTerms", "at step 1"),
        ("NoGradient", "gradient"),
        ("NotFinite", "not finite at step 1"),
        ("Complex", "step 1"),
        ("NoBackward", "in the gradient: KeyError: 'what the gradient lacks'"),
    ],
)
def test_an_error_in_a_loss_names_the_objective_and_leaves_no_folder(toy, small, place, name, words):
    with pytest.raises(InputError, match=words) as caught:
        train_run(
            load_training_set(Dataset.open(toy)), with_own(small, f"my_objective:{name}"), place / "a", quiet=True
        )
    assert caught.value.code == "objective-failed"
    assert f"my_objective:{name}" in str(caught.value) and "rate" not in str(caught.value)
    assert not (place / "a").exists()


@pytest.mark.parametrize(
    ("name", "words", "update"),
    [
        ("Late", "step 4", {}),
        ("NoState", "extra_state", {}),
        ("NoCriterion", "criterion", {"select": "best", "holdout": 0.3, "evaluate_every": 2}),
    ],
)
def test_an_error_at_a_later_step_names_the_objective(toy, small, place, name, words, update):
    recipe = with_own(small, f"my_objective:{name}").model_copy(update=update)
    data = load_training_set(Dataset.open(toy), holdout=recipe.holdout)
    with pytest.raises(InputError, match=words) as caught:
        train_run(data, recipe, place / "a", quiet=True)
    assert caught.value.code == "objective-failed" and f"my_objective:{name}" in str(caught.value)


@pytest.mark.parametrize("name", ["a:b:c", "o_ok:", "../x:F", ":", "a b:F"])
def test_a_name_that_cannot_be_one_is_refused(toy, place, capsys, name):
    assert invoke(["train", str(toy), "--out", "a", "--objective", name]) == 2
    told = capsys.readouterr().err
    assert "[objective-unknown]" in told and "--objective" in told and not (place / "a").exists()


def test_a_module_that_quits_is_an_error(toy, place, capsys):
    (place / "quits_on_import.py").write_text("import sys\nsys.exit(0)\n")
    assert invoke(["train", str(toy), "--out", "a", "--objective", "quits_on_import:F"]) == 2
    assert "quits_on_import:F: SystemExit" in capsys.readouterr().err and not (place / "a").exists()


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

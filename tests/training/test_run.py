"""Whole runs on made data: result, determinism, resume after a kill, Ctrl-C, and folders that must not load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.evaluation.average_precision import Detections, evaluate
from punctum.training import load_run, localizer_of, train_run
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine.stop import StopSignal, TrainingInterrupted
from punctum.training.recipes import load_config

FILES = ("locator.safetensors", "center.safetensors", "log.jsonl", "post.json", "config.json")


def fit(toy: Path, recipe: TrainConfig, out: Path, **options):
    opened = Dataset.open(toy)
    data = load_training_set(opened, holdout=recipe.holdout, seed=recipe.seed)
    return train_run(data, recipe, out, quiet=True, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_clicks_become_a_localizer_that_finds_the_actions(toy, small, tmp_path):
    summary = fit(toy, small, tmp_path / "run")
    assert summary["status"] == "complete" and summary["stages"]["locator"]["steps"] == 60
    run = load_run(tmp_path / "run")
    dataset = Dataset.open(toy)
    localizer = localizer_of(run)
    truth = dataset.truth()
    events = {v: localizer.localize(dataset.features(v), stream=v) for v in dataset.test}
    result = evaluate(truth, Detections.from_events(events, truth))
    assert result.average > 0.6
    assert run.complete and run.feature_spec.fingerprint is not None
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["stage"] == "locator"] == list(range(1, 61))
    assert not list((tmp_path / "run").rglob("*.pt"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(toy, small, tmp_path):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    fit(toy, small, tmp_path / "a")
    assert torch.equal(before, torch.get_rng_state())  # the caller's randomness is left alone
    torch.manual_seed(5)
    fit(toy, small, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    fit(toy, small.model_copy(update={"seed": 1}), tmp_path / "c")
    assert contents(tmp_path / "a")["locator.safetensors"] != contents(tmp_path / "c")["locator.safetensors"]


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import PunctumError
from punctum.training import train_run
from punctum.training.recipes import load_config
from punctum.training.data.videos import load_training_set
data, recipe, out = (Path(a) for a in sys.argv[1:4])
try:
    train_run(load_training_set(Dataset.open(data)), load_config(recipe), out, resume="resume" in sys.argv, quiet=True)
except PunctumError as error:
    sys.exit(error.exit_code)
"""


def start(toy: Path, recipe: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(toy), str(recipe), str(out), *more], env=environment)


def wait_for(process: subprocess.Popen[bytes], log: Path, stage: str, steps: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"training ended with {process.returncode} before step {steps} of {stage}")
        if log.is_file() and log.read_text(errors="replace").count(f'"stage": "{stage}"') >= steps:
            return
        time.sleep(0.01)
    raise AssertionError("training is too slow to be killed")


def longer(small: TrainConfig, folder: Path) -> tuple[TrainConfig, Path]:
    recipe = small.model_copy(
        update={
            "locator_optim": small.locator_optim.model_copy(update={"steps": 250}),
            "center_optim": small.center_optim.model_copy(update={"steps": 150}),
        }
    )
    path = folder / "recipe.json"
    path.write_text(recipe.model_dump_json())
    return recipe, path


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, bytes]]:
    """Contents of undisturbed runs by their recipes."""
    return {}


def undisturbed(toy: Path, recipe: TrainConfig, folder: Path, known: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """What a run without kills gives; each is made once."""
    key = recipe.model_dump_json()
    if key not in known:
        fit(toy, recipe, folder)
        known[key] = contents(folder)
    return known[key]


@pytest.mark.slow
def test_killed_twice_and_resumed_equals_undisturbed(toy, small, tmp_path, known):
    recipe, path = longer(small, tmp_path)
    out = tmp_path / "killed"
    for stage, steps, more in (("locator", 60, ()), ("center", 40, ("resume",))):
        process = start(toy, path, out, *more)
        wait_for(process, out / "log.jsonl", stage, steps)
        process.kill()
        process.wait()
        with pytest.raises(InputError) as caught:
            load_run(out)
        assert caught.value.code == "run-incomplete"
    fit(toy, recipe, out, resume=True)
    assert contents(out) == undisturbed(toy, recipe, tmp_path / "whole", known)
    assert not list((out / "state").glob("*"))


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_checkpoint_that_resumes_to_the_same_bits(toy, small, tmp_path, known):
    recipe, path = longer(small, tmp_path)
    out = tmp_path / "stopped"
    process = start(toy, path, out)
    wait_for(process, out / "log.jsonl", "locator", 30)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    run = load_run(out)
    assert not run.complete and run.center is None and not run.post.fusion.needs_head
    assert isinstance(localizer_of(run).localize(np.zeros((20, run.feature_spec.dim), np.float32)), list)
    fit(toy, recipe, out, resume=True)
    assert contents(out) == undisturbed(toy, recipe, tmp_path / "whole", known)


def test_a_stop_request_in_process_raises_with_exit_code_130(toy, small, tmp_path, monkeypatch):
    monkeypatch.setattr(StopSignal, "__enter__", lambda self: setattr(self, "requested", True) or self)
    with pytest.raises(TrainingInterrupted) as caught:
        fit(toy, small, tmp_path / "run")
    assert caught.value.exit_code == 130 and "`resume=True`" in str(caught.value)


def test_a_loss_that_is_not_finite_says_where(toy, small, tmp_path):
    wild = small.model_copy(update={"locator_optim": small.locator_optim.model_copy(update={"rate": 1e30})})
    with pytest.raises(PunctumError) as caught:
        fit(toy, wild, tmp_path / "run")
    assert caught.value.code == "loss-not-finite" and "locator" in str(caught.value)
    with pytest.raises(InputError):
        load_run(tmp_path / "run")


def test_selection_uses_held_out_training_videos_only(toy, small, tmp_path):
    recipe = small.model_copy(update={"holdout": 0.3, "select": "best", "evaluate_every": 10})
    summary = fit(toy, recipe, tmp_path / "run")
    assert len(summary["held_out_videos"]) == 3
    assert set(summary["held_out_videos"]) < set(Dataset.open(toy).train)
    stage = summary["stages"]["locator"]
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    scores = {r["step"]: r["criterion"] for r in records if r["stage"] == "locator" and "criterion" in r}
    assert stage["selected_step"] == max(scores, key=lambda s: (scores[s], -s))
    with pytest.raises(ValueError, match="holdout"):
        TrainConfig(select="best")


def test_an_existing_run_is_neither_overwritten_nor_mixed(toy, small, tmp_path):
    out = tmp_path / "run"
    fit(toy, small, out)
    with pytest.raises(InputError, match="`resume=True` or `fresh=True`"):
        fit(toy, small, out)
    with pytest.raises(InputError, match="config: seed was 0, is 3") as caught:
        fit(toy, small.model_copy(update={"seed": 3}), out, resume=True)
    assert caught.value.code == "resume-differs"
    first = contents(out)
    assert fit(toy, small, out, resume=True)["stages"] == {"locator": {"resumed": True}, "center": {"resumed": True}}
    fit(toy, small, out, fresh=True)
    assert contents(out) == first
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="is not a run"):
        fit(toy, small, tmp_path / "other", fresh=True)


@pytest.mark.parametrize("name", ["locator.safetensors", "center.safetensors", "post.json", "config.json"])
def test_a_changed_file_is_refused_by_name(toy, small, tmp_path, name):
    quick = small.model_copy(
        update={
            "locator_optim": small.locator_optim.model_copy(update={"steps": 2}),
            "center_optim": small.center_optim.model_copy(update={"steps": 2}),
        }
    )
    fit(toy, quick, tmp_path / "run")
    path = tmp_path / "run" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        load_run(tmp_path / "run")
    path.unlink()
    with pytest.raises(InputError):
        load_run(tmp_path / "run")


def test_training_never_reads_the_truth_or_the_test_videos(toy, small, tmp_path):
    """Leakage: the folder without truth, test features and test list trains to the same bits."""
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(toy, bare)
    for video in Dataset.open(toy).test:
        (bare / "features" / f"{video}.npy").unlink()
    for name in ("gt.json", "test.txt"):
        (bare / name).unlink()
    fit(toy, small, tmp_path / "a")
    fit(bare, small, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
def test_partners_and_the_quality_head_make_a_run_that_resumes(toy, small, tmp_path):
    from punctum.training.config import HiddenLayer, LocatorConfig, NetworkRecipe, OptimConfig, QualityObjective
    from punctum.training.models.ensemble import LocatorEnsemble

    partner = NetworkRecipe(
        locator=LocatorConfig(hidden=(HiddenLayer(kernel=3, units=8),)), optim=OptimConfig(steps=30, rate=5e-3)
    )
    recipe = small.model_copy(
        update={
            "partners": (partner,),
            "center": small.center.model_copy(update={"use_tracks": False, "members": 2}),
            "center_objective": QualityObjective(around=8, elsewhere=4, batch=64),
        }
    )
    summary = fit(toy, recipe, tmp_path / "a")
    assert set(summary["stages"]) == {"locator", "locator2", "center"}
    run = load_run(tmp_path / "a")
    assert isinstance(run.locator, LocatorEnsemble) and run.locator.share.tolist() == [0.5, 0.5]
    _, path = longer(recipe, tmp_path)
    path.write_text(recipe.model_dump_json())
    process = start(toy, path, tmp_path / "b")
    wait_for(process, tmp_path / "b" / "log.jsonl", "locator2", 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert load_run(tmp_path / "b").locator.share.tolist() == [1.0, 0.0]
    fit(toy, recipe, tmp_path / "b", resume=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
def test_the_lacp_objective_trains_and_resumes(toy, small, tmp_path):
    from punctum.training.config import LacpObjective, OptimConfig
    from punctum.training.recipes import with_lacp

    recipe = with_lacp(small).model_copy(
        update={
            "objective": LacpObjective(batch=5, search_every=5),
            "locator_optim": OptimConfig(steps=60, rate=2e-3, decoupled=False, schedule="constant"),
            "center": None,
        }
    )
    summary = fit(toy, recipe, tmp_path / "a")
    assert summary["stages"]["locator"]["videos"] == 10
    records = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    # completeness and contrast start with the first search
    assert all(r["score"] == r["feature"] == 0 for r in records[:5])
    assert all(r["score"] > 0 and r["feature"] > 0 for r in records[5:])
    assert records[-1]["frame"] < records[0]["frame"]
    run, dataset = load_run(tmp_path / "a"), Dataset.open(toy)
    localizer, truth = localizer_of(run), dataset.truth()
    events = {v: localizer.localize(dataset.features(v), stream=v) for v in dataset.test}
    assert evaluate(truth, Detections.from_events(events, truth)).average > 0.4
    _, path = longer(recipe, tmp_path)
    path.write_text(recipe.model_dump_json())
    process = start(toy, path, tmp_path / "b")
    wait_for(process, tmp_path / "b" / "log.jsonl", "locator", 20)
    process.kill()
    process.wait()
    fit(toy, recipe, tmp_path / "b", resume=True)
    for name in ("locator.safetensors", "log.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_run_that_was_killed_at_its_first_file_can_be_started_again(toy, small, tmp_path):
    for how in ({}, {"resume": True}, {"fresh": True}):
        out = tmp_path / f"run{len(how)}{'fresh' in how}"
        out.mkdir()
        (out / ".config.json.0123abcd").write_text('{"half')
        recipe = small.model_copy(update={"center": None})
        assert fit(toy, recipe, out, **how)["status"] == "complete"
        assert not list(out.glob(".*"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / ".config.json.0123abcd").write_text("{}")
    (foreign / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="is not a run folder"):
        fit(toy, small, foreign)
    assert len(list(foreign.iterdir())) == 2


@pytest.mark.slow
def test_a_run_that_was_killed_while_it_discarded_another_can_be_started_again(toy, small, tmp_path, monkeypatch):
    recipe, out = small.model_copy(update={"center": None}), tmp_path / "run"
    fit(toy, recipe, out)

    class Killed(Exception):
        pass

    def killed(*_arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("punctum.training.engine.run_folder.discard_state", killed)
        with pytest.raises(Killed):
            fit(toy, recipe, out, fresh=True)
    (out / ".state.old").mkdir()
    (out / ".state.old" / "locator.done.safetensors").write_bytes(b"half")
    assert fit(toy, recipe, out, fresh=True)["status"] == "complete"
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_the_recorded_recipe_of_a_run_gives_the_same_events(toy, small, tmp_path):
    stated = small.post.model_dump(exclude={"adapt": True, "fusion": {"class_probability"}})
    recipe = TrainConfig.model_validate(small.model_dump(exclude={"choose"}) | {"post": stated, "folds": 2})
    assert recipe.choose == ("adapt", "class_probability")
    data = load_training_set(Dataset.open(toy))
    train_run(data, recipe, tmp_path / "a", quiet=True)
    train_run(data, load_config(tmp_path / "a" / "config.json"), tmp_path / "b", quiet=True)
    for name in ("config.json", "post.json", "held_out.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    facts = json.loads((tmp_path / "b" / "summary.json").read_text())["stages"]["calibration"]
    assert len(facts["post_processing"]) == 6

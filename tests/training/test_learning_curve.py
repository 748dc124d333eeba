"""The learning curve: nested parts, resumed runs, a time budget, and what twice the clicks would give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError
from punctum.training.confidence.curve import learning_curve
from punctum.training.confidence.extrapolate import fit_power_law
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine.learning_curve import RUNS, plans, read_result, run_all, run_plan

SHARES = (0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def training(toy: Path):
    return load_training_set(Dataset.open(toy))


def test_a_power_law_is_recovered():
    clicks = np.array([20, 40, 80, 160])
    law = fit_power_law(clicks, 1 - 2.0 * clicks**-0.5)
    assert law.b == pytest.approx(0.5)
    assert law.accuracy(320) == pytest.approx(1 - 2.0 * 320**-0.5)
    assert fit_power_law([20, 20], [0.5, 0.6]) is None
    assert fit_power_law([20], [0.5]) is None


def test_curves_that_fall_are_continued_level_and_perfect_ones_too():
    falling = fit_power_law([10, 20, 40], [0.8, 0.7, 0.6])
    assert falling.b == 0.0
    assert falling.accuracy(80) == falling.accuracy(10)
    perfect = fit_power_law([10, 20, 40], [1.0, 1.0, 1.0])
    assert perfect.accuracy(80) == pytest.approx(0.999)


def test_the_curve_of_a_class_leans_on_that_of_all():
    clicks, noisy = [5, 10, 20], [0.5, 0.9, 0.4]
    alone, leaning = fit_power_law(clicks, noisy), fit_power_law(clicks, noisy, known=0.4)
    assert alone.b < leaning.b <= 0.4


def test_parts_are_nested_and_held_out_videos_are_never_trained_on(training):
    todo = plans(training, SHARES, 3, seed=0)
    assert len(todo) == 9
    for fold in range(3):
        mine = [plan for plan in todo if plan.fold == fold]
        names = [{s.video for s in plan.data.samples} for plan in mine]
        held_out = {s.video for s in mine[0].held_out}
        assert names[0] <= names[1] <= names[2]
        assert not names[2] & held_out
        assert names[2] | held_out == {s.video for s in training.samples}
        assert all(plan.clicks >= plan.share * mine[2].clicks for plan in mine)
    assert [p.name for p in plans(training, SHARES, 3, seed=0)] == [p.name for p in todo]


def test_shares_that_differ_in_late_digits_have_files_of_their_own(toy):
    training = load_training_set(Dataset.open(toy))
    names = [plan.name for plan in plans(training, [0.5, 0.50000001, 1.0], 3, seed=0)]
    assert len(set(names)) == 9 and {"fold0-0.5", "fold0-0.50000001", "fold0-1"} <= set(names)


def test_a_damaged_result_costs_its_run_only(tmp_path):
    file = tmp_path / "fold0-0.5.json"
    file.write_text("{")
    with pytest.raises(InputError, match=r"remove fold0-0\.5\.json"):
        read_result(file)


def fake(plan, config, out, **options):
    """The result of a run whose accuracy grows with the clicks."""
    file = out / RUNS / f"{plan.name}.json"
    if file.is_file():
        return json.loads(file.read_text())
    classes = len(plan.data.labels)
    rng = np.random.default_rng(plan.clicks)
    held_out = [5] * classes
    labels = [c for c in range(classes) for _ in range(5)]
    hit = (rng.random(len(labels)) < 1 - 1.5 * plan.clicks**-0.5).astype(int).tolist()
    result = {"fold": plan.fold, "share": plan.share, "clicks": plan.clicks, "seconds": 1.0, "map": None}
    result |= {"clicks_of_class": [plan.clicks] * classes, "held_out_of_class": held_out}
    result |= {"label": labels, "score": rng.random(len(labels)).tolist(), "hit": hit}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result))
    return result


class Clock:
    """Ten seconds a look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


def test_finished_runs_are_not_repeated_and_a_budget_ends_early(training, tmp_path):
    todo, said = plans(training, SHARES, 3, seed=0), []
    options = {"say": said.append, "train": fake, "config": TrainConfig(), "out": tmp_path}
    first = run_all(todo, budget_s=100.0, clock=Clock(), **options)
    assert 1 <= len(first) < len(todo)
    assert "left" in said[0]
    said.clear()
    whole = run_all(todo, clock=Clock(), **options)
    assert len(whole) == 9
    assert len(said) == 9 - len(first)
    assert "left" not in said[-1]
    assert whole[: len(first)] == first


def test_the_record_of_a_curve(training, tmp_path, capsys):
    from punctum.training.cli.learning_curve import _print as show_curve

    todo = plans(training, SHARES, 3, seed=0)
    results = run_all(todo, TrainConfig(), tmp_path, train=fake)
    counts = [40, 25, 3]
    curve = learning_curve(results, training.labels, counts)
    assert curve["folds"] == 3 and curve["complete"]
    assert [p["runs"] for p in curve["points"]] == [3, 3, 3]
    assert curve["ap"]["twice"] >= curve["ap"]["now"]
    assert curve["ap"]["gain_low"] <= curve["ap"]["gain_high"]
    assert list(curve["classes"]) == list(training.labels[:2])  # the third has too few clicks
    assert curve["too_few"] == {training.labels[2]: 3}
    assert json.dumps(curve, allow_nan=False)
    part = learning_curve(results[:4], training.labels, counts)
    assert part["folds"] == 1 and part["complete"]  # only complete folds are compared
    early = learning_curve(results[:2], training.labels, counts, planned=SHARES)
    assert not early["complete"]  # the run on the largest part is missing in every fold
    assert early["ap"] is not None
    assert learning_curve(results[:3], training.labels, counts, planned=SHARES)["complete"]
    show_curve(early, tmp_path)
    assert "no fold has all its runs yet" in capsys.readouterr().out
    show_curve(part, tmp_path)
    assert "only one fold has all its runs" in capsys.readouterr().out
    one = learning_curve(results[:1], training.labels, counts)
    assert one["ap"] is None and one["classes"] == {}
    some = learning_curve([results[0], results[4]], training.labels, counts)
    assert not some["complete"]


@pytest.mark.slow
def test_one_run_is_judged_by_clicks_and_by_truth(toy, small, training, tmp_path):
    plan = plans(training, (1.0,), 2, seed=0)[0]
    recipe = small.model_copy(update={"folds": 0})
    result = run_plan(plan, recipe, tmp_path, truth=Dataset.open(toy).truth("train"), threads=1)
    assert 0.3 < result["map"] <= 1
    assert sum(result["hit"]) > 0.5 * sum(result["held_out_of_class"])
    assert not (tmp_path / RUNS / plan.name).exists()
    assert run_plan(plan, recipe, tmp_path, truth=None, threads=1) == result


def refused(capsys, *words: object) -> str:
    assert invoke(["learning-curve", *map(str, words)]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "Next: " in told
    return told


def test_what_is_refused(toy, tmp_path, capsys):
    out = tmp_path / "curve"
    for shares in ("", "0", "a,b", "1.5", "nan", "-0.5,1"):
        assert "[curve-shares]" in refused(capsys, toy, "--out", out, "--shares", shares)
    for minutes in ("0", "-1", "nan"):
        assert "[option]" in refused(capsys, toy, "--out", out, "--minutes", minutes)
    assert "[dataset-missing]" in refused(capsys, tmp_path / "none", "--out", out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert "[out-foreign]" in refused(capsys, toy, "--out", tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_budget_that_is_too_small_is_named_with_one_that_suffices(toy, tmp_path, capsys, monkeypatch):
    from punctum.training.engine import learning_curve as module

    def slow(plan, config, out, **options):
        result = fake(plan, config, out, **options)
        result["seconds"] = 2.0 * plan.clicks
        (out / RUNS / f"{plan.name}.json").write_text(json.dumps(result))
        return result

    defaults = {**module.run_all.__kwdefaults__, "train": slow}
    monkeypatch.setattr(module.run_all, "__kwdefaults__", {**defaults, "clock": Clock()})
    call = ["learning-curve", str(toy), "--out", str(tmp_path / "curve")]
    assert invoke([*call, "--minutes", "0.1"]) == 0
    first = capsys.readouterr()
    clicks = [plan.clicks for plan in plans(load_training_set(Dataset.open(toy)), SHARES, 3, seed=0)]
    assert f"on {min(clicks)} to {max(clicks)} of " in first.err
    assert "known after the first run" in first.err
    assert "more than --minutes 0.1" in first.out
    assert invoke([*call, "--minutes", "0.1"]) == 0
    again = capsys.readouterr()
    assert "known after the first run" not in again.err
    assert "1 of them done before" in again.err
    enough = again.out.partition("and --minutes ")[2].split()[0]
    monkeypatch.setattr(module.run_all, "__kwdefaults__", {**defaults, "clock": lambda: 0.0})
    assert invoke([*call, "--minutes", enough, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] > 1


def test_results_that_are_damaged_and_other_data(toy, training, tmp_path, capsys, monkeypatch):
    from punctum.training.engine import learning_curve as module

    out = tmp_path / "curve"
    monkeypatch.setattr(module.run_all, "__kwdefaults__", {**module.run_all.__kwdefaults__, "train": fake})
    assert invoke(["learning-curve", str(toy), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs_left"] == 0
    assert "[resume-differs]" in refused(capsys, toy, "--out", out, "--folds", "2")
    monkeypatch.setattr(module.run_all, "__kwdefaults__", {**module.run_all.__kwdefaults__, "train": run_plan})
    (out / RUNS / "fold0-0.25.json").write_text('{"label": [1]}')
    assert "[state-damaged]" in refused(capsys, toy, "--out", out)


def test_videos_are_refused_with_the_way_to_their_features(tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "points.csv").write_text("class,video_id,time_s\nopen,a,1\n")
    for words in (["learning-curve", str(tmp_path)], ["ablate", str(tmp_path)]):
        assert invoke([*words, "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert "[flags-exclusive]" in said and f"punctum train {tmp_path} --out RUN" in said and "RUN/data" in said

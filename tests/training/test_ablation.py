"""`punctum ablate`: rows, shared trainings, resuming, the table."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError
from punctum.training import load_run, train_run
from punctum.training.ablation import run as ablation
from punctum.training.ablation.rows import ROWS, all_rows, choose_rows
from punctum.training.ablation.run import ablate
from punctum.training.ablation.table import markdown, table_record
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.models.repeated_backend import RepeatedBackend
from punctum.training.recipes import without_center


def test_every_row_of_the_default_recipe_differs():
    rows, equal = choose_rows(TrainConfig(), None)
    assert tuple(row.name for row in rows) == ROWS
    assert not equal
    assert {row.training for row in rows} == {"default", "click-labels", "no-point-update", "published", "lacp"}
    by_name = {row.name: row for row in rows}
    assert by_name["no-aba"].post.adapt is False
    assert by_name["no-center-score"].post.fusion.center == 0 < by_name["no-center-score"].post.fusion.contrast
    assert by_name["published"].post.fusion.class_probability == 1
    assert by_name["no-point-update"].recipe.center_objective.update == "none"
    assert by_name["lacp"].recipe.objective.kind == "lacp"
    assert all(row.recipe.folds == 0 for row in rows)


def test_rows_without_effect_are_left_out_or_refused(small):
    rows, equal = choose_rows(small, None)  # its center scorer learns from clicks
    assert equal == {"click-labels": "full"}
    assert "click-labels" not in [row.name for row in rows]
    with pytest.raises(InputError, match="click-labels"):
        choose_rows(small, ["click-labels"])
    with pytest.raises(InputError, match="no-center-score"):
        choose_rows(without_center(TrainConfig()), ["no-center-score"])
    with pytest.raises(InputError, match="There is no row 'all'"):
        choose_rows(small, ["all"])
    assert [row.name for row in choose_rows(small, ["no-aba"])[0]] == ["full", "no-aba"]


def test_the_table_has_means_spreads_and_differences_of_the_same_seed():
    rows = [row for row in all_rows(TrainConfig()) if row.name in ("full", "no-aba")]
    values = {"full": [{"0.5": 0.6, "average": 0.5}, {"0.5": 0.7, "average": 0.7}]}
    values["no-aba"] = [{"0.5": 0.5, "average": 0.4}, {"0.5": 0.7, "average": 0.65}]
    made = table_record(rows, values)
    assert made[0]["map"]["average"]["mean"] == pytest.approx(0.6)
    assert made[1]["difference"]["lowest"] == pytest.approx(-0.1)
    assert made[1]["difference"]["mean"] == pytest.approx(-0.075)
    assert "difference" not in made[0]
    record = {
        "dataset": "toy",
        "split": None,
        "thresholds": [0.5],
        "seeds": [0, 1],
        "train_videos": 3,
        "clicks": 9,
        "test_videos": 2,
        "actions": 5,
        "rows": made,
    }
    text = markdown(record, "punctum ablate toy")
    assert "| **full method** | 60.0 (50.0 to 70.0) | 65.0 |  |" in text
    assert "| no boundary adaptation (ABA) | 52.5 (40.0 to 65.0) | 60.0 | -7.5 (-10.0 to -5.0) |" in text


@pytest.mark.slow
def test_trainings_are_shared_kept_and_extended(toy, small, tmp_path, monkeypatch):
    made: list[tuple[str, bool]] = []
    original = ablation.train_run

    def counting(data, config, out, **more):
        made.append((out.name, more["locator"] is not None))
        return original(data, config, out, **more)

    monkeypatch.setattr(ablation, "train_run", counting)
    data = Dataset.open(toy)
    lines: list[str] = []
    names = ["no-center-score", "no-aba", "base"]
    first = ablate(data, small, tmp_path / "a", seeds=1, rows=names, quiet=True, say=lines.append)
    assert made == [("default", False)]
    assert "4 rows, 1 seed: 1 training" in lines[0]
    assert "1 locator to train" in lines[0]
    assert [row["row"] for row in first["rows"]] == ["full", *names]
    again = ablate(data, small, tmp_path / "a", seeds=1, rows=names, quiet=True, say=lines.append)
    assert made == [("default", False)]
    assert "nothing to train" in lines[-1]
    assert again["rows"] == first["rows"]
    more = ablate(data, small, tmp_path / "a", seeds=2, rows=["no-point-update"], quiet=True, say=lines.append)
    assert made[1:] == [("no-point-update", True), ("default", False), ("no-point-update", True)]
    assert more["seeds"] == [0, 1]
    assert more["rows"][0]["map"]["average"]["seeds"][0] == first["rows"][0]["map"]["average"]["mean"]
    assert json.loads((tmp_path / "a" / "ablation.json").read_text()) == json.loads(json.dumps(more))
    assert "no saliency point update" in (tmp_path / "a" / "ablation.md").read_text()
    with pytest.raises(InputError) as caught:
        ablate(data, small.model_copy(update={"holdout": 0.2}), tmp_path / "a", seeds=1, quiet=True)
    assert caught.value.code == "resume-differs"


def test_networks_run_once_for_all_rows_of_a_training():
    calls = []

    class Engine:
        requested = actual = "fake"

        def locate(self, features):
            calls.append("locate")
            return features[:, :2], features[:, 0]

        def score(self, features, tracks, segments, labels):
            calls.append("score")
            return tracks, features[:, 0], features[:, 1]

    engine = RepeatedBackend(Engine())
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    first, again = engine.locate(rows), engine.locate(rows.copy())
    assert calls == ["locate"]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    engine.locate(rows + 1)
    labels = np.zeros(4, np.int64)
    engine.score(rows, rows[:, :2], rows[:, :2], labels)
    engine.score(rows, rows[:, :2], rows[:, :2], labels)
    engine.score(rows, rows[:, :2], rows[:, :2], labels + 1)
    assert calls == ["locate", "locate", "score", "score"]
    engine.forget()
    engine.locate(rows)
    assert calls[-1] == "locate"


def test_a_shared_locator_is_the_one_that_would_be_trained(toy, small, tmp_path):
    recipe = small.model_copy(update={"folds": 0})
    data = load_training_set(Dataset.open(toy))
    train_run(data, recipe, tmp_path / "first", quiet=True)
    fixed = {"center_objective": recipe.center_objective.model_copy(update={"update": "none"})}
    other = recipe.model_copy(update=fixed)
    train_run(data, other, tmp_path / "alone", quiet=True)
    train_run(data, other, tmp_path / "shared", quiet=True, locator=tmp_path / "first")
    alone, shared = load_run(tmp_path / "alone"), load_run(tmp_path / "shared")
    for name in ("locator", "center"):
        before, after = getattr(alone, name).state_dict(), getattr(shared, name).state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)
    with pytest.raises(InputError) as caught:
        seeded = other.model_copy(update={"seed": 3})
        train_run(data, seeded, tmp_path / "third", quiet=True, locator=tmp_path / "first")
    assert caught.value.code == "locator-differs"
    assert not (tmp_path / "third").exists()


def test_the_command(toy, small, tmp_path, capsys):
    recipe = tmp_path / "small recipe.json"
    recipe.write_text(small.model_dump_json())
    words = ["ablate", str(toy), "--out", str(tmp_path / "a"), "--seeds", "1", "--rows", "no-aba", "--threads", "1"]
    assert invoke([*words, "--config", str(recipe), "--tiou", "0.5"]) == 0
    told = capsys.readouterr()
    assert "| **full method** |" in told.out
    assert "2 rows, 1 seed: 1 training" in told.err
    assert invoke([*words, "--config", str(recipe), "--tiou", "0.3,0.5", "--json", "--quiet"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["thresholds"] == [0.3, 0.5]
    assert record["trainings"][0]["finished_before"]
    repeated = shlex.split(record["command"])
    assert repeated[repeated.index("--config") + 1] == str(recipe)


def test_what_the_command_refuses(toy, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    data = tmp_path / "no-truth"
    data.mkdir()
    for path in Path(toy).iterdir():
        if path.name != "gt.json":
            (data / path.name).symlink_to(path)
    empty = tmp_path / "no-actions"
    shutil.copytree(toy, empty)
    database = json.loads((empty / "gt.json").read_text())["database"]
    for entry in database.values():
        entry["annotations"] = []
    (empty / "gt.json").write_text(json.dumps({"database": database}))
    for source, words, code in (
        (empty, ["--out", str(tmp_path / "a")], "truth-empty"),
        (toy, ["--out", str(tmp_path / "a"), "--rows", ","], "ablation-row"),
        (toy, ["--out", str(tmp_path / "a"), "--rows", "everything"], "ablation-row"),
        (toy, ["--out", str(tmp_path / "other"), "--rows", "base"], "out-foreign"),
        (toy, ["--out", str(tmp_path / "a"), "--tiou", "2"], "tiou"),
        (data, ["--out", str(tmp_path / "a")], "truth-missing"),
    ):
        assert invoke(["ablate", str(source), *words]) == 2
        assert f"[{code}]" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"

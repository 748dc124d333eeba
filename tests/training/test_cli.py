from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke as run
from punctum.training.cli import recipe_of
from punctum.training.config import TrainConfig


@pytest.fixture
def recipe_file(small: TrainConfig, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(small.model_dump_json())
    return path


def test_train_makes_a_run_and_prints_its_summary(toy, recipe_file, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", str(toy), "--out", str(out), "--config", str(recipe_file), "--epochs", "1", "--json"]
    assert run(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["status"] == "complete" and {"locator", "center"} == set(summary["stages"])
    assert (out / "center.safetensors").is_file()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--split", "split_9"], "split_9"),
        (["--points", "none.csv"], "none.csv"),
        (["--train-list", "none.txt"], "none.txt"),
        (["--device", "tpu"], "tpu"),
        (["--objective", "magic"], "magic"),
        (["--resume", "--fresh"], "--resume and --fresh"),
        (["--proposals", "p.json", "--no-center"], "--proposals"),
        (["--proposals", "absent.json"], "absent.json"),
        (["--epochs", "0"], "epochs"),
        (["--config", "absent.json"], "absent.json"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(toy, tmp_path, capsys, extra, message):
    assert run(["train", str(toy), "--out", str(tmp_path / "run"), *extra]) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSON"),
        ('{"locater": {}}', "locater"),
        ('{"locator": {"dropout": 2}}', "locator.dropout"),
        ('{"post": {"sigmoid": 1}}', "sigmoid"),
        ('{"select": "best"}', "holdout"),
        ('{"locator": {"hidden": [{"residual": true}]}}', "residual"),
    ],
)
def test_a_wrong_recipe_names_the_field(toy, tmp_path, capsys, text, message):
    path = tmp_path / "recipe.json"
    path.write_text(text)
    assert run(["train", str(toy), "--out", str(tmp_path / "run"), "--config", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_points_outside_and_unknown_classes_are_refused(toy, tmp_path, capsys):
    for row, message in (("wave,v00,99999", "v00"), ("jump,v00,30", "jump")):
        broken = tmp_path / message
        shutil.copytree(toy, broken)
        with (broken / "points.csv").open("a") as stream:
            stream.write(row + "\n")
        assert run(["train", str(broken), "--out", str(tmp_path / "run")]) == 2
        assert message in capsys.readouterr().err


def test_a_data_set_without_one_point_is_refused(toy, tmp_path, capsys):
    empty = tmp_path / "empty"
    shutil.copytree(toy, empty)
    (empty / "points.csv").write_text("class,video_id,point\n")
    assert run(["train", str(empty), "--out", str(tmp_path / "run")]) == 2
    assert "not one point" in capsys.readouterr().err


def test_switches_are_recorded_in_the_recipe():
    plain = recipe_of(None)
    assert recipe_of(None, center=False).center is None
    assert not recipe_of(None, adapt=False).post.adapt
    assert recipe_of(None, point_update=False).center_objective.update == "none"
    published = recipe_of(None, published=True)
    assert published.center is not None and published.center.kind == "published"
    assert published.center_objective.inside_logits and published.post.fusion.contrast == 0
    assert published.locator == plain.locator
    lacp = recipe_of(None, objective="lacp", seed=7, epochs=3)
    assert (lacp.objective.kind, lacp.seed, lacp.locator_optim.epochs) == ("lacp", 7, 3)
    assert lacp.locator.output == "sigmoid"


def test_help_shows_an_example(capsys):
    assert run(["train", "--help"]) == 0
    assert "punctum train data/gtea --split split_1" in capsys.readouterr().out


def test_without_torch_the_message_names_the_extra(toy, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(["train", str(toy), "--out", str(tmp_path / "run")]) == 2
    assert "punctum[train]" in capsys.readouterr().err


def test_the_default_recipe_trains_on_another_locators_proposals(toy, tmp_path, capsys):
    database = json.loads((toy / "gt.json").read_text())["database"]
    results = {
        v: [{"label": a["label"], "segment": a["segment"], "score": 0.5} for a in database[v]["annotations"]]
        for v in (toy / "train.txt").read_text().split()[1:]
    }
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"results": results}))
    counts = []
    for more in ([], ["--proposals", str(path)]):
        out = tmp_path / f"run{len(more)}"
        assert run(["train", str(toy), "--out", str(out), "--epochs", "1", "--json", *more]) == 0
        shown = capsys.readouterr()
        counts.append(json.loads(shown.out)["stages"]["center"]["candidates"])
    assert counts[1] == counts[0] + sum(len(rows) for rows in results.values())
    assert "1 training videos without proposals" in shown.err

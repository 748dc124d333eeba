from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke as run
from punctum.training.cli.recipe_options import recipe_of
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


@pytest.mark.parametrize("quiet", [False, True])
def test_where_there_is_no_terminal_each_stage_is_a_line(toy, recipe_file, tmp_path, capsys, quiet):
    arguments = ["train", str(toy), "--out", str(tmp_path / "run"), "--config", str(recipe_file), "--epochs", "1"]
    assert run([*arguments, *["--quiet"] * quiet]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "kernels" not in line]
    steps = [] if quiet else ["locator", "center", "Next"]
    assert [line.partition(":")[0] for line in told if "left" not in line] == steps
    told = told[:-1] if steps else told
    assert all("step" in line for line in told)
    if not quiet:
        assert "(stage 1 of 2)" in told[0] and "(stage 2 of 2)" in told[-1]


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
    assert recipe_of(None, point_update=False, published=True).center_objective.update == "none"
    published = recipe_of(None, published=True)
    assert published.center is not None and published.center.kind == "published"
    assert published.center_objective.inside_logits and published.post.fusion.contrast == 0
    assert published.locator == plain.locator
    lacp = recipe_of(None, objective="lacp", seed=7, epochs=3)
    assert (lacp.objective.kind, lacp.seed, lacp.locator_optim.epochs) == ("lacp", 7, 3)
    assert lacp.locator.output == "sigmoid"


def test_switches_without_effect_are_refused_by_name(toy, recipe_file, tmp_path, capsys):
    plain = TrainConfig.model_validate_json(recipe_file.read_text())
    assert recipe_of(recipe_file, point_update=False).center_objective.update == "none" != plain.center_objective.update
    for given, word in (
        (["--no-point-update"], "quality"),
        (["--no-point-update", "--no-center"], "--no-center"),
        (["--published-head", "--no-center"], "--published-head"),
        (["--minutes", "1"], "--minutes"),
        (["--backbone", "b"], "--backbone"),
    ):
        assert run(["train", str(toy), "--out", str(tmp_path / "run"), *given]) == 2
        message = capsys.readouterr().err
        assert given[0] in message and word in message
    assert not (tmp_path / "run").exists()


def test_a_point_update_that_is_switched_off_leaves_the_points(toy, small, recipe_file, tmp_path):
    from safetensors.numpy import load_file

    rule = small.center_objective.model_copy(update={"update_every": 3, "update_threshold": 0.3})
    recipe_file.write_text(small.model_copy(update={"center_objective": rule}).model_dump_json())
    weights = []
    for extra in ([], ["--no-point-update"]):
        out = tmp_path / f"run{len(extra)}"
        command = ["train", str(toy), "--out", str(out), "--config", str(recipe_file), "--threads", "1", "--quiet"]
        assert run([*command, *extra]) == 0
        weights.append(load_file(out / "center.safetensors"))
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0])


IDLE = {
    '{"objective": {"kind": "lacp", "budget": 30}}': "budget",
    '{"locator_optim": {"steps": 5, "epochs": 9}}': "locator_optim.epochs",
    '{"locator_optim": {"steps": 5, "least_steps": 9}}': "locator_optim.least_steps",
    '{"objective": {"kind": "points", "balance": 0.5}}': "objective.balance",
    '{"partners": [{"locator": {"hidden": [], "dropout": 0.2}}]}': "partners.0.locator.dropout",
    '{"center": {"kind": "published", "members": 3}, "center_objective": {"kind": "points"}}': "center.members",
    '{"center_objective": {"kind": "points", "update": "none", "update_every": 7}}': "center_objective.update_every",
    '{"post": {"context": 0.4}}': "post.context",
    '{"post": {"adapt": false, "adapt_iou": 0.5}}': "post.adapt_iou",
    '{"post": {"suppression": "hard", "sigma": 0.5}}': "post.sigma",
    '{"evaluate_every": 7}': "evaluate_every",
}
WRONG = {
    '{"seed": "3"}': "seed",
    '{"seed": true}': "seed",
    '{"seed": 1.5}': "seed",
    '{"seed": -1}': "seed",
    '{"seed": 99999999999999999999}': "seed",
    '{"holdout": 1.0}': "holdout",
    '{"locator": {"hidden": [{"units": 1000000000000}]}}': "locator.hidden.0.units",
    '{"locator": {"hidden": 3}}': "locator.hidden",
    '{"locator": {"members": 0}}': "locator.members",
    '{"locator_optim": {"rate": Infinity}}': "locator_optim.rate",
    '{"locator_optim": {"rate": NaN}}': "locator_optim.rate",
    '{"locator_optim": {"epochs": 0}}': "locator_optim.epochs",
    '{"objective": {"kind": "magic"}}': "objective",
    '{"objective": []}': "objective",
    '{"post": {"fusion": {"centre": 1}}}': "centre",
    '{"post": {"class_thresholds": [2]}}': "post.class_thresholds",
    '{"post": 3}': "post",
    '{"seed": 1, "seed": 2}': "twice",
    '{"a\u001b[31m": 1}': "a",
    "[]": "",
    "[" * 100000: "JSON",
    '{"seed": ' + "9" * 5000 + "}": "JSON",
    '"\\ud800"': "",
}


@pytest.mark.parametrize(("text", "field"), [*IDLE.items(), *WRONG.items()], ids=lambda v: v[:40])
def test_recipe_files_with_fields_that_cannot_be_meant(toy, tmp_path, capsys, text, field):
    path = tmp_path / "recipe.json"
    path.write_text(text)
    assert run(["train", str(toy), "--out", str(tmp_path / "run"), "--config", str(path)]) == 2
    shown = capsys.readouterr().err
    assert field in shown and shown.count("\n") == 1 and "\x1b" not in shown
    assert not (tmp_path / "run").exists()


def test_a_recorded_recipe_is_a_recipe(tmp_path):
    from punctum.training.recipes import load_config

    for n, recipe in enumerate(
        (
            recipe_of(None),
            recipe_of(None, center=False, epochs=3),
            recipe_of(None, published=True, point_update=False),
            recipe_of(None, objective="lacp", adapt=False),
        )
    ):
        path = tmp_path / f"{n}.json"
        path.write_bytes(b"\xef\xbb\xbf" + recipe.model_dump_json().encode())
        assert load_config(path) == recipe


@pytest.mark.parametrize(
    "update",
    [{"sed": 3}, {"seed": -1}, {"seed": "x"}, {"partners": 3}, {"select": "best"}, {"objective": {"kind": "magic"}}],
)
def test_copies_of_recipes_are_validated(update):
    from punctum.runtime.errors import InputError
    from punctum.training.backbone.config import BackboneConfig

    with pytest.raises(InputError) as caught:
        TrainConfig().model_copy(update=update)
    assert caught.value.code == "config-invalid"
    assert next(iter(update)) in str(caught.value) or "holdout" in str(caught.value)
    with pytest.raises(InputError, match=r"optim|heigth"):
        BackboneConfig().model_copy(update={"heigth": 48, "optim": 3})


def test_help_shows_an_example(capsys):
    assert run(["train", "--help"]) == 0
    assert "punctum train data/gtea --split split_1" in capsys.readouterr().out


def test_without_torch_the_message_names_the_extra(toy, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(["train", str(toy), "--out", str(tmp_path / "run")]) == 2
    assert "punctum[train]" in capsys.readouterr().err


@pytest.mark.slow
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


def test_an_uncalibrated_run_is_named_by_train_and_export(toy, small, tmp_path, capsys):
    out, recipe_file = tmp_path / "run", tmp_path / "recipe.json"
    center = small.center.model_copy(update={"use_tracks": False})  # torch need not export it, which takes seconds
    recipe_file.write_text(small.model_copy(update={"center": center}).model_dump_json())
    assert run(["train", str(toy), "--out", str(out), "--config", str(recipe_file), "--epochs", "1"]) == 0
    assert "not calibrated: scores only rank events" in capsys.readouterr().out
    pytest.importorskip("onnxscript", reason="exporting needs onnxscript")
    assert run(["export", str(out), "--out", str(tmp_path / "bundle")]) == 0
    told = capsys.readouterr().err
    assert "was trained without calibration" in told and "only rank events" in told
    summary = json.loads((out / "summary.json").read_text())
    (out / "summary.json").write_text(json.dumps({**summary, "status": "interrupted"}))
    assert run(["export", str(out), "--out", str(tmp_path / "other")]) == 0
    assert "was interrupted (continue it with punctum train --resume)" in capsys.readouterr().err


def test_the_summary_says_how_it_judges_and_what_to_call(capsys):
    from punctum.training.cli.common import named_data, show_run

    calibration = {"folds": 3, "calibrated": True, "min_score": 0.43, "recall": 0.88, "precision": 0.91, "suspects": 5}
    stages = {"calibration": calibration}
    summary = {"videos": 21, "clicks": 370, "seconds": 60.0, "stages": stages}
    show_run(summary, Path("runs/g 2"), named_data(Path("data/my set"), "split_1", "other.csv"))
    shown, told = capsys.readouterr()
    assert "Next: punctum export 'runs/g 2' --out BUNDLE" in told
    assert "recall 88%, precision 91%" in shown and "tIoU 0.5" in shown and "punctum eval" in shown
    assert "5 labels are contradicted by a confident event" in shown
    assert "punctum diagnose 'data/my set' --split split_1 --points other.csv --run 'runs/g 2'" in shown

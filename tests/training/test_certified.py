"""Certified background: labels, losses and what a trained locator makes of it; videos that are labeled in part."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime import Dataset, InputError
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.background import BackgroundSpan
from punctum.runtime.datasets.dataset import Point
from punctum.training.confidence.folds import fold_of_videos, without_fold
from punctum.training.config import PointsObjective, TrainConfig
from punctum.training.data.labels import SureSpan, locate_clicks, locate_spans
from punctum.training.data.videos import Sample, TrainingSet, load_training_set
from punctum.training.engine.trainer import train_run
from punctum.training.models.build import build_locator
from punctum.training.objectives.point_loss import label_loss
from punctum.training.objectives.point_targets import even_targets, excluded_classes, gaps_of
from punctum.training.objectives.points import PointsTask
from punctum.training.recipes import without_center

CROPS = PointsObjective(sampling="crops", batch=4, window=16, background_weight=0.07)
SITES = PointsObjective(sampling="sites", batch=8)


def sample(name: str = "a", *, background: tuple[SureSpan, ...] = (), partly: bool = False, at=(3.0, 12.0)) -> Sample:
    rng = np.random.default_rng(len(name))
    clicks = locate_clicks(list(at), [0, 1][: len(at)], snippets=40, stride_s=1.0, start_s=0.0, video=name)
    return Sample(name, rng.normal(size=(40, 6)).astype(np.float32), 0.0, clicks, background, partly)


def task(samples: list[Sample], objective: PointsObjective) -> PointsTask:
    config = TrainConfig(objective=objective, partners=())
    torch.manual_seed(0)
    locator = build_locator(config, dim=6, classes=2)
    data = TrainingSet("x", ("open", "close"), 1.0, 6, tuple(samples))
    from punctum.training.models.ensemble import nets_of

    return PointsTask(nets_of(locator)[0], data, objective, epochs=3, seed=0)


def test_spans_lie_on_the_grid():
    spans = [BackgroundSpan(2.0, 5.0, None), BackgroundSpan(3.1, 3.3, 1), BackgroundSpan(38.6, 50.0, 0)]
    assert locate_spans(spans, snippets=40, stride_s=1.0, start_s=0.0) == (
        SureSpan(2, 5, None),
        SureSpan(3, 4, 1),
        SureSpan(39, 40, 0),
    )
    assert locate_spans([BackgroundSpan(50.0, 60.0, None)], snippets=40, stride_s=1.0, start_s=0.0) == ()


@pytest.mark.parametrize("weight", [None, 0.07])
def test_certified_background_becomes_a_label(weight):
    objective = CROPS.model_copy(update={"background_weight": weight})
    plain, sure = sample(), sample(background=(SureSpan(20, 24, None), SureSpan(10, 14, None)))
    (before,), (after,) = even_targets([plain], objective, 2), even_targets([sure], objective, 2)
    assert before[20:24].sum() == 0
    assert after[20:24, 2] == pytest.approx(0.25)
    assert after[20:24, :2].sum() == 0
    assert after[12].tolist() == before[12].tolist()  # the click counts, not the span


def test_an_excluded_class_says_nothing_about_the_others():
    sure = sample(background=(SureSpan(10, 14, 1), SureSpan(30, 32, 0)))
    (rows,) = excluded_classes([sure], CROPS, 2)
    assert rows[[10, 11, 13], 1] == pytest.approx(0.25)
    assert rows[12].tolist() == [0, 0]  # a click of the class
    assert rows[30:32].tolist() == [[0.5, 0], [0.5, 0]]
    (with_span,), (without,) = even_targets([sure], CROPS, 2), even_targets([sample()], CROPS, 2)
    assert np.array_equal(with_span, without)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_the_loss_pushes_the_excluded_class_down_only(output):
    logits = torch.zeros(1, 1, 3, requires_grad=True)
    excluded = torch.tensor([[0.0, 1.0]])
    loss = label_loss(logits, torch.zeros(1, 3), output, 0.0, excluded)
    expected = -np.log(1 - 1 / 3) if output == "softmax" else np.log(2)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    gradient = logits.grad[0, 0]
    assert gradient[1] > 0
    assert gradient[0] == pytest.approx(gradient[2])
    assert gradient[0] <= 0


def test_the_loss_with_and_without_labels_is_their_weighted_mean():
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 3, generator=rng)
    target = torch.tensor([[1.0, 0, 0], [0, 0, 0.5], [0, 0, 0]])
    none = label_loss(logits[:, :2], target[:2], "softmax", 0.1)
    excluded = torch.tensor([[0.0, 0], [0, 0], [0.5, 0]])
    both = label_loss(logits, target, "softmax", 0.1, excluded)
    denied = label_loss(logits[:, 2:], target[2:], "softmax", 0.1, excluded[2:])
    assert float(both) == pytest.approx(float(none * 1.5 + denied * 0.5) / 2.0, rel=1e-5)


@pytest.mark.parametrize("objective", [CROPS, SITES], ids=["crops", "sites"])
def test_training_learns_from_certified_spans(objective):
    """Snippets whose features look like class 0 are certified: its probability sinks there."""
    rng = np.random.default_rng(0)

    def make(background: tuple[SureSpan, ...]) -> Sample:
        rows = rng.normal(0, 0.1, size=(40, 6)).astype(np.float32)
        rows[2:5, 0] = rows[20:26, 0] = 3.0
        rows[11:14, 1] = 3.0
        rows[20:26, 2] = 1.0
        return replace(sample(background=background), features=rows)

    def probability(background: tuple[SureSpan, ...]) -> tuple[float, float]:
        nonlocal rng
        rng = np.random.default_rng(0)
        made = task([make(background), make(background)], objective)
        made.module.normalise.fit([torch.from_numpy(s.features) for s in made.samples])
        made = task([make(background), make(background)], objective)
        optimizer = torch.optim.Adam(made.module.parameters(), lr=1e-2)
        made.module.train()
        for step in range(60):
            torch.manual_seed(step)
            loss, _ = made.step_loss(step, np.random.default_rng(step))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        made.module.eval()
        with torch.no_grad():
            p, _ = made.module(torch.from_numpy(made.samples[0].features))
        return float(p[21:25, 0].mean()), float(p[3, 0])

    plain = probability(())
    for background in ((SureSpan(20, 26, None),), (SureSpan(20, 26, 0),)):
        sure = probability(background)
        assert sure[0] < 0.5 * plain[0]
        assert sure[1] > 0.4


def test_a_video_labeled_in_part_has_no_background_but_certified_one():
    part = sample(partly=True, background=(SureSpan(30, 34, None),))
    assert len(gaps_of(part, share=0.4, edges=True)) == 0
    (rows,) = even_targets([part], CROPS, 2)
    assert np.flatnonzero(rows[:, 2] > 0).tolist() == [30, 31, 32, 33]
    assert rows[3, 0] > 0


def test_a_video_labeled_in_part_is_in_no_fold():
    samples = [sample(f"v{k}", partly=k == 2) for k in range(5)]
    data = TrainingSet("x", ("open", "close"), 1.0, 6, tuple(samples))
    assigned = fold_of_videos(data, 3, seed=0)
    assert assigned[2] == -1
    assert sorted(set(assigned)) == [-1, 0, 1, 2]
    few = TrainingSet("x", ("open", "close"), 1.0, 6, (samples[0], samples[2]))
    assert fold_of_videos(few, 3, seed=0) == []


def test_a_group_is_held_out_with_its_videos_that_are_labeled_in_part():
    samples = [replace(sample(f"v{k}", partly=k > 3), group=group) for k, group in enumerate("aabbab")]
    samples.append(sample("alone", partly=True))
    data = TrainingSet("x", ("open", "close"), 1.0, 6, tuple(samples))
    assigned = fold_of_videos(data, 3, seed=0)
    assert assigned[4:] == [-1, -1, -1]
    for fold, left in ((assigned[0], ["v2", "v3", "v5", "alone"]), (assigned[2], ["v0", "v1", "v4", "alone"])):
        assert [one.video for one in without_fold(data, assigned, fold).samples] == left


# --- from the files


def with_background(toy: Path, folder: Path, text: str) -> Path:
    """A copy of the data set with certified background."""
    made = Path(shutil.copytree(toy, folder))
    (made / "background.csv").write_text("video_id,start_s,end_s,class\n" + text)
    return made


def free_spans(toy: Path) -> list[tuple[str, float, float]]:
    """Stretches of training videos without an action by the ground truth."""
    truth = json.loads((toy / "gt.json").read_text())["database"]
    found = []
    for video in (toy / "train.txt").read_text().split():
        first = min(a["segment"][0] for a in truth[video]["annotations"])
        if first > 1.0:
            found.append((video, 0.1, first - 0.1))
    return found


def test_punctum_train_uses_the_file(toy, small, tmp_path, capsys):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(without_center(small).model_dump(mode="json")))
    spans = free_spans(toy)
    assert spans
    names = json.loads((toy / "dataset.json").read_text())["classes"]
    texts = {
        "none": "",
        "any": "".join(f"{v},{a},{b},\n" for v, a, b in spans),
        "one": "".join(f"{v},{a},{b},{names[0]}\n" for v, a, b in spans),
    }
    weights, spans_seen = {}, {}
    for name, text in texts.items():
        folder = with_background(toy, tmp_path / name, text)
        run = tmp_path / f"run-{name}"
        assert invoke(["train", str(folder), "--out", str(run), "--config", str(recipe), "--quiet"]) == 0
        weights[name] = (run / "locator.safetensors").read_bytes()
        summary = json.loads((run / "summary.json").read_text())
        spans_seen[name] = summary["stages"]["locator"].get("certified_spans", 0)
    assert len(set(weights.values())) == 3
    assert spans_seen == {"none": 0, "any": len(spans), "one": len(spans)}
    folder = with_background(toy, tmp_path / "bad", "v0,3,2,\n")
    assert invoke(["train", str(folder), "--out", str(tmp_path / "run-bad"), "--quiet"]) == 2
    assert "background.csv line 2" in capsys.readouterr().err
    assert not (tmp_path / "run-bad").exists()


def test_a_run_is_not_resumed_with_other_spans(toy, small, tmp_path):
    (video, start_s, end_s), *_ = free_spans(toy)
    folder = with_background(toy, tmp_path / "data", "")
    train_run(load_training_set(Dataset.open(folder)), small, tmp_path / "run", quiet=True)
    (folder / "background.csv").write_text(f"video_id,start_s,end_s\n{video},{start_s},{end_s}\n")
    with pytest.raises(InputError) as error:
        train_run(load_training_set(Dataset.open(folder)), small, tmp_path / "run", resume=True, quiet=True)
    assert error.value.code == "resume-differs"


def test_features_of_videos_keep_the_labels(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from punctum.runtime import Bundle
    from punctum.runtime.backbone.backbone import VideoBackbone
    from punctum.training.backbone.footage import Footage
    from punctum.training.features_dataset import write_features_dataset

    backbone = VideoBackbone.open(Bundle.load("default"))
    for name in ("a", "b"):
        (tmp_path / "features").mkdir(exist_ok=True)
        np.save(tmp_path / "features" / f"{name}.npy", np.zeros((30, backbone.dim), np.float32))
    videos = {name: Path(f"{name}.mp4") for name in ("a", "b")}
    spans = {"a": [BackgroundSpan(1.0, 2.0, None), BackgroundSpan(3.0, 4.0, 1)]}
    points = {"a": [Point(0, 5.0)], "b": [Point(1, 1.0)]}
    footage = Footage("x", videos, ("open", "close"), points, spans, frozenset({"b"}))
    data = load_training_set(write_features_dataset(footage, backbone, tmp_path))
    assert data.samples[0].background == (SureSpan(5, 10, None), SureSpan(15, 20, 1))
    assert [s.partly for s in data.samples] == [False, True]
    again = write_features_dataset(Footage("x", videos, ("open", "close"), points), backbone, tmp_path)
    assert again.background() == {}
    assert again.partly() == frozenset()

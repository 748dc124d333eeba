from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError
from punctum.training import train_run
from punctum.training.config import CenterConfig, CenterObjective
from punctum.training.data.proposals import VideoProposals, clean, read_proposals
from punctum.training.data.videos import load_training_set
from punctum.training.engine.base_proposals import proposals_of
from punctum.training.models.center import build_head
from punctum.training.objectives.center_task import CenterTask, CenterVideo

from .conftest import CLASSES, DIM, make_sample

SAMPLES = [make_sample([5.0], [0], name="a"), make_sample([7.0], [1], name="b")]


def write(folder: Path, results: object) -> Path:
    path = folder / "p.json"
    path.write_text(json.dumps({"version": "1", "results": results}))
    return path


def item(start: object, end: object, label: str = "wave", score: float = 0.5) -> dict[str, object]:
    return {"segment": [start, end], "label": label, "score": score}


def test_seconds_become_snippet_center_coordinates(tmp_path):
    path = write(tmp_path, {"a": [item(3.0, 8.0)], "b": [item(0, 4, "push", 0.9)]})
    found = read_proposals(path, SAMPLES, CLASSES, stride_s=0.5)
    np.testing.assert_allclose(found["a"].segments, [[5.5, 15.5]])
    assert found["b"].label.tolist() == [1] and found["b"].base.tolist() == [0.9]


def test_what_is_no_segment_is_dropped_with_a_warning_and_the_rest_is_cut(tmp_path):
    rows = [item(0, 0), item(8, 3), item(float("nan"), 4), item(1, 2, score=float("nan")), item(90, 99), item(30, 99)]
    with pytest.warns(UserWarning) as caught:
        found = read_proposals(write(tmp_path, {"a": rows}), SAMPLES, CLASSES, stride_s=1.0)
    np.testing.assert_allclose(found["a"].segments, [[29.5, 39.5]])
    text = " ".join(str(w.message) for w in caught)
    assert "5 segments dropped" in text and "1 training videos without proposals" in text and "(b)" in text


def test_unknown_classes_are_named(tmp_path):
    path = write(tmp_path, {"a": [item(1, 2), item(1, 2, "fly")], "b": [item(1, 3)]})
    with pytest.warns(UserWarning, match="unknown classes dropped .fly."):
        found = read_proposals(path, SAMPLES, CLASSES, stride_s=1.0)
    assert len(found["a"]) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "json-unreadable"),
        ("[]", "proposals-form"),
        ('{"results": {"a": 3}}', "proposals-form"),
        ('{"results": {"a": [{"segment": [1]}]}}', "proposals-form"),
        ('{"results": {"a": ["x"]}}', "proposals-form"),
        ('{"results": {"zzz": []}}', "proposals-empty"),
    ],
)
def test_wrong_files_are_errors_by_name(tmp_path, text, code):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_proposals(path, SAMPLES, CLASSES, stride_s=1.0)
    assert caught.value.code == code and str(path) in str(caught.value)


def center_videos() -> list[CenterVideo]:
    videos = []
    for sample, segments in zip(SAMPLES, ([[2.0, 8.0], [4.0, 6.5]], []), strict=True):
        table = np.array(segments, float).reshape(-1, 2)
        kept, _ = clean(table, np.zeros(len(table), np.int64), np.ones(len(table)), snippets=40)
        tracks = np.full((40, len(CLASSES) + 1), 0.2, np.float32)
        videos.append(CenterVideo(sample, tracks, kept))
    return videos


@pytest.mark.parametrize("kind", ["center", "published"])
def test_videos_without_proposals_are_left_out_and_the_loss_is_finite(kind):
    """Defect P3: the published code makes them [0, 0] segments, whose losses are NaN."""
    config = CenterConfig(kind=kind, embed=4, hidden=8)
    head = build_head(config, dim=DIM, classes=len(CLASSES), max_context=4.0)
    made = CenterTask(head, center_videos(), [], CenterObjective(max_proposals=1), epochs=2, seed=0)
    assert made.describe == {"videos": 1, "videos_without_proposals": 1, "proposals": 2}
    loss, terms = made.step_loss(0, np.random.default_rng(0))
    assert np.isfinite(float(loss.detach())) and {"point", "saliency"} <= set(terms)


def test_no_proposals_anywhere_is_no_training():
    head = build_head(CenterConfig(embed=4, hidden=8), dim=DIM, classes=len(CLASSES), max_context=4.0)
    empty = [
        CenterVideo(v.sample, v.tracks, VideoProposals(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0)))
        for v in center_videos()
    ]
    assert CenterTask(head, empty, [], CenterObjective(), epochs=2, seed=0).steps == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"results"', "json-unreadable"),
        ("3", "proposals-form"),
        ('{"results": {}}', "proposals-empty"),
        ('{"results": {"v15": [{"label": "wave", "segment": [1, 2]}]}}', "proposals-empty"),
        ('{"results": {"v00": [{"label": "wave", "segment": [2, 1]}]}}', "proposals-empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_the_training(toy, small, tmp_path, text, code):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        train_run(load_training_set(Dataset.open(toy)), small, tmp_path / "run", proposals=path, quiet=True)
    assert caught.value.code == code
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:.*training videos without proposals:UserWarning")
def test_proposals_that_a_fold_lacks_are_found_before_the_training(toy, small, tmp_path):
    path = write(tmp_path, {"v00": [item(3.0, 8.0)]})
    data, recipe = load_training_set(Dataset.open(toy)), small.model_copy(update={"folds": 3})
    with pytest.raises(InputError, match="for 1 of 10 training videos, and the calibration has a fold") as caught:
        train_run(data, recipe, tmp_path / "run", proposals=path, quiet=True)
    assert caught.value.code == "proposals-empty" and "--no-calibration" in caught.value.next_step
    assert not (tmp_path / "run").exists()
    assert proposals_of(path, data, small.model_copy(update={"folds": 0})).keys() == {"v00"}

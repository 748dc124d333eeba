"""Small data sets made on the spot: classes are directions in feature space, actions are stretches of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime.bundle.config import PostProcess
from punctum.training.config import LocatorConfig, Normalisation, OptimConfig, PointsObjective, TrainConfig
from punctum.training.data.labels import locate_clicks
from punctum.training.data.videos import Sample

CLASSES = ["wave", "push", "turn"]
FPS, FRAMES, DIM = 20.0, 5, 10  # 4 snippets a second


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_video(rng: np.random.Generator, directions: np.ndarray, snippets: int = 90) -> tuple[np.ndarray, list]:
    """Features [T, D] and actions (first, last, class) in snippets."""
    features = rng.normal(0, 0.6, (snippets, DIM))
    actions, at = [], int(rng.integers(4, 10))
    while at < snippets - 14:
        length, label = int(rng.integers(5, 11)), int(rng.integers(len(CLASSES)))
        features[at : at + length] += 2.0 * directions[label]
        actions.append((at, at + length, label))
        at += length + int(rng.integers(6, 14))
    return features.astype(np.float32), actions


def make_dataset(folder: Path, *, train: int = 10, test: int = 6, seed: int = 0) -> Path:
    """A data set folder with one click per action near its middle."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0][: len(CLASSES)]
    (folder / "features").mkdir(parents=True)
    info = {"name": "toy", "classes": CLASSES, "fps": FPS, "snippet_frames": FRAMES, "feature_dim": DIM}
    (folder / "dataset.json").write_text(json.dumps(info))
    database, rows, names = {}, [], [f"v{i:02d}" for i in range(train + test)]
    for index, name in enumerate(names):
        features, actions = make_video(rng, directions)
        np.save(folder / "features" / f"{name}.npy", features)
        stride = FRAMES / FPS
        database[name] = {
            "duration": len(features) * stride,
            "annotations": [{"label": CLASSES[c], "segment": [a * stride, b * stride]} for a, b, c in actions],
        }
        if index < train:
            for a, b, c in actions:
                click = (a + b) / 2 + rng.normal(0, 0.1) * (b - a)
                rows.append([CLASSES[c], name, f"{click * FRAMES:.2f}"])
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    with (folder / "points.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["class", "video_id", "point"], *rows])
    (folder / "train.txt").write_text("\n".join(names[:train]))
    (folder / "test.txt").write_text("\n".join(names[train:]))
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture
def small() -> TrainConfig:
    """A recipe of a second or two."""
    from punctum.training.config import CenterConfig, CenterObjective, HiddenLayer

    return TrainConfig(
        locator=LocatorConfig(
            normalisation=Normalisation(), hidden=(HiddenLayer(kernel=5, units=24),), dropout=0.2, input_dropout=0.1
        ),
        objective=PointsObjective(batch=32),
        locator_optim=OptimConfig(steps=60, rate=5e-3),
        partners=(),
        center=CenterConfig(embed=8, hidden=24),
        center_objective=CenterObjective(update_every=10, batch=4),
        center_optim=OptimConfig(steps=24, rate=3e-3),
        post=PostProcess.model_validate({"fusion": {"center": 1.0, "contrast": 1.0}}),
        save_every=7,
        folds=0,
    )


def make_sample(times: list[float], labels: list[int], *, snippets: int = 40, seed: int = 0, name: str = "v") -> Sample:
    """A video of noise with clicks at `times` (seconds, stride 1)."""
    rng = np.random.default_rng(seed)
    clicks = locate_clicks(times, labels, snippets=snippets, stride_s=1.0, start_s=0.0, video=name)
    return Sample(name, rng.normal(size=(snippets, DIM)).astype(np.float32), 0.0, clicks)

"""Readers of data sets, recipes, run folders and detections."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import Mutate, Target, WrongAnswer
from .mutate import change_json, change_lines

LABELS = ("wave", "push", "turn")
VIDEOS = ("v0", "v1", "v2")
INFO = {"name": "tiny", "classes": list(LABELS), "fps": 20.0, "snippet_frames": 5, "feature_dim": 6}


def annotations() -> dict[str, Any]:
    return {
        "database": {
            video: {
                "duration": 10.0,
                "annotations": [
                    {"label": LABELS[i % 3], "segment": [1.0, 2.5]},
                    {"label": LABELS[(i + 1) % 3], "segment": [5.0, 7.0]},
                ],
            }
            for i, video in enumerate(VIDEOS)
        }
    }


CLICKS = "class,video_id,point\n" + "".join(
    f"{LABELS[i % 3]},{v},35\n{LABELS[i]},{v},120\n" for i, v in enumerate(VIDEOS)
)


SPANS = "video_id,start_s,end_s,class,annotator,created,id\nv0,0.2,1.0,wave,ann,,n1\nv1,8,9.5,,ann,,n2\n"


def write_dataset(folder: Path) -> Path:
    (folder / "features").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for video in VIDEOS:
        np.save(folder / "features" / f"{video}.npy", rng.normal(size=(40, 6)).astype(np.float32))
    (folder / "dataset.json").write_text(json.dumps(INFO))
    (folder / "gt.json").write_text(json.dumps(annotations()))
    (folder / "points.csv").write_text(CLICKS)
    (folder / "background.csv").write_text(SPANS)
    (folder / "train.txt").write_text("v0\nv1\n")
    (folder / "test.txt").write_text("v2\n")
    return folder


def file_of_a_dataset(name: str, mutate: Mutate, cases: int) -> Callable[[Path], Target]:
    """One file of a data set changes; it is opened, read and checked. `data check` may not raise at all for what files
    hold, and what it finds without an error must be read without one."""

    def make(folder: Path) -> Target:
        from punctum.runtime.datasets.check import check_dataset
        from punctum.runtime.datasets.dataset import Dataset
        from punctum.runtime.errors import PunctumError

        base = write_dataset(folder / "data")
        seed = (base / name).read_bytes()

        def run(data: bytes) -> None:
            (base / name).write_bytes(data)
            try:
                report = check_dataset(base)
            except PunctumError as error:
                raise WrongAnswer(f"data check raised: {error}") from error
            str(report)
            found = Dataset.open(base)
            found.points()
            found.background()
            found.partly()
            found.truth()

        return Target([seed], run, mutate, cases)

    return make


dataset = file_of_a_dataset("dataset.json", change_json, 150)
points = file_of_a_dataset("points.csv", change_lines, 150)
background = file_of_a_dataset("background.csv", change_lines, 150)
truth = file_of_a_dataset("gt.json", change_json, 150)
lists = file_of_a_dataset("train.txt", change_lines, 80)


def recipe(folder: Path) -> Target:
    from punctum.training.config import TrainConfig
    from punctum.training.recipes import load_config

    file = folder / "recipe.json"

    def run(data: bytes) -> Any:
        file.write_bytes(data)
        return load_config(file)

    whole = json.dumps(TrainConfig().model_dump(mode="json")).encode()
    return Target([whole, b'{"seed": 1, "holdout": 0.2, "select": "best"}'], run, change_json, cases=200)


def run_folder(folder: Path) -> Target:
    """summary.json of a finished run, which names everything else: a folder from elsewhere."""
    import torch
    from punctum.runtime.bundle.config import FeatureSpec, PostProcess
    from punctum.training.config import LocatorConfig, TrainConfig
    from punctum.training.models import checkpoint
    from punctum.training.models.build import build_locator
    from punctum.training.models.weights import save_weights
    from punctum.training.records import write_json

    torch.set_num_threads(1)
    config = TrainConfig(locator=LocatorConfig(hidden=()), partners=(), center=None)
    spec = FeatureSpec.model_validate({"dim": 3, "stride_s": 0.5})
    save_weights(folder / "locator.safetensors", build_locator(config, dim=3, classes=2))
    record = {
        "schema": checkpoint.SCHEMA,
        "config": config.model_dump(mode="json"),
        "feature_spec": spec.model_dump(mode="json"),
        "labels": ["a", "b"],
        "provenance": {"data": "x"},
    }
    write_json(folder / "config.json", record)
    write_json(folder / "post.json", PostProcess().model_dump(mode="json"))
    checkpoint.seal(folder, {"status": "complete"})
    sealed = (folder / "summary.json").read_bytes()
    seeds = [b"C" + (folder / "config.json").read_bytes(), b"P" + (folder / "post.json").read_bytes(), b"S" + sealed]
    names = {b"C": "config.json", b"P": "post.json", b"S": "summary.json"}

    def run(data: bytes) -> Any:
        for seed in seeds[:2]:
            (folder / names[seed[:1]]).write_bytes(seed[1:])
        name = names.get(data[:1], "config.json")
        (folder / name).write_bytes(data[1:])
        if name != "summary.json":
            checkpoint.seal(folder, {"status": "complete"})  # hashes are right: the content is what counts
        return checkpoint.load_run(folder)

    def mutate(data: bytes, rng: Any) -> bytes:
        return data[:1] + change_json(data[1:], rng)

    return Target(seeds, run, mutate, cases=120)


def detections(folder: Path) -> Target:
    """`punctum eval --detections`."""
    from punctum.runtime.datasets.dataset import read_truth
    from punctum.runtime.evaluation.average_precision import evaluate
    from punctum.runtime.evaluation.detections import read_detections

    (folder / "gt.json").write_text(json.dumps(annotations()))
    judged = read_truth(folder / "gt.json", VIDEOS, LABELS)
    file = folder / "found.json"
    rows = {video: [{"label": "wave", "score": 0.9, "segment": [1.0, 2.5]}] for video in VIDEOS}

    def run(data: bytes) -> None:
        file.write_bytes(data)
        result = evaluate(judged, read_detections(file, judged))
        if not 0 <= result.average <= 1:
            raise WrongAnswer(f"mAP {result.average}")

    return Target([json.dumps({"results": rows}).encode()], run, change_json, cases=120)

"""How hard the procedural videos are: what simple features reach, and what a perfect eye would.

    python benchmarks/scenes_baseline.py [--videos FOLDER] [--count 60] [--seed 1]

Features of each quarter of a second: its mean color; mean color and how much consecutive frames differ
(whole frame, then on a grid of 6 x 8 cells); and, as an upper bound, the state of the bodies as the renderer knows
it. Each is learned from the clicks with a linear layer and with the default locator, without a head, and judged on
the test videos. Mean color has to be near useless (average mAP below 0.05). Without --videos, makes them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from punctum.kernels import resize_area
from punctum.runtime import Dataset, evaluate
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.synthetic.video import render, write_videos
from punctum.runtime.synthetic.video.dataset import scene_seed
from punctum.training import load_run, localizer_of, train_run
from punctum.training.config import LocatorConfig, TrainConfig
from punctum.training.data.videos import load_training_set
from result_file import add_json, rows_of, save

BLOCK = 5  # frames of a snippet


def frames_of(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def in_blocks(rows: np.ndarray) -> np.ndarray:
    """Mean of every BLOCK rows."""
    whole = len(rows) // BLOCK * BLOCK
    return rows[:whole].reshape(-1, BLOCK, *rows.shape[1:]).mean(axis=1).astype(np.float32)


def simple(path: Path) -> dict[str, np.ndarray]:
    colors, energy, grids, before = [], [], [], None
    for frame in frames_of(path):
        colors.append(frame.mean(axis=(0, 1)))
        gray = frame.mean(axis=2)
        change = np.abs(gray - before) if before is not None else np.zeros_like(gray)
        energy.append([change.mean(), np.sqrt((change**2).mean())])
        grids.append(resize_area(np.clip(4 * change, 0, 255).astype(np.uint8)[..., None], 6, 8).ravel())
        before = gray
    colour = in_blocks(np.array(colors))
    return {
        "mean color": colour,
        "mean color, frame difference": np.hstack([colour, in_blocks(np.array(energy))]),
        "mean color, frame difference on a grid": np.hstack([colour, in_blocks(np.array(grids))]),
    }


def state(seed: int, seconds: float, fps: float) -> np.ndarray:
    """What bodies do, whoever and wherever they are: largest and smallest rates over the bodies."""
    scene = render(seed, seconds=seconds, fps=fps)
    columns = []
    for number in range(scene.body_count):
        b = scene.tracks(number)
        rates = {name: np.gradient(b[name]) * fps for name in ("x", "y", "turn", "size", "stretch", "alpha")}
        arms = np.abs(np.gradient(b["limbs"][:, :2], axis=0)).max(axis=1) * fps
        speed = np.hypot(rates["x"], rates["y"])
        bend = np.abs(np.gradient(rates["x"])) + np.abs(np.gradient(rates["y"]))
        seen = b["alpha"] > 0
        parts = [
            speed * seen,
            bend * seen,
            -rates["y"] * seen,
            rates["y"] * seen,
            np.abs(rates["turn"]) * seen,
            rates["size"] * seen,
            -rates["size"] * seen,
            np.abs(rates["stretch"]) * seen,
            rates["alpha"],
            -rates["alpha"],
            arms * seen,
            b["behind"] * speed * seen,
            np.maximum(b["limbs"][:, :2].max(axis=1), 0) * seen,
        ]
        columns.append(np.stack(parts, axis=1))
    top = np.sort(np.stack(columns), axis=0)[-2:]  # the two busiest bodies in each respect
    return in_blocks(np.concatenate(list(top), axis=1))


def recipes() -> dict[str, TrainConfig]:
    default = TrainConfig(center=None)
    post = default.post.model_copy(update={"fusion": default.post.fusion.model_copy(update={"center": 0.0})})
    plain = default.model_copy(update={"post": post})
    linear = LocatorConfig(normalisation=default.locator.normalisation, hidden=(), dropout=0.0)
    return {"linear": plain.model_copy(update={"locator": linear, "partners": ()}), "locator": plain}


def judge(folder: Path, recipe: TrainConfig) -> float:
    """Average mAP 0.1:0.7 on the test videos."""
    data = Dataset.open(folder)
    truth = data.truth()
    with tempfile.TemporaryDirectory() as work:
        train_run(load_training_set(data), recipe, Path(work) / "run", quiet=True)
        localizer = localizer_of(load_run(Path(work) / "run"))
        events = {video: localizer.localize(data.features(video), stream=video) for video in truth.videos}
    return evaluate(truth, Detections.from_events(events, truth)).average


def with_features(videos: Path, folder: Path, features: dict[str, np.ndarray]) -> None:
    """The same data set with a features folder."""
    (folder / "features").mkdir(parents=True)
    info = json.loads((videos / "dataset.json").read_text())
    info = {key: info[key] for key in ("name", "classes", "fps")}
    info |= {"snippet_frames": BLOCK, "feature_dim": next(iter(features.values())).shape[1]}
    (folder / "dataset.json").write_text(json.dumps(info))
    for name in ("gt.json", "points.csv", "train.txt", "test.txt"):
        (folder / name).write_bytes((videos / name).read_bytes())
    for name, rows in features.items():
        np.save(folder / "features" / f"{name}.npy", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    add_json(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        videos = arguments.videos or Path(work) / "videos"
        if arguments.videos is None:
            began = time.perf_counter()
            write_videos(videos, count=arguments.count, seed=arguments.seed)
            print(f"made {arguments.count} videos in {time.perf_counter() - began:.0f} s")
        database = json.loads((videos / "gt.json").read_text())["database"]
        tables: dict[str, dict[str, np.ndarray]] = {}
        for name, entry in database.items():
            found = simple(videos / "videos" / f"{name}.mp4")
            found["state of the bodies (upper bound)"] = state(scene_seed(name), entry["duration"], entry["fps"])
            for kind, rows in found.items():
                tables.setdefault(kind, {})[name] = rows
        print("| features | " + " | ".join(recipes()) + " |\n|---|---|---|")
        measured: dict[str, dict[str, float]] = {}
        for i, (kind, features) in enumerate(tables.items()):
            folder = Path(work) / f"features{i}"
            with_features(videos, folder, features)
            values = [judge(folder, recipe) for recipe in recipes().values()]
            measured[kind] = dict(zip(recipes(), map(float, values), strict=True))
            print(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)
        save(arguments.json, rows_of(measured))


if __name__ == "__main__":
    main()

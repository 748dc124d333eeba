"""From videos and clicks to events: mAP of `punctum train` on a video data set, beside two honest baselines.

    python benchmarks/video_accuracy.py DATA [--seeds 0,1,2] [--rows learned,shipped,...] [--frames DIR]

Rows, all judged on the test videos (mAP averaged over tIoU 0.1:0.7):
  learned   `punctum train --minutes`: backbone trained further, then locator and head
  footage   the same without clicks in the backbone
  augmented the default of `punctum train`: the weights as they ship, and augmented copies of each training video
  shipped   the same without copies
  random    the same network with random weights, its normalization fitted to the footage; same locator and head
  summary   the columns that need no learning alone, and the same locator and head
  energy    one number a snippet, how much consecutive frames differ; thresholded: for each class, the runs in which
            that number is likelier for the class's clicks than for the gaps between clicks
  cuts      two numbers a snippet that only see cuts (how much the most changed frame differs from the one before,
            against the others), and the same locator: what a cut detector gets where clips were joined
Beside mAP: how well the class tracks tell actions from other units of video (area under the curve), with the borders
of actions and all cuts given and 0.4 s next to each left out: what is known besides where things begin and end.
Frames come through the runtime's decoder and preprocessing, once; --frames keeps them. --events names a folder for
what the first seed found. --fold k/n judges on every n-th training video instead of the test videos, to choose
designs by.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from punctum import kernels
from punctum.runtime import Dataset, Localizer, evaluate
from punctum.runtime.datasets.dataset import Truth, read_truth
from punctum.runtime.evaluation.average_precision import Detections
from punctum.training import load_run, localizer_of, recipes, train_run
from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.footage import Footage, dataset_footage
from punctum.training.backbone.frame_augment import Camera
from punctum.training.backbone.frames import FrameSpan, FrameStore, span_maps
from punctum.training.backbone.net import BackboneNet
from punctum.training.backbone.spans import ClickedSpan
from punctum.training.backbone.task import BackboneModule, BackboneTask
from punctum.training.backbone.train import SHIPPED, load_start, train_backbone
from punctum.training.data.labels import locate_clicks
from punctum.training.data.videos import Sample, TrainingSet
from punctum.training.objectives.point_targets import even_targets
from result_file import add_json, rows_of, save

BORDER_S = 0.4
ROWS = 64  # snippets that the network computes at once
FITTED = 12  # batches that the normalization of random weights sees


@dataclass(frozen=True, slots=True)
class Split:
    """Videos to learn from and to judge on, with their frames."""

    data: Dataset
    config: BackboneConfig
    train: tuple[str, ...]
    test: tuple[str, ...]
    frames: dict[str, FrameSpan]
    store: FrameStore
    truth: Truth

    @property
    def stride_s(self) -> float:
        return self.config.spec().stride_s

    def clicks(self, video: str, snippets: int) -> Any:
        points = self.data.points().get(video, ())
        return locate_clicks(
            [p.time_s for p in points],
            [p.label for p in points],
            snippets=snippets,
            stride_s=self.stride_s,
            start_s=0.0,
            video=video,
        )

    def samples(self, features: dict[str, np.ndarray]) -> tuple[Sample, ...]:
        return tuple(Sample(v, features[v], 0.0, self.clicks(v, len(features[v]))) for v in self.train)


def embed(net: BackboneNet, split: Split) -> dict[str, np.ndarray]:
    """Features of every video by the torch network (tests hold it against the exported graph)."""
    size, reach, found = split.config.snippet_frames, split.config.reach, {}
    with torch.inference_mode():
        for video, part in split.frames.items():
            maps, rows = span_maps(part, split.config.floor), []
            snippets = -(-len(part.frames) // size)
            for first in range(0, snippets, ROWS):
                last = min(first + ROWS, snippets)
                index = np.clip(np.arange((first + 1) * size - reach, last * size), 0, len(maps) - 1)
                shown = torch.from_numpy(np.asarray(maps[index], np.float32))
                rows.append(net.describe(shown[None])[0])
            found[video] = torch.cat(rows).numpy()
    return found


class NetKeeper:
    """In place of an exporter: keeps the trained network, whose graph is not needed here."""

    net: BackboneNet

    def check_installed(self, purpose: str) -> None:
        """Nothing is needed."""

    def backbone_files(self, module: torch.nn.Module, spec: object) -> dict[str, bytes]:
        if isinstance(module, BackboneNet):
            self.net = module.eval()
        return {"backbone.onnx": b"", "backbone.json": b"{}"}


def learned(split: Split, seed: int, *, clicks: bool) -> dict[str, np.ndarray]:
    config = split.config.model_copy(update={"seed": seed})
    whole = dataset_footage(split.data, clicked=clicks)
    footage = Footage(whole.name, {v: whole.videos[v] for v in split.train}, whole.labels, whole.points)
    with tempfile.TemporaryDirectory() as folder:
        exporter = NetKeeper()
        train_backbone(footage, config, Path(folder) / "b", exporter=exporter, quiet=True, frames=split.store.folder)
    return embed(exporter.net, split)


def as_shipped(split: Split) -> dict[str, np.ndarray]:
    net = BackboneNet(split.config)
    load_start(net, SHIPPED)
    return embed(net.eval(), split)


def altered(split: Split, copy: int) -> dict[str, np.ndarray]:
    """Features of one augmented copy of each training video, by the weights as they ship."""
    frames = {}
    for number, video in enumerate(split.train):
        part = split.frames[video]
        shown = np.asarray(part.frames, np.float32) / 65535.0
        draws = np.random.default_rng([zlib.crc32(shown[0].tobytes()), copy])
        camera = Camera(draws, split.config.fps, dark=(number + copy) % 3 == 0)
        pictures = np.stack([camera(frame[None])[0] for frame in shown])
        frames[video] = replace(part, frames=np.round(pictures * 65535).astype(np.uint16), file=None)
    return as_shipped(replace(split, frames=frames))


def untrained(split: Split, seed: int) -> dict[str, np.ndarray]:
    """Random weights. Their normalization sees some footage, without which deep random layers say little."""
    torch.manual_seed(seed)
    module = BackboneModule(split.config, 0)
    parts = []
    for video in split.train:
        part = split.frames[video]
        parts.append(ClickedSpan(part, split.clicks(video, len(part.frames) // split.config.snippet_frames), False))
    task = BackboneTask(module, parts, 0, split.config)
    for layer in module.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the plain mean of all batches
    module.train()
    with torch.no_grad():
        for step in range(FITTED):
            task.step_loss(step, np.random.default_rng([seed, step]))
    return embed(module.net.eval(), split)


def summary(split: Split) -> dict[str, np.ndarray]:
    """The columns of `backbone.net.motion_summary`."""
    rows = embed(BackboneNet(split.config).eval(), split)
    return {video: np.ascontiguousarray(found[:, split.config.dim :]) for video, found in rows.items()}


def changes(part: FrameSpan) -> np.ndarray:
    """How much every frame differs from the one before: float64 [T], mean absolute difference on 0..1."""
    frames = np.asarray(part.frames, np.float32) / 65535.0
    moved = np.abs(np.diff(frames, axis=0)).mean((1, 2))
    return np.concatenate([moved[:1], moved]).astype(np.float64)


def per_snippet(values: np.ndarray, size: int) -> np.ndarray:
    """[T] -> [S, size], the last snippet filled up with its last value."""
    short = -len(values) % size
    return np.concatenate([values, np.repeat(values[-1:], short)]).reshape(-1, size)


def cut_features(split: Split) -> dict[str, np.ndarray]:
    found = {}
    for video, part in split.frames.items():
        moved = changes(part)
        usual = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(moved, 5, "edge"), 11), axis=1)
        ratio = np.log((moved + 1e-3) / (usual + 1e-3))
        peak = per_snippet(ratio, split.config.snippet_frames).max(1)
        found[video] = np.stack([peak, (peak > 1.5).astype(float)], 1).astype(np.float32)
    return found


def energy_detections(split: Split) -> tuple[Detections, dict[str, np.ndarray]]:
    """Runs of the log-likelihood ratio of log energy, class's clicks against gaps; and the tracks [S, C]."""
    size, classes = split.config.snippet_frames, len(split.data.labels)
    energy = {v: np.log(per_snippet(changes(p), size).mean(1) + 1e-4) for v, p in split.frames.items()}
    samples = split.samples({v: e[:, None].astype(np.float32) for v, e in energy.items()})
    targets = even_targets(samples, recipes.for_videos().objective, classes)
    rows = np.concatenate([energy[v] for v in split.train])
    weight = np.concatenate(targets)
    mean, spread = np.zeros(classes + 1), np.zeros(classes + 1)
    for c in range(classes + 1):
        w = (weight[:, c] > 0).astype(float)
        mean[c] = np.average(rows, weights=w)
        spread[c] = np.sqrt(np.average((rows - mean[c]) ** 2, weights=w)) + 0.1
    tracks, parts = {}, []
    for v, video in enumerate(split.truth.videos):
        smooth = np.convolve(np.pad(energy[video], 1, "edge"), np.ones(3) / 3, "valid")
        density = -0.5 * ((smooth[:, None] - mean) / spread) ** 2 - np.log(spread)
        tracks[video] = 1 / (1 + np.exp(density[:, -1:] - density[:, :-1]))
        levels = np.arange(0.1, 0.95, 0.1)
        segments, label, _ = kernels.find_runs_many(tracks[video], levels)
        inside = [
            tracks[video][max(int(a + 0.5), 0) : int(b + 0.5) + 1, c].mean()
            for (a, b), c in zip(segments, label, strict=True)
        ]
        scores = np.array(inside).reshape(-1)
        for c in range(classes):
            mine = np.flatnonzero(label == c)
            kept = mine[kernels.nms(segments[mine], scores[mine], iou_threshold=0.4)]
            times = (segments[kept] + 0.5) * split.stride_s
            parts.append((np.full(len(kept), v), np.full(len(kept), c), times, scores[kept]))
    video, label, segments, scores = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Detections(video.astype(np.int64), label.astype(np.int64), segments, scores), tracks


def located(
    split: Split,
    features: dict[str, np.ndarray],
    seed: int,
    *,
    clicks_seen: bool = False,
    copies: Sequence[dict[str, np.ndarray]] = (),
) -> tuple[Detections, dict[str, np.ndarray], Any]:
    """Locator and head of the default for videos on some features: what they find, and the class tracks."""
    samples = tuple(replace(s, copies=tuple(each[s.video] for each in copies)) for s in split.samples(features))
    clicks = sum(len(s.clicks) for s in samples)
    recipe = recipes.for_videos(clicks, clicks_seen=clicks_seen).model_copy(update={"seed": seed})
    made = TrainingSet(split.data.name, split.data.labels, split.stride_s, samples[0].features.shape[1], samples)
    with tempfile.TemporaryDirectory() as folder:
        train_run(made, recipe, Path(folder) / "run", quiet=True)
        run = load_run(Path(folder) / "run")
    localizer: Localizer = localizer_of(run)
    events = {v: localizer.localize(features[v], stream=v) for v in split.test}
    tracks = {v: localizer.backend.locate(features[v])[0] for v in split.test}
    return Detections.from_events(events, split.truth), tracks, events


def told_apart(split: Split, tracks: dict[str, np.ndarray]) -> float:
    """Area under the curve of the mean class track over units of video: actions of a class against all other units.

    Mean over classes. A unit lies between two neighboring borders (of actions, and cuts); BORDER_S next to each is
    left out. So borders are given, and units are about as long in actions as elsewhere.
    """
    cuts = {v: np.flatnonzero(f[:, 1] > 0) * split.stride_s for v, f in cut_features(split).items()}
    areas = []
    for c in range(len(split.data.labels)):
        inside, outside = [], []
        for v, video in enumerate(split.truth.videos):
            track = tracks[video][:, c]
            mine = split.truth.segments[(split.truth.video == v) & (split.truth.label == c)]
            every = split.truth.segments[split.truth.video == v]
            edges = np.unique(np.concatenate([[0.0, len(track) * split.stride_s], every.ravel(), cuts[video]]))
            for a, b in pairwise(edges):
                first, last = int(np.ceil((a + BORDER_S) / split.stride_s)), int((b - BORDER_S) / split.stride_s)
                if last > first:
                    middle = (a + b) / 2
                    acts = bool(((mine[:, 0] <= middle) & (middle <= mine[:, 1])).any())
                    (inside if acts else outside).append(track[first:last].mean())
        if inside and outside:
            wins = np.subtract.outer(np.array(inside), np.array(outside))
            areas.append(float((wins > 0).mean() + 0.5 * (wins == 0).mean()))
    return float(np.mean(areas))


def open_split(folder: Path, config: BackboneConfig, frames: Path, fold: str) -> Split:
    data = Dataset.open(folder, need_features=False)
    train, test = data.train, data.test
    if fold:
        k, n = (int(x) for x in fold.split("/"))
        test = tuple(v for i, v in enumerate(data.train) if i % n == k)
        train = tuple(v for v in data.train if v not in test)
    store = FrameStore(frames, config.spec())
    found = {}
    for video in (*train, *test):
        store.add(video, data.video_file(video))
        (found[video],) = store.spans(video)
    return Split(data, config, train, test, found, store, read_truth(data.truth_file, test, data.labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--rows", default="learned,footage,augmented,shipped,random,summary,energy,cuts")
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--fold", default="")
    parser.add_argument("--config", type=Path, help="recipe of the backbone")
    add_json(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = BackboneConfig() if given.config is None else BackboneConfig.model_validate_json(given.config.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        split = open_split(given.data, config, given.frames or Path(temporary), given.fold)
        print("| row | seeds | mAP 0.1:0.7 | each seed | mAP@0.5 | per class | told apart | s a seed |", flush=True)
        print("|---|---|---|---|---|---|---|---|", flush=True)
        seeds = [int(s) for s in given.seeds.split(",")]
        records = {row: report(row, split, seeds, given.events) for row in given.rows.split(",")}
    save(given.json, rows_of(records))


def report(row: str, split: Split, seeds: list[int], events: Path | None) -> dict[str, float]:
    """Print the row of one kind of features, and return its numbers by name."""
    results, apart, began = [], [], time.perf_counter()
    for seed in seeds[:1] if row in ("energy",) else seeds:
        said: Any = None
        if row == "energy":
            found, tracks = energy_detections(split)
        else:
            make = {
                "learned": lambda s: learned(split, s, clicks=True),
                "footage": lambda s: learned(split, s, clicks=False),
                "augmented": lambda s: as_shipped(split),
                "shipped": lambda s: as_shipped(split),
                "random": lambda s: untrained(split, s),
                "summary": lambda s: summary(split),
                "cuts": lambda s: cut_features(split),
            }[row]
            copies = (
                [altered(split, copy) for copy in range(1, recipes.AUGMENTED_COPIES + 1)] if row == "augmented" else []
            )
            found, tracks, said = located(split, make(seed), seed, clicks_seen=row == "learned", copies=copies)
        results.append(evaluate(split.truth, found).to_record(per_class=True))
        apart.append(told_apart(split, tracks))
        if events is not None and said is not None and seed == seeds[0]:
            events.mkdir(parents=True, exist_ok=True)
            lines = [e.to_json() for video in split.test for e in said[video]]
            (events / f"{row}.jsonl").write_text("\n".join(lines) + "\n")
            (events / f"{row}.json").write_text(json.dumps(results[-1]))
    spent = (time.perf_counter() - began) / len(results)
    means = [r["map"]["average"] for r in results]
    classes = ", ".join(
        f"{label} {np.mean([r['per_class'][label]['average'] for r in results]):.3f}"
        for label in split.data.labels
        if label in results[0]["per_class"]
    )
    half = np.mean([r["map"]["0.5"] for r in results])
    each = " ".join(f"{m:.3f}" for m in means)
    print(
        f"| {row} | {len(results)} | {np.mean(means):.3f} | {each} | {half:.3f} | {classes} | {np.mean(apart):.3f} "
        f"| {spent:.0f} |",
        flush=True,
    )
    return {
        "mAP 0.1:0.7": float(np.mean(means)),
        "mAP@0.5": float(half),
        "told apart": float(np.mean(apart)),
        "each seed: spent_s": spent,
    }


if __name__ == "__main__":
    main()

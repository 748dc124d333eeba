"""The bundle that ships, on procedural videos of seeds that it never saw: offline, at a deadline, and what it confuses.

    python benchmarks/default_bundle.py [--bundle default] [--count 50] [--seed 2000001] [--videos DIR] [--train DIR]

mAP averaged over tIoU 0.1:0.7, offline and of what a stream had said 1 s after the end of each action. Confusion: for
every class the share of its actions that are found (tIoU 0.3, above the score at which F1 is best), the share of its
near misses (motions that imitate the class and are none) that are taken for it, and the class most often said
instead. Beside it a linear model on mean color, trained on the clicks of --train (the videos that
`benchmarks/make_default_bundle.py --work` leaves; without it, as many new ones).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from punctum import kernels
from punctum.runtime import Bundle, Dataset, Localizer, evaluate
from punctum.runtime.datasets.dataset import Truth, read_truth
from punctum.runtime.datasets.recordings import feature_reader
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.evaluation.online import Claims, best_operating_point, evaluate_claims, replay
from punctum.runtime.features.features import Features
from punctum.runtime.live import LiveOptions
from punctum.runtime.synthetic.video import write_videos
from punctum.runtime.video import Gap, open_frames
from punctum.training import load_run, localizer_of, train_run
from punctum.training.config import LocatorConfig, TrainConfig
from punctum.training.data.labels import locate_clicks
from punctum.training.data.videos import Sample, TrainingSet
from result_file import add_json, rows_of, save

TIOU = 0.3
DELAY_S = 1.0
FPS, SIZE = 10.0, 2  # mean color: frames a second, frames of a snippet


def everything(data: Dataset) -> Truth:
    """Truth of all videos: none of them was trained on."""
    return read_truth(data.truth_file, (*data.train, *data.test), data.labels)


def confusion(data: Dataset, truth: Truth, found: Detections) -> list[str]:
    """Lines of a Markdown table."""
    threshold = best_operating_point(truth, found, TIOU).score
    aloud = found.scores >= threshold
    database = json.loads(data.truth_file.read_text())["database"]
    lines = [
        f"score from {threshold:.3f} on",
        "",
        "| class | found | near misses taken for it | instead |",
        "|---|---|---|---|",
    ]
    for c, label in enumerate(truth.labels):
        hits, total, instead = 0, 0, dict.fromkeys(truth.labels, 0)
        fooled, near = 0, 0
        for v, video in enumerate(truth.videos):
            mine = aloud & (found.video == v)
            wanted = truth.segments[(truth.video == v) & (truth.label == c)]
            total += len(wanted)
            if len(wanted) and mine.any():
                overlap = kernels.segment_iou(wanted, found.segments[mine])
                same = (overlap * (found.label[mine] == c)).max(1) >= TIOU
                hits += int(same.sum())
                for row in np.flatnonzero(~same):
                    k = int(overlap[row].argmax())
                    if overlap[row, k] >= TIOU:
                        instead[truth.labels[int(found.label[mine][k])]] += 1
            wrong = [n["segment"] for n in database[video].get("near_misses", ()) if n["label"] == label]
            near += len(wrong)
            named = mine & (found.label == c)
            if wrong and named.any():
                overlap = kernels.segment_iou(np.array(wrong, float), found.segments[named])
                fooled += int((overlap.max(1) >= TIOU).sum())
        most = max(instead, key=lambda name: instead[name])
        said = f"{most} {instead[most]}/{total}" if instead[most] else ""
        lines.append(f"| {label} | {hits}/{total} | {fooled}/{near} | {said} |")
    return lines


def mean_color(path: Path) -> np.ndarray:
    """float32 [T, 3]: mean color of every snippet."""
    source = open_frames(str(path), fps=FPS)
    try:
        rows = [item.image.mean((0, 1)) for item in source.frames() if item is not None and not isinstance(item, Gap)]
    finally:
        source.close()
    whole = len(rows) // SIZE * SIZE
    return np.array(rows[:whole]).reshape(-1, SIZE, 3).mean(1).astype(np.float32)


def linear(train: Path, data: Dataset, truth: Truth) -> float:
    """mAP of a linear layer on mean color, learned from clicks."""
    stride, learn = SIZE / FPS, Dataset.open(train, need_features=False)
    points, samples = learn.points(), []
    for video in learn.train:
        rows = mean_color(learn.video_file(video))
        mine = points.get(video, [])
        times, labels = [p.time_s for p in mine], [p.label for p in mine]
        clicks = locate_clicks(times, labels, snippets=len(rows), stride_s=stride, start_s=0.0, video=video)
        samples.append(Sample(video, rows, 0.0, clicks))
    recipe = TrainConfig(locator=LocatorConfig(hidden=(), dropout=0.0), partners=(), center=None)
    made = TrainingSet(learn.name, learn.labels, stride, 3, tuple(samples))
    with tempfile.TemporaryDirectory() as work:
        train_run(made, recipe, Path(work) / "run", quiet=True)
        localizer = localizer_of(load_run(Path(work) / "run"))
    events = {v: localizer.localize(mean_color(data.video_file(v)), stream=v) for v in truth.videos}
    return evaluate(truth, Detections.from_events(events, truth)).average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="default")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=2_000_001)
    parser.add_argument("--videos", type=Path, help="judge on these instead of making some")
    parser.add_argument("--train", type=Path, help="videos for the linear model")
    add_json(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        folder = given.videos or Path(work) / "videos"
        if given.videos is None:
            write_videos(folder, count=given.count, seed=given.seed)
        data = Dataset.open(folder, need_features=False)
        truth = everything(data)
        bundle = Bundle.load(given.bundle)
        localizer = Localizer(bundle)
        read = feature_reader(data, bundle)
        began = time.perf_counter()
        features: dict[str, Features] = {video: read(video) for video in truth.videos}
        media = sum(f.duration_s for f in features.values())
        spent = (time.perf_counter() - began) / media
        offline = {v: localizer.localize(f, stream=v) for v, f in features.items()}
        found = Detections.from_events(offline, truth)
        record = evaluate(truth, found).to_record(per_class=True)
        said = Claims.from_events(
            {v: replay(localizer, f, stream=v, live=LiveOptions(max_delay_s=DELAY_S)) for v, f in features.items()},
            truth,
        )
        row = evaluate_claims(
            truth, said, DELAY_S, min_score=best_operating_point(truth, found, TIOU).score, hours=media / 3600
        )
        online = row.to_record(per_class=True)
        print(f"{bundle.id}: {len(truth.videos)} videos, {media:.0f} s, {len(truth.label)} actions")
        print(f"from video to features: {spent:.4f} s a second of media\n")
        print("| | mAP 0.1:0.7 | @0.3 | @0.5 |\n|---|---|---|---|")
        for name, scores in (("offline", record["map"]), (f"{DELAY_S:g} s after the end", online["map"])):
            print(f"| {name} | {scores['average']:.3f} | {scores['0.3']:.3f} | {scores['0.5']:.3f} |", flush=True)
        print(", ".join(f"{label} {scores['average']:.3f}" for label, scores in record["per_class"].items()), "\n")
        print("\n".join(confusion(data, truth, found)), flush=True)
        train = given.train
        if train is None:
            train = Path(work) / "train"
            write_videos(train, count=60, seed=3)
        plain = linear(train, data, truth)
        print(f"\nlinear on mean color: mAP {plain:.3f}")
        measured = {
            "offline": record["map"],
            f"{DELAY_S:g} s after the end": online["map"],
            "per class": {label: scores["average"] for label, scores in record["per_class"].items()},
            "linear on mean color": plain,
            "from video to features, a second of media: spent_s": spent,
        }
        save(given.json, rows_of(measured))


if __name__ == "__main__":
    main()

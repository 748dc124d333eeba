"""Accuracy, ablations and the alignment figure on a data set of features.

    python benchmarks/accuracy.py DATA [--splits split_1,split_2] [--seeds 0,1,2] [--figure alignment.svg]
    python benchmarks/accuracy.py DATA --points points_human_1.csv,points_human_2.csv --train-list train_human.txt

Trains every recipe from the clicks of the training videos, judges it on the test videos (mAP averaged over tIoU
0.1:0.7) and prints a Markdown table; several splits are averaged. Every post-processing row of one recipe uses the
same networks. --quick leaves out the published heads and LACP.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from punctum.runtime import Dataset, Localizer, evaluate
from punctum.runtime.bundle.config import Fusion, PostProcess
from punctum.runtime.evaluation.alignment import Alignment, alignment, plot_alignment
from punctum.runtime.evaluation.average_precision import Detections
from punctum.training import load_run
from punctum.training.config import CenterConfig, CenterObjective, TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine.trainer import train_run
from punctum.training.models.torch_backend import TorchBackend
from punctum.training.recipes import with_lacp, with_published_head
from result_file import Row, add_json, save

OURS = Fusion(center=1.0, contrast=1.0)
CONTRAST = Fusion(contrast=1.0)
PUBLISHED = Fusion(class_probability=1.0, attention=1.0, center=1.0, contrast=0.0)
GATELESS_BASE = Fusion(class_probability=1.0, attention=1.0, contrast=0.0)

BEFORE, AFTER = "outer-inner contrast alone (no CSL, no ABA)", "+ chosen on held-out videos (default)"
Setting = tuple[Fusion, bool] | None
"""Fusion and boundary adaptation; None: what the training has chosen."""


def recipes(quick: bool) -> dict[str, tuple[TrainConfig, dict[str, Setting]]]:
    """Name -> recipe, and the rows it is judged by."""
    default = TrainConfig()
    own_rows: dict[str, Setting] = {
        BEFORE: (CONTRAST, False),
        "+ ABA (no CSL)": (CONTRAST, True),
        "+ center score (no ABA)": (OURS, False),
        "+ center score + ABA": (OURS, True),
        AFTER: None,
    }
    if quick:
        return {"default": (default, own_rows)}
    clicked = CenterObjective()
    points = default.model_copy(update={"center": CenterConfig(), "center_objective": clicked})
    frozen = points.model_copy(update={"center_objective": CenterObjective(update="none")})
    return {
        "default": (default, own_rows),
        "points": (points, {"center label of the clicks, points updated, ABA": (OURS, True)}),
        "frozen": (frozen, {"center label of the clicks, no point update, ABA": (OURS, True)}),
        "published": (
            with_published_head(default),
            {
                "published head: class x attention": (GATELESS_BASE, False),
                "published head: class x attention x center": (PUBLISHED, False),
                "published head: class x attention x center, ABA": (PUBLISHED, True),
            },
        ),
        "lacp": (
            with_lacp(default).model_copy(update={"center": None}),
            {"LACP objective, contrast, ABA": (CONTRAST, True)},
        ),
    }


def judge(run_folder: Path, data: Dataset, rows: dict[str, Setting]) -> dict[str, tuple[float, Alignment]]:
    """(mAP, alignment of confidence and best overlap) by row."""
    run, truth = load_run(run_folder), data.truth()
    found = {}
    for name, row in rows.items():
        post: PostProcess = run.post
        if row is not None:
            post = post.model_copy(update={"fusion": row[0], "adapt": row[1]})
        localizer = Localizer.from_parts(
            TorchBackend(run.locator, run.center),
            labels=run.labels,
            dim=run.feature_spec.dim,
            stride_s=run.feature_spec.stride_s,
            post=post,
            receptive_field=run.receptive_field,
        )
        events = {video: localizer.localize(data.features(video), stream=video) for video in truth.videos}
        made = Detections.from_events(events, truth)
        found[name] = (evaluate(truth, made).average, alignment(truth, made))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", default="")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--points", default="points.csv")
    parser.add_argument("--train-list", default="train.txt")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--figure", type=Path)
    add_json(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    splits = [s or None for s in arguments.splits.split(",")]
    print("| points | recipe | seeds | mAP 0.1:0.7 | spread | rank correlation | training s |")
    print("|---|---|---|---|---|---|---|")
    measured: list[Row] = []
    pictures: dict[str, Alignment] = {}  # of the first seed and split
    for points in arguments.points.split(","):
        for recipe, rows in recipes(arguments.quick).values():
            values: dict[str, list[list[float]]] = {name: [] for name in rows}
            ranks: dict[str, list[float]] = {name: [] for name in rows}
            spent = 0.0
            for seed in (int(s) for s in arguments.seeds.split(",")):
                per_split: dict[str, list[float]] = {name: [] for name in rows}
                for split in splits:
                    data = Dataset.open(arguments.data, split=split, points=points, train_list=arguments.train_list)
                    with tempfile.TemporaryDirectory() as folder:
                        began = time.perf_counter()
                        training = load_training_set(data, seed=seed)
                        train_run(training, recipe.model_copy(update={"seed": seed}), Path(folder) / "r", quiet=True)
                        spent = time.perf_counter() - began
                        for name, (value, aligned) in judge(Path(folder) / "r", data, rows).items():
                            per_split[name].append(value)
                            ranks[name].append(aligned.correlation)
                            pictures.setdefault(name, aligned)
                for name in rows:
                    values[name].append(per_split[name])
            for name in rows:
                means = np.array(values[name]).mean(axis=1)
                spread = f"{means.min():.3f}-{means.max():.3f}" if len(means) > 1 else ""
                measured += [
                    Row(f"{points}: {name}: mAP 0.1:0.7", float(means.mean()), ""),
                    Row(f"{points}: {name}: rank correlation", float(np.mean(ranks[name])), ""),
                    Row(f"{points}: {name}: training_s", spent, "s"),
                ]
                print(
                    f"| {points} | {name} | {arguments.seeds} | {means.mean():.3f} | {spread} "
                    f"| {np.mean(ranks[name]):.2f} | {spent:.0f} |",
                    flush=True,
                )
    save(arguments.json, measured)
    if arguments.figure:
        before, after = pictures[BEFORE], pictures[AFTER]
        plot_alignment(before, after, arguments.figure, names=("outer-inner contrast", "with the center score"))


if __name__ == "__main__":
    main()

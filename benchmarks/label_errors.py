"""How many injected label errors the first suspects of a run hold.

    python benchmarks/label_errors.py DATA [--split split_1] [--share 0.05] [--seeds 0] [--runs FOLDER] [--json FILE]

Of the clicks of the training videos, a share is removed, as many are moved by 3 to 6 action lengths, and as many get
another class, all in one points file. `punctum train` is run on it, and its suspected label errors are ranked. Of N
injected errors, the table gives the share that the first N and the first 2 N suspects name, and what a random order of
the same list would give. An injected error is named by a click that was moved or renamed, or by an event of the true
class where the click was. --runs keeps the runs, and uses finished ones. Needs gt.json for the training videos, which
only the injection reads.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from punctum.runtime import Dataset
from punctum.runtime.datasets.dataset import Point, Truth
from punctum.runtime.diagnosis.held_out import FILE, read_held_out
from punctum.runtime.diagnosis.suspects import Suspect, find_suspects
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine.trainer import train_run
from result_file import Row, add_json, save

KINDS = ("removed", "moved", "renamed")
NEAR_S = 0.05


@dataclass(frozen=True)
class Injected:
    """One label error: the true class and time of a click, and the class and time in the points file."""

    kind: str
    video: str
    label: str
    time_s: float
    written_label: str
    written_s: float

    def named_by(self, suspect: Suspect, slack_s: float) -> bool:
        """Whether looking at this suspect reveals the error."""
        if suspect.video != self.video:
            return False
        clicked = suspect.clicked == self.written_label and abs(suspect.time_s - self.written_s) < NEAR_S
        if self.kind != "removed" and clicked:
            return True
        there = suspect.start_s - slack_s <= self.time_s <= suspect.end_s + slack_s
        return suspect.found == self.label and there


def inject(
    data: Dataset, truth: Truth, rng: np.random.Generator, share: float
) -> tuple[dict[str, list[Point]], list[Injected], float]:
    """The clicks with errors, the errors, and the median length of an action."""
    clean = data.points()
    every = [(video, k) for video in data.train for k in range(len(clean.get(video, ())))]
    lengths = truth.segments[:, 1] - truth.segments[:, 0]
    typical = float(np.median(lengths))
    clicks = {video: list(points) for video, points in clean.items()}
    count, order, removed = round(share * len(every)), iter(rng.permutation(len(every))), set()
    errors: list[Injected] = []
    for kind in KINDS:
        done = 0
        while done < count:
            video, k = every[next(order)]
            old = clean[video][k]
            label, time_s = old.label, old.time_s
            if kind == "removed":
                removed.add((video, k))
            elif kind == "renamed":
                label = int(rng.choice([c for c in range(len(data.labels)) if c != label]))
            else:
                moved = _elsewhere(data, truth, video, old, typical, rng)
                if moved is None:
                    continue
                time_s = moved
            clicks[video][k] = Point(label, time_s)
            errors.append(Injected(kind, video, data.labels[old.label], old.time_s, data.labels[label], time_s))
            done += 1
    kept = {v: [p for k, p in enumerate(points) if (v, k) not in removed] for v, points in clicks.items()}
    return kept, errors, typical


def _elsewhere(
    data: Dataset, truth: Truth, video: str, old: Point, typical: float, rng: np.random.Generator
) -> float | None:
    """A time 3 to 6 action lengths away, in the video and in no action of the class; None if none is found."""
    own = (truth.video == truth.videos.index(video)) & (truth.label == old.label)
    starts, ends = truth.segments[own].T
    duration = data.features(video).duration_s
    for _ in range(50):
        time_s = old.time_s + float(rng.choice([-1, 1]) * rng.uniform(3, 6)) * typical
        inside = np.any((starts - typical / 2 <= time_s) & (time_s <= ends + typical / 2))
        if 0 <= time_s < duration and not inside:
            return time_s
    return None


def write_dataset(source: Path, target: Path, clicks: dict[str, list[Point]], labels: Sequence[str]) -> None:
    """The data set with other clicks: links to everything else."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.resolve().iterdir():
        link = target / entry.name
        if entry.name != "points.csv" and not link.is_symlink():
            link.symlink_to(entry)
    with (target / "points.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["class", "video_id", "time_s"])
        writer.writerows(
            [labels[p.label], video, f"{p.time_s:.6f}"] for video, points in clicks.items() for p in points
        )


def named(suspects: Sequence[Suspect], errors: Sequence[Injected], slack_s: float) -> set[int]:
    """Indices of the errors that these suspects name."""
    return {k for k, error in enumerate(errors) if any(error.named_by(s, slack_s) for s in suspects)}


def at_random(
    suspects: Sequence[Suspect], errors: Sequence[Injected], slack_s: float, size: int, rng: np.random.Generator
) -> float:
    """The share of the errors that `size` suspects in random order name, the mean of 200 orders."""
    naming = [{k for k, e in enumerate(errors) if e.named_by(s, slack_s)} for s in suspects]
    shares = []
    for _ in range(200):
        chosen = rng.permutation(len(naming))[:size]
        shares.append(len(set().union(*(naming[i] for i in chosen))) / len(errors))
    return float(np.mean(shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--runs", type=Path)
    add_json(parser)
    arguments = parser.parse_args()
    rows: list[Row] = []
    print("| data set | seed | clicks | errors | removed | moved | renamed | first N | first 2 N | random order, N |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for seed in (int(s) for s in arguments.seeds.split(",")):
            clean = Dataset.open(arguments.data, split=arguments.split)
            name = f"{clean.name} {arguments.split or ''}".strip()
            rng = np.random.default_rng([seed, 0x1ABE1])
            clicks, errors, typical = inject(clean, clean.truth("train"), rng, arguments.share)
            base = (arguments.runs or Path(scratch)) / f"{name.replace(' ', '-')}-{seed}"
            write_dataset(arguments.data, base / "data", clicks, clean.labels)
            data = Dataset.open(base / "data", split=arguments.split)
            if not (base / "run" / FILE).is_file():
                recipe = TrainConfig().model_copy(update={"seed": seed})
                resume = (base / "run").is_dir()
                train_run(
                    load_training_set(data, seed=seed), recipe, base / "run", quiet=True, resume=resume, threads=1
                )
            found = read_held_out(base / "run")
            suspects = find_suspects(found.events(), {v: data.points().get(v, []) for v in found.videos}, data.labels)
            size, slack = len(errors), typical / 4
            first = named(suspects[:size], errors, slack)
            twice = named(suspects[: 2 * size], errors, slack)
            kinds = [sum(errors[k].kind == kind for k in first) / sum(e.kind == kind for e in errors) for kind in KINDS]
            chance = at_random(suspects, errors, slack, size, rng)
            total = sum(len(clicks.get(v, ())) for v in clean.train)
            shares = [*kinds, len(first) / size, len(twice) / size, chance]
            print(f"| {name} | {seed} | {total} | {size} |", " | ".join(f"{x:.2f}" for x in shares), "|", flush=True)
            titles = [*KINDS, "first N", "first 2 N", "random order"]
            rows += [Row(f"{name} seed {seed}: {t}", x, "") for t, x in zip(titles, shares, strict=True)]
    save(arguments.json, rows, details=json.loads(json.dumps({"share": arguments.share})))


if __name__ == "__main__":
    main()

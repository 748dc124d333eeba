"""Kernels against their NumPy twins and the published way, in one run: ratios, not seconds, are the result.

python benchmarks/kernels.py [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from punctum import kernels
from punctum.kernels import reference
from punctum.kernels.reference import published
from punctum.kernels.reference.sequence import beam_search
from rich.console import Console
from rich.table import Table

CLASSES = 20


def best(call: Callable[[], object], repeat: int = 3, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the fastest of `repeat` calls."""
    seconds = []
    for _ in range(repeat):
        began = clock()
        call()
        seconds.append(clock() - began)
    return min(seconds)


def video(proposals: int, seconds: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Proposals in nested clusters, as thresholds make them."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, seconds, max(1, proposals // 10))
    center = rng.choice(centers, proposals) + rng.normal(0, 0.5, proposals)
    length = rng.lognormal(1.0, 0.6, proposals)
    return np.stack([center - length / 2, center + length / 2], 1), rng.random(proposals)


def suppression(count: int, quick: bool) -> dict[str, float]:
    """ABA and soft-NMS of `count` proposals for each of 20 classes, one video of count / 2 seconds."""
    cases = [video(count, count / 2, seed) for seed in range(CLASSES)]
    segments = np.concatenate([c[0] for c in cases])
    scores = np.concatenate([c[1] for c in cases])
    offsets = np.arange(CLASSES + 1) * count

    def ours() -> None:
        moved = kernels.adapt_groups(segments, scores, offsets)
        kernels.suppress_groups(moved, scores, offsets)

    def twin(classes: int) -> None:
        for seg, sc in cases[:classes]:
            reference.soft_nms(reference.adapt_boundaries(seg, sc), sc)

    classes = 2 if quick or count > 1000 else CLASSES
    return {"kernel_s": best(ours, 5), "twin_s": best(lambda: twin(classes), 1) * CLASSES / classes}


def growth() -> float:
    """CPU time of 10,000 proposals in a ten times longer video over that of 1,000.

    CPU time, since on a busy machine only the longer run is interrupted.
    """
    small, large = video(1000, 500), video(10_000, 5000)

    def run(case: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(5):
            kernels.soft_nms(kernels.adapt_boundaries(*case), case[1])

    return best(lambda: run(large), 9, time.thread_time) / best(lambda: run(small), 9, time.thread_time)


def proposals(length: int = 400) -> dict[str, float]:
    """Runs and contrast of 20 class tracks at 19 thresholds, against upsampling 24 times."""
    rng = np.random.default_rng(0)
    noise = rng.random((length + 6, CLASSES))
    tracks = (sum(noise[k : k + length] for k in range(7)) / 7).astype(np.float32)
    thresholds = np.arange(0.05, 0.96, 0.05)

    def ours() -> None:
        segments, labels, _ = kernels.find_runs_many(tracks, thresholds)
        kernels.outer_inner_contrast(tracks, segments, labels=labels)

    def theirs() -> None:
        for c in range(CLASSES):
            published.proposals_of_track(tracks[:, c], thresholds)

    return {"kernel_s": best(ours, 5), "twin_s": best(theirs, 1)}


def sequence(videos: int = 12) -> dict[str, float]:
    """Optimal action/background sequences of a small data set, against the published beam."""
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(videos):
        length = 250
        track = rng.random((length, 2)) * 0.2
        places = np.arange(12, length - 12, 25)
        for place in places:
            track[place - 4 : place + 5, 0] += 0.6
        kinds, seeds = [0], [0]
        for place in places:
            kinds += [1, 0]
            seeds += [int(place), int(place) + 12]
        action, background = np.zeros((length, 1)), np.zeros(length)
        for kind, seed in zip(kinds, seeds, strict=True):
            (action[:, 0] if kind else background)[seed] = 1
        cases.append((track, action, background, kinds, seeds))

    def ours() -> None:
        for track, action, background, _, _ in cases:
            kernels.search_sequence(track, action, background)

    def theirs() -> None:
        for track, _, _, kinds, seeds in cases:
            beam_search(track[:, 0], kinds, seeds, seeds)

    return {"kernel_s": best(ours, 5), "twin_s": best(theirs, 1)}


def average_precision(detections: int = 30_000) -> dict[str, float]:
    """ActivityNet AP at seven thresholds: 200 videos, 20 classes."""
    rng = np.random.default_rng(0)
    truth_start = rng.uniform(0, 200, 3000)
    truth = np.stack([truth_start, truth_start + rng.lognormal(1, 0.5, 3000)], 1)
    which = rng.integers(0, 3000, detections)
    segments = truth[which] + rng.normal(0, 1.0, (detections, 2))
    segments = np.sort(segments, axis=1)
    owner, label = rng.integers(0, 200, 3000), rng.integers(0, CLASSES, 3000)
    arguments = (owner, label, truth, owner[which], label[which], segments, rng.random(detections))
    levels = np.arange(0.1, 0.75, 0.1)
    size = {"videos": 200, "classes": CLASSES}
    return {
        "kernel_s": best(lambda: kernels.average_precision(*arguments, levels, **size), 5),
        "twin_s": best(lambda: reference.average_precision(*arguments, levels, **size), 1),
    }


def main() -> None:
    """Run all and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    kernels.warm_up()
    rows: dict[str, dict[str, float]] = {}
    for count in (200, 1000, 3000):
        rows[f"ABA + soft-NMS, {count} proposals x {CLASSES} classes"] = suppression(count, options.quick)
    rows["proposals and contrast of a video's tracks (published way)"] = proposals()
    rows["sequence search (published beam)"] = sequence()
    rows["average precision, 30,000 detections"] = average_precision()
    for row in rows.values():
        row["ratio"] = row["twin_s"] / row["kernel_s"]
    table = Table("", "kernel", "NumPy twin or published way", "ratio")
    for name, row in rows.items():
        table.add_row(name, f"{1e3 * row['kernel_s']:.2f} ms", f"{1e3 * row['twin_s']:.0f} ms", f"{row['ratio']:.0f}x")
    console = Console()
    console.print(table)
    factor = growth()
    console.print(f"10,000 proposals of a ten times longer video cost {factor:.1f} times 1,000 proposals")
    console.print(f"{platform.processor() or platform.machine()}, numba {numba.__version__}, numpy {np.__version__}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "growth": factor}, indent=1) + "\n")


if __name__ == "__main__":
    main()

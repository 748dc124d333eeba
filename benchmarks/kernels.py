"""Kernels against their NumPy twins and the published way, in one run: ratios, not seconds, are the result.

python benchmarks/kernels.py [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
from punctum import kernels
from punctum.kernels import reference
from punctum.kernels.reference import published
from punctum.kernels.reference.sequence import beam_search
from result_file import Row, add_json, save
from rich.console import Console
from rich.table import Table

CLASSES = 20


def best(call: Callable[[], object], repeat: int = 3, clock: Callable[[], float] = time.thread_time) -> float:
    """CPU seconds of the fastest of `repeat` calls: on a busy machine, time on the clock is that of others too."""
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
    """ABA and soft-NMS of `count` proposals that 20 classes share, as a rescoring head does; count / 2 seconds."""
    segments = video(count, count / 2)[0]
    scores = np.stack([video(count, count / 2, seed)[1] for seed in range(CLASSES)], axis=1)
    repeated, offsets = np.concatenate([segments] * CLASSES), np.arange(CLASSES + 1) * count
    flat = np.ascontiguousarray(scores.T).reshape(-1)

    def single() -> tuple[np.ndarray, ...]:
        moved = kernels.adapt_groups(repeated, flat, offsets)
        index, decayed, ends = kernels.suppress_groups(moved, flat, offsets)
        return moved[index], decayed, index % count, ends

    def twin(label: int) -> None:
        reference.settle_classes(segments, scores[:, label : label + 1])

    for mine, wanted in zip(kernels.settle_classes(segments, scores), single(), strict=True):
        if not np.array_equal(mine, wanted):
            raise SystemExit("kernels: classes together and one at a time differ")
    classes = 2 if quick or count > 1000 else CLASSES  # they cost the same: the fastest of these counts
    shared = best(lambda: kernels.settle_classes(segments, scores), 25)
    one_by_one, sparse = best(single, 15), best(lambda: kernels.settle_classes(segments, scores, min_score=0.3), 15)
    twin_s = CLASSES * min(best(lambda c=label: twin(c), 1) for label in range(classes))
    return {"kernel_s": shared, "twin_s": twin_s, "single_s": one_by_one, "sparse_s": sparse}


def growth_of_classes() -> float:
    """As `growth`, of the 20 classes together."""
    cases = []
    for count in (1000, 10_000):
        scores = np.stack([video(count, count / 2, seed)[1] for seed in range(CLASSES)], axis=1)
        cases.append((video(count, count / 2)[0], scores))
    small, large = (best(lambda c=case: kernels.settle_classes(*c), 15) for case in cases)
    return large / small


def growth() -> float:
    """CPU time of 10,000 proposals in a ten times longer video over that of 1,000.

    CPU time, since on a busy machine only the longer run is interrupted.
    """
    small, large = video(1000, 500), video(10_000, 5000)

    def run(case: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(5):
            kernels.soft_nms(kernels.adapt_boundaries(*case), case[1])

    return best(lambda: run(large), 9) / best(lambda: run(small), 9)


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
    add_json(parser)
    parser.add_argument("--quick", action="store_true", help="fewer classes of the slow twins")
    options = parser.parse_args()
    kernels.warm_up()
    found: dict[str, dict[str, float]] = {}
    for count in (200, 1000, 3000):
        found[f"ABA + soft-NMS, {count} proposals x {CLASSES} classes"] = suppression(count, options.quick)
    found["proposals and contrast of a video's tracks"] = proposals()
    found["sequence search"] = sequence()
    found["average precision, 30,000 detections"] = average_precision()
    table = Table("", "kernel", "NumPy twin or published way", "ratio")
    rows = []
    for name, row in found.items():
        published = name.startswith(("proposals", "sequence"))
        baseline = "the published way" if published else "the NumPy twin"
        ratio = row["twin_s"] / row["kernel_s"]
        rows.append(Row(name, 1e3 * row["kernel_s"], "ms", None, ratio, baseline))
        table.add_row(name, f"{1e3 * row['kernel_s']:.2f} ms", f"{1e3 * row['twin_s']:.0f} ms", f"{ratio:.0f}x")
        for key, what in (("single_s", "one class at a time"), ("sparse_s", "minimum score 0.3")):
            if key in row:
                other = row[key] / row["kernel_s"]
                rows.append(Row(f"{name}, {what}", 1e3 * row[key], "ms", None, other, "the first row of this size"))
                table.add_row(f"... {what}", f"{1e3 * row[key]:.2f} ms", "", f"{other:.2f} of the time")
    console = Console()
    console.print(table)
    longer = "10,000 proposals of a ten times longer video, against 1,000"
    for what, factor in (("one class", growth()), (f"{CLASSES} classes", growth_of_classes())):
        rows.append(Row(f"{longer}, {what}", factor, "x"))
        console.print(f"{longer}, {what}: {factor:.1f} times the CPU time")
    console.print(f"{kernels.form().name} kernels, numpy {np.__version__}, load {os.getloadavg()[0]:.1f}")
    save(options.json, rows)


if __name__ == "__main__":
    main()

"""Contact sheets of the hits, misses and false alarms of a bundle in real footage.

    python benchmarks/video_cases.py BUNDLE DATA --out DIR [--count 10] [--tiou 0.3] [--every fall] [--score S]

Detections are matched to truth one to one, the most confident first, at --tiou. An action counts as found when its
detection scores at least --score, by default the score at which F1 is best. Printed, and saved as one sheet a case:
  hit    the --count most confident detections that match
  miss   actions without a detection of that score, those with the least first
  alarm  the most confident detections without an action, until misses and alarms are --count together
  every  each action of the class --every, found or not

A sheet holds frames from one second before to one second after, with their times (green: inside the case's truth, or
inside the detection of an alarm in red), and a time line of truth and of detections with their scores. The images
show people of the data set: look at them, and keep them where the data is.
"""

from __future__ import annotations

import argparse
import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from punctum import kernels
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.datasets.recordings import feature_reader
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.evaluation.online import best_operating_point, matched
from punctum.runtime.video import Gap, open_frames
from result_file import add_json, rows_of, save

FRAMES, COLUMNS = 16, 8  # images per sheet and per row
AROUND_S = 1.0
LOOK_FPS = 15.0
GREEN, RED, BLUE, GRAY = "#2a9d4b", "#d1383d", "#2f6fb5", "#9a9a9a"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to look at. truth, detection: rows in the truth and the detections, -1 for none."""

    kind: str
    video: int
    label: int
    truth: int
    detection: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Truth and detections of the test videos, who matches whom, and the score from which detections count."""

    data: Dataset
    truth: Truth
    found: Detections
    taken: np.ndarray
    min_score: float

    def detection_of(self, truth: int) -> int:
        """The detection that matches, of whatever score, or -1."""
        rows = np.flatnonzero(self.taken == truth)
        return int(rows[0]) if len(rows) else -1

    def score(self, detection: int) -> float:
        return float(self.found.scores[detection]) if detection >= 0 else 0.0

    def iou(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return kernels.segment_iou(np.atleast_2d(a), np.atleast_2d(b))[0]


def judge(bundle: Path, folder: Path, tiou: float, min_score: float | None) -> Judged:
    """Run the bundle over the test videos as `punctum eval` does."""
    data = Dataset.open(folder, need_features=False)
    truth, loaded = data.truth("test"), Bundle.load(bundle)
    localizer, read = Localizer(loaded), feature_reader(data, loaded)
    events = {video: localizer.localize(read(video), stream=video) for video in truth.videos}
    found = Detections.from_events(events, truth)
    return Judged(
        data,
        truth,
        found,
        matched(truth, found, tiou),
        best_operating_point(truth, found, tiou).score if min_score is None else min_score,
    )


def choose(judged: Judged, count: int, every: str) -> tuple[list[Case], dict[str, dict[str, int]]]:
    truth, found = judged.truth, judged.found
    order = np.argsort(-found.scores, kind="stable")
    aloud = order[found.scores[order] >= judged.min_score]

    def of_detection(kind: str, k: int) -> Case:
        return Case(kind, int(found.video[k]), int(found.label[k]), int(judged.taken[k]), int(k))

    def of_truth(kind: str, g: int) -> Case:
        return Case(kind, int(truth.video[g]), int(truth.label[g]), g, judged.detection_of(g))

    hits = [of_detection("hit", k) for k in aloud if judged.taken[k] >= 0]
    alarms = [of_detection("alarm", k) for k in order if judged.taken[k] < 0]
    false = [c for c in alarms if judged.score(c.detection) >= judged.min_score]
    misses = [of_truth("miss", g) for g in range(len(truth.label))]
    misses = [c for c in misses if judged.score(c.detection) < judged.min_score]
    misses.sort(key=lambda c: judged.score(c.detection))
    print(
        f"{len(truth.label)} actions in {len(truth.videos)} videos; from score {judged.min_score:.3f} on: "
        f"{len(hits)} found, {len(misses)} missed, {len(false)} false alarms"
    )
    kinds = {"found": hits, "missed": misses, "false alarms": false}
    counts = {"all": {kind: len(cases) for kind, cases in kinds.items()}}
    for c, label in enumerate(truth.labels):
        told = counts[label] = {kind: sum(case.label == c for case in cases) for kind, cases in kinds.items()}
        print(f"  {label}: {told['found']} found, {told['missed']} missed, {told['false alarms']} false alarms")
    cases = hits[:count] + misses[:count] + alarms[: max(count - len(misses), 0)]
    if every:
        wanted = truth.labels.index(every)
        cases += [of_truth("every", int(g)) for g in np.flatnonzero(truth.label == wanted)]
    return cases, counts


def span(judged: Judged, case: Case) -> tuple[np.ndarray | None, np.ndarray | None]:
    return (
        judged.truth.segments[case.truth] if case.truth >= 0 else None,
        judged.found.segments[case.detection] if case.detection >= 0 else None,
    )


def describe(judged: Judged, case: Case) -> str:
    """One line: what is there, what was said, and what else was said in the same place."""
    truth, found = judged.truth, judged.found
    real, said = span(judged, case)
    parts = [f"{case.kind:5s} {truth.videos[case.video]} {truth.labels[case.label]}"]
    if real is not None:
        parts.append(f"truth {real[0]:.2f}-{real[1]:.2f}")
    if said is not None:
        parts.append(f"detection {said[0]:.2f}-{said[1]:.2f} score {judged.score(case.detection):.3f}")
    if real is not None and said is not None:
        parts.append(f"IoU {judged.iou(said, real)[0]:.2f}")
    where = real if real is not None else said
    beside = np.flatnonzero((found.video == case.video) & (found.scores >= judged.min_score))
    beside = beside[(beside != case.detection) & (judged.iou(where, found.segments[beside]) > 0.1)]
    if len(beside):
        loud = beside[np.argmax(found.scores[beside])]
        a, b = found.segments[loud]
        parts.append(f"also said: {truth.labels[found.label[loud]]} {a:.2f}-{b:.2f} score {judged.score(loud):.3f}")
    if real is None:
        near = np.flatnonzero(truth.video == case.video)
        near = near[judged.iou(said, truth.segments[near]) > 0.0] if len(near) else near
        parts.append(
            "there is: "
            + (
                ", ".join("{} {:.2f}-{:.2f}".format(truth.labels[truth.label[g]], *truth.segments[g]) for g in near)
                or "none"
            )
        )
    return "; ".join(parts)


def frames_at(path: Path, times: np.ndarray) -> list[np.ndarray]:
    """The frames nearest to the times, in one pass."""
    best: list[tuple[float, Any]] = [(math.inf, None)] * len(times)
    with closing(open_frames(str(path), fps=LOOK_FPS)) as source:
        for item in source.frames():
            if item is None or isinstance(item, Gap):
                continue
            for k, t in enumerate(times):
                if abs(item.at - t) < best[k][0]:
                    best[k] = (abs(item.at - t), item.image)
    return [image for _, image in best]


def sheet(judged: Judged, case: Case, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    truth, found = judged.truth, judged.found
    real, said = span(judged, case)
    spans = np.array([s for s in (real, said) if s is not None])
    first, last = max(spans.min() - AROUND_S, 0.0), spans.max() + AROUND_S
    times = np.linspace(first, last, FRAMES)
    rows = FRAMES // COLUMNS
    figure = plt.figure(figsize=(2.0 * COLUMNS, 1.75 * rows + 2.2), dpi=80)
    grid = figure.add_gridspec(
        rows + 1,
        COLUMNS,
        height_ratios=[1.6] * rows + [1.6],
        hspace=0.2,
        wspace=0.04,
        left=0.06,
        right=0.99,
        bottom=0.09,
    )
    inside = real if real is not None else said
    for k, image in enumerate(frames_at(judged.data.video_file(truth.videos[case.video]), times)):
        axis = figure.add_subplot(grid[k // COLUMNS, k % COLUMNS])
        axis.imshow(image)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{times[k]:.2f} s", fontsize=8, pad=2)
        on = inside is not None and inside[0] <= times[k] <= inside[1]
        for spine in axis.spines.values():
            spine.set(color=(GREEN if real is not None else RED) if on else "#dddddd", linewidth=4 if on else 1)
    axis = figure.add_subplot(grid[rows, :])
    for g in np.flatnonzero(truth.video == case.video):
        a, b = truth.segments[g]
        axis.barh(2 * truth.label[g] + 1, b - a, left=a, height=0.8, color=GREEN, alpha=1 if g == case.truth else 0.5)
    for k in np.flatnonzero(found.video == case.video):
        loud, mine = found.scores[k] >= judged.min_score, k == case.detection
        if not (loud or mine):
            continue
        (a, b), row = found.segments[k], 2 * found.label[k]
        colour = (BLUE if judged.taken[k] >= 0 else RED) if loud else GRAY
        axis.barh(row, b - a, left=a, height=0.8, color=colour, alpha=0.9 if mine else 0.45)
        axis.text(a, row, f"{found.scores[k]:.2f}", fontsize=7, va="center", clip_on=True)
    names = [text for label in truth.labels for text in (f"{label}: said", f"{label}: truth")]
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set(xlim=(first, last), ylim=(-0.7, len(names) - 0.3))
    axis.set_xlabel("seconds", fontsize=8)
    figure.suptitle(describe(judged, case), fontsize=9)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--tiou", type=float, default=0.3)
    parser.add_argument("--every", default="", help="a class of which every action is listed")
    parser.add_argument("--score", type=float, help="score from which a detection counts")
    add_json(parser)
    given = parser.parse_args()
    judged = judge(given.bundle, given.data, given.tiou, given.score)
    given.out.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, int] = {}
    cases, counts = choose(judged, given.count, given.every)
    save(given.json, rows_of(counts))
    for case in cases:
        numbers[case.kind] = numbers.get(case.kind, 0) + 1
        print(f"{numbers[case.kind]:2d} {describe(judged, case)}", flush=True)
        sheet(judged, case, given.out / f"{case.kind}{numbers[case.kind]:02d}.png")


if __name__ == "__main__":
    main()

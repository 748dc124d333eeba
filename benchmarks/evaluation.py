"""How fast detections are judged, and what post-processing does to real proposals.

    python benchmarks/evaluation.py [SHARED] [--json FILE]

SHARED is the folder with data/ (default: PUNCTUM_SHARED, or `shared` beside the checkout). It judges the 31,389
proposals of a published base locator (P-MIL) on the 210 test videos of THUMOS14, first as they are and then after hard
suppression, soft suppression and boundary adaptation with the base scores, per video and class. One snippet is 0.64 s.
The published evaluator took 48.7 s for the same file on the machine where its golden vectors were made; the ratio to a
plain evaluator in this run is printed beside it, because only ratios within one run carry over to other machines.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from punctum import kernels
from punctum.runtime.datasets.dataset import Dataset, Truth
from punctum.runtime.evaluation.average_precision import (
    THRESHOLDS,
    Detections,
    average_recall,
    evaluate,
    read_detections,
    recall,
)
from result_file import add_json, rows_of, save

PUBLISHED_EVALUATOR_S = 48.7
SNIPPET_S = 0.64


def groups_of(found: Detections) -> list[np.ndarray]:
    """Indices of the detections of each video and class."""
    key = found.video * (1 + found.label.max()) + found.label
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def hard(found: Detections, *, offset: float) -> Detections:
    kept = [
        g[kernels.nms(found.segments[g], found.scores[g], iou_threshold=0.7, length_offset=offset)]
        for g in groups_of(found)
    ]
    index = np.concatenate(kept)
    return Detections(found.video[index], found.label[index], found.segments[index], found.scores[index])


def soft(found: Detections, *, offset: float, adapt: bool = False) -> Detections:
    index, scores, segments = [], [], []
    for g in groups_of(found):
        moved = found.segments[g]
        if adapt:
            # 90 of the base scores are below zero, and as weights they could turn a segment round.
            moved = kernels.adapt_boundaries(moved, np.maximum(found.scores[g], 0.0), iou_threshold=0.4)
        order, decayed = kernels.soft_nms(moved, found.scores[g], sigma=0.3, length_offset=offset)
        index.append(g[order])
        scores.append(decayed)
        segments.append(moved[order])
    chosen = np.concatenate(index)
    return Detections(found.video[chosen], found.label[chosen], np.concatenate(segments), np.concatenate(scores))


def plain_evaluator(truth: Truth, found: Detections) -> float:
    """Average precision as the published evaluators compute it: NumPy inside, Python loops outside."""
    aps = []
    for label in range(len(truth.labels)):
        wanted = [np.flatnonzero((truth.label == label) & (truth.video == v)) for v in range(len(truth.videos))]
        mine = np.flatnonzero(found.label == label)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")]
        hits = np.zeros((len(THRESHOLDS), len(mine)))
        taken = np.zeros((len(THRESHOLDS), len(truth.label)), bool)
        for r, i in enumerate(mine):
            rivals = wanted[found.video[i]]
            if not len(rivals):
                continue
            a, b = found.segments[i], truth.segments[rivals]
            overlap = np.clip(np.minimum(a[1], b[:, 1]) - np.maximum(a[0], b[:, 0]), 0, None)
            ious = overlap / ((a[1] - a[0]) + (b[:, 1] - b[:, 0]) - overlap)
            for k, threshold in enumerate(THRESHOLDS):
                for q in np.argsort(-ious, kind="stable"):
                    if ious[q] < threshold:
                        break
                    if not taken[k, rivals[q]]:
                        taken[k, rivals[q]] = hits[k, r] = True
                        break
        for row in hits:
            precision = np.maximum.accumulate((np.cumsum(row) / np.arange(1, len(row) + 1))[::-1])[::-1]
            aps.append((precision * row).sum() / max(sum(map(len, wanted)), 1))
    return float(np.mean(aps))


def timed(call, repeats: int = 1):
    """Result and best seconds of `repeats` calls."""
    best, result = float("inf"), None
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - began)
    return result, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    beside = Path(__file__).resolve().parent.parent.parent / "shared"
    parser.add_argument("shared", nargs="?", type=Path, default=Path(os.environ.get("PUNCTUM_SHARED", beside)))
    add_json(parser)
    options = parser.parse_args()
    folder = options.shared / "data" / "thumos14"
    if not folder.is_dir():
        parser.error(f"no {folder}: give the folder that holds data/")
    truth = Dataset.open(folder, need_features=False).truth()
    found, read_s = timed(lambda: read_detections(folder / "detection_result_base_test.json", truth), 3)
    _, first_s = timed(lambda: evaluate(truth, found))
    result, judge_s = timed(lambda: evaluate(truth, found), 5)
    plain, plain_s = timed(lambda: plain_evaluator(truth, found))
    assert abs(plain - result.average) < 1e-9, (plain, result.average)
    rows = {
        "none": (found, 43.27),
        "hard .7, +1 s": (hard(found, offset=1.0), 42.49),
        "hard .7": (hard(found, offset=0.0), 42.73),
        "soft .3, +1 snippet": (soft(found, offset=SNIPPET_S), 43.15),
        "soft .3": (soft(found, offset=0.0), 43.11),
        "adapted .4, soft .3, +1 snippet": (soft(found, offset=SNIPPET_S, adapt=True), 43.51),
        "adapted .4, soft .3": (soft(found, offset=0.0, adapt=True), None),
    }
    record = {
        "detections": len(found),
        "read_s": read_s,
        "judge_first_s": first_s,
        "judge_s": judge_s,
        "plain_s": plain_s,
        "ratio_to_plain": plain_s / judge_s,
        "ratio_to_published": PUBLISHED_EVALUATOR_S / judge_s,
        "average_map": {
            name: {"here": round(100 * evaluate(truth, rows[name][0]).average, 2), "reference": rows[name][1]}
            for name in rows
        },
        "recall": recall(truth, found, (0.3, 0.5, 0.7)),
        "recall_any_class": recall(truth, found, (0.3, 0.5, 0.7), class_agnostic=True),
        "average_recall": average_recall(truth, found),
    }
    save(options.json, rows_of(record), details=record)
    print(f"read {read_s:.3f} s, first call {first_s:.3f} s, then {1e3 * judge_s:.1f} ms for {len(found)} detections")
    print(f"{record['ratio_to_plain']:.0f} x a plain evaluator ({plain_s:.2f} s), same result")
    print(f"{record['ratio_to_published']:.0f} x the published one ({PUBLISHED_EVALUATOR_S} s, another machine)")
    for name, row in record["average_map"].items():
        print(f"{name:34s} {row['here']:6.2f}   reference {row['reference']}")
    for name in ("recall", "recall_any_class", "average_recall"):
        print(name, {key: round(value, 3) for key, value in record[name].items()})


if __name__ == "__main__":
    main()

"""How well figures by clicks predict those by intervals: precision, recall and F1 of bundles on data sets with both.

    python benchmarks/click_agreement.py BUNDLE DATA [BUNDLE DATA ...] [--json FILE]

DATA may be FOLDER:split_1. Every bundle runs on the test videos. At its default minimum score the table gives
precision, recall and F1 by clicks and by tIoU 0.5, and F1 by tIoU 0.3 and by clicks with pseudo segments of the
bundle's own tracks (an event must also overlap the segment by a tIoU of 0.5). "Loss" is the F1 at tIoU 0.5 that is lost
by choosing, of the minima from 0.02 to 0.98, the one that is best by clicks instead of the one that is best by
intervals. "Rank" is the rank correlation of F1 over these minima. Clicks are those of the data set where all test
videos have some; otherwise one is drawn per action (normal, 0.2 of the length around the middle).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from punctum.runtime import Bundle, Localizer
from punctum.runtime.bundle.operating_point import OperatingPoint, minimum
from punctum.runtime.datasets.dataset import Dataset, Point, Truth
from punctum.runtime.datasets.recordings import feature_reader, open_recordings
from punctum.runtime.diagnosis.diagnose import truth_of_clicks
from punctum.runtime.diagnosis.judge import RIGHT, judge_by_clicks, judge_by_truth
from punctum.runtime.evaluation.alignment import rank_correlation
from punctum.runtime.evaluation.detections import Detections
from punctum.training.confidence.judge import judge
from punctum.training.data.labels import locate_clicks
from punctum.training.data.pseudo import align_clicks
from result_file import Row, add_json, save

GRID = np.round(np.arange(0.02, 0.99, 0.02), 2)
SPREAD = 0.2
JUDGES = ("clicks", "pseudo", "tIoU 0.3", "tIoU 0.5")


def clicks_of(data: Dataset, truth: Truth, seed: int = 0) -> tuple[dict[str, list[Point]], bool]:
    """Clicks of the test videos, and whether they are those of the data set."""
    known = data.points() if data.points_file.is_file() else {}
    clicked = {truth.videos[v] for v in truth.video}
    if all(known.get(video) for video in clicked):
        return {video: known.get(video, []) for video in truth.videos}, True
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[Point]] = {video: [] for video in truth.videos}
    for v, c, (start, end) in zip(truth.video, truth.label, truth.segments, strict=True):
        at = float(np.clip(rng.normal((start + end) / 2, SPREAD * (end - start)), start, end))
        drawn[truth.videos[v]].append(Point(int(c), at))
    return {video: sorted(points, key=lambda p: p.time_s) for video, points in drawn.items()}, False


def judged_rows(bundle: Bundle, data: Dataset) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, int, bool]:
    """Which events are right by each judge, their scores, whether they reach the default minimum, and the actions."""
    truth, localizer = data.truth(), Localizer(bundle)
    clicks, own = clicks_of(data, truth)
    read = feature_reader(data, bundle)
    events, pseudo_right = {}, []
    for video in truth.videos:
        features = read(video)
        events[video] = list(localizer.localize(features, stream=video))
        points, stride = clicks[video], features.stride_s
        found = locate_clicks(
            [p.time_s for p in points],
            [p.label for p in points],
            snippets=len(features.data),
            stride_s=stride,
            start_s=0.0,
            video=video,
        )
        segments = np.zeros((0, 2))
        if len(found):
            tracks = localizer.backend.locate(features.data)
            segments = align_clicks(np.concatenate([tracks[0], tracks[1][:, None]], axis=1), found)
        times = (found.position + 0.5) * stride
        pseudo_right.append(judge(events[video], data.labels, found.label, times, (segments + 0.5) * stride).right)
    made = Detections.from_events(events, truth)
    by_clicks = judge_by_clicks(truth_of_clicks(clicks, truth.videos, truth.labels), made)
    right = {"clicks": by_clicks.kind == RIGHT, "pseudo": np.concatenate(pseudo_right)}
    right |= {f"tIoU {t:g}": judge_by_truth(truth, made, t).kind == RIGHT for t in (0.3, 0.5)}
    least = OperatingPoint().of(bundle.manifest.calibration, bundle.labels)
    enough = np.array([e.score >= minimum(least, e.label) for video in truth.videos for e in events[video]], bool)
    return right, made.scores, enough, len(truth.label), own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="BUNDLE DATA")
    add_json(parser)
    arguments = parser.parse_args()
    if len(arguments.pairs) % 2:
        parser.error("a bundle without a data set")
    rows: list[Row] = []
    print(
        "| test set | actions | clicks | P R F1, clicks | P R F1, tIoU 0.5 | F1, tIoU 0.3 | F1, pseudo | rank | loss |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for path, place in zip(arguments.pairs[::2], arguments.pairs[1::2], strict=True):
        folder, _, split = place.partition(":")
        data = open_recordings(Path(folder), split=split or None)
        bundle = Bundle.load(path)
        right, scores, enough, actions, own = judged_rows(bundle, data)
        name = f"{data.name} {split}".strip()
        cells = {}
        for each in JUDGES:
            hits, shown = int((right[each] & enough).sum()), int(enough.sum())
            values = (hits / max(shown, 1), hits / actions, 2 * hits / (shown + actions))
            cells[each] = " ".join(f"{x:.2f}" for x in (values if each in ("clicks", "tIoU 0.5") else values[2:]))
            rows += [Row(f"{name}: {t} by {each}", x, "") for t, x in zip(("P", "R", "F1"), values, strict=True)]
        curves = {
            each: np.array([2 * right[each][scores >= t].sum() / ((scores >= t).sum() + actions) for t in GRID])
            for each in JUDGES
        }
        strict = curves["tIoU 0.5"]
        rank = rank_correlation(curves["clicks"], strict)
        loss = float(strict.max() - strict[int(np.argmax(curves["clicks"]))])
        rows += [Row(f"{name}: rank", rank, ""), Row(f"{name}: loss", loss, "")]
        source = "own" if own else "drawn"
        shown_as = [
            cells["clicks"],
            cells["tIoU 0.5"],
            cells["tIoU 0.3"],
            cells["pseudo"],
            f"{rank:.2f}",
            f"{loss:.3f}",
        ]
        print(f"| {name} | {actions} | {source} |", " | ".join(shown_as), "|", flush=True)
    save(arguments.json, rows)


if __name__ == "__main__":
    main()

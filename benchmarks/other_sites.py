"""What a bundle is worth at a site that it has not been trained for, and what calibration there gives.

    python benchmarks/other_sites.py DATA --sites FILE [--videos] [--seed 0] [--clicks 5,10] [--json FILE]
    python benchmarks/other_sites.py DATA --splits split_1,split_2,split_3,split_4

Each site (camera, room, person) is left out in turn: training on the clicks of all others, calibration included, then
the events of the site's videos. FILE is CSV with the columns video_id and site, for all videos of the lists; with
--splits, the test videos of each split are the site. The videos of the site are divided into two halves; each half is
judged with calibrations that know only the other half:

  as trained      nothing
  rate            `punctum calibrate --actions-per-hour`, with the true number of actions of that half
  N clicks        `punctum calibrate` with the first videos of that half, in random order, that have N clicks or more
  all clicks      `punctum calibrate` with the clicks of that half

Reported over the videos of all sites, by ground truth at tIoU 0.5: F1 at the default minimum score, its share of the
F1 with the best minimum of each site, events at the minimum per action, and the calibration error (2N highest events,
15 groups) beside that of exact probabilities. With --videos, DATA holds the features of a video backbone, and the
recipe is that of videos. Every video needs clicks, as benchmarks/site_folders.py simulates them; --runs may hold runs
of `punctum train` on its folders.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from punctum.runtime import Dataset
from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.datasets.truth import Truth
from punctum.runtime.evaluation.average_precision import evaluate
from punctum.runtime.evaluation.detections import Detections
from punctum.runtime.evaluation.online import best_operating_point, matched
from punctum.runtime.evaluation.reliability import reliability
from punctum.runtime.session.plan import Plan
from punctum.training import load_run, localizer_of, train_run
from punctum.training.confidence.judge import ScoredRecording, judge_recordings, score_recording
from punctum.training.confidence.site import Footage, calibrate_by_clicks, calibrate_by_rate
from punctum.training.config import TrainConfig
from punctum.training.data.labels import clicks_on
from punctum.training.data.videos import load_training_set
from punctum.training.recipes import for_videos
from result_file import add_json, rows_of, save

BEST = "as trained, best minimum of each site by ground truth"


@dataclass
class Judged:
    """Calibrated events of one setting: rows for `Detections`, and which of them reach the minimum score."""

    rows: list[tuple[int, int, float, float, float]] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)

    def add(self, row: tuple[int, int, float, float, float], minimum: float) -> None:
        self.rows.append(row)
        self.shown.append(row[-1] >= minimum)


def sites_of(arguments: argparse.Namespace) -> Iterator[tuple[str, Dataset]]:
    """The data set with the videos of one site as its test videos, for each site."""
    if arguments.splits:
        for split in arguments.splits.split(","):
            yield split, Dataset.open(arguments.data, split=split)
        return
    data = Dataset.open(arguments.data)
    with arguments.sites.open(encoding="utf-8", newline="") as file:
        site_of = {row["video_id"]: row["site"] for row in csv.DictReader(file)}
    videos = [video for video in (*data.train, *data.test) if video in site_of]
    for site in sorted(set(site_of.values())):
        here = tuple(video for video in videos if site_of[video] == site)
        yield site, replace(data, train=tuple(v for v in videos if v not in here), test=here)


def recordings_of(data: Dataset, run: Path) -> tuple[dict[str, ScoredRecording], Calibration, Plan]:
    """The raw events of the test videos, by a finished run."""
    loaded = load_run(run)
    if loaded.calibration is None:
        raise RuntimeError("the run is not calibrated: it has too few clicks")
    localizer, clicked, found = localizer_of(loaded), data.points(), {}
    for video in data.test:
        features = data.features(video)
        clicks = clicks_on(features, clicked.get(video, ()), video)
        found[video] = score_recording(localizer.plan, localizer.backend, features.data, clicks, stream=video)
    return found, loaded.calibration, localizer.plan


def calibrations(
    data: Dataset,
    recordings: dict[str, ScoredRecording],
    before: Calibration,
    plan: Plan,
    known: Sequence[str],
    actions: int,
    few: Sequence[int],
) -> Iterator[tuple[str, Calibration]]:
    """A calibration by each setting from the videos of one half. actions: true number in them."""

    def footage(videos: Sequence[str]) -> Footage:
        full, reduced = judge_recordings(plan, [recordings[v] for v in videos])
        hours = sum(len(data.features(v).data) for v in videos) * data.stride_s / 3600
        return Footage(full, sum(len(recordings[v].clicks) for v in videos) or None, hours, reduced)

    classes = len(data.labels)
    whole = footage(known)
    yield "as trained", before
    yield "rate", calibrate_by_rate(whole, before, actions=float(actions))[0] if actions else before
    for count in few:
        clicks = np.cumsum([len(recordings[v].clicks) for v in known])
        part = footage(known[: int(np.searchsorted(clicks, count)) + 1])
        fits = part.clicks and part.events.can_be_fitted
        yield f"{count} clicks", calibrate_by_clicks(part, classes, before) if fits else before
    fits = whole.clicks and whole.events.can_be_fitted
    yield "all clicks", calibrate_by_clicks(whole, classes, before) if fits else before


def judge_site(
    data: Dataset, truth: Truth, run: Path, settings: dict[str, Judged], few: Sequence[int], seed: int
) -> None:
    """Add the events of one site to every setting. truth: of all sites."""
    recordings, before, plan = recordings_of(data, run)
    order = [data.test[k] for k in np.random.default_rng(seed).permutation(len(data.test))]
    half = len(order) // 2
    labels = {label: k for k, label in enumerate(truth.labels)}
    place = {video: k for k, video in enumerate(truth.videos)}
    for known, judged in ((order[:half], order[half:]), (order[half:], order[:half])):
        actions = int(np.isin(truth.video, [place[v] for v in known]).sum())
        for name, calibration in calibrations(data, recordings, before, plan, known, actions, few):
            setting = settings.setdefault(name, Judged())
            for video in judged:
                for event in recordings[video].events:
                    k = labels[event.label]
                    row = place[video], k, event.start, event.end, calibration.score(k, event.score)
                    setting.add(row, calibration.classes[k].min_score)
    best = settings.setdefault(BEST, Judged())
    site = data.truth()
    events = {
        v: [replace(e, score=before.score(labels[e.label], e.score)) for e in r.events] for v, r in recordings.items()
    }
    minimum = best_operating_point(site, Detections.from_events(events, site)).score
    for video, found in events.items():
        for e in found:
            best.add((place[video], labels[e.label], e.start, e.end, e.score), minimum)


def table(truth: Truth, settings: dict[str, Judged]) -> Iterator[dict[str, object]]:
    """A row for each setting, by ground truth."""
    best = 0.0
    for name, judged in sorted(settings.items(), key=lambda item: item[0] != BEST):
        found = Detections.from_rows(judged.rows)
        shown = np.array(judged.shown, bool)
        chosen = Detections(*(values[shown] for values in (found.video, found.label, found.segments, found.scores)))
        hits = int((matched(truth, chosen) >= 0).sum())
        f1 = 2 * hits / max(len(chosen) + len(truth.label), 1)
        best = f1 if name == BEST else best
        shares = reliability(truth, found)
        yield {
            "setting": name,
            "map": round(evaluate(truth, found).average, 4),
            "f1": round(f1, 4),
            "share_of_best_f1": round(f1 / best, 4) if best else 0.0,
            "events_per_action": round(len(chosen) / max(len(truth.label), 1), 3),
            "calibration_error": round(shares.error, 4),
            "of_exact_probabilities": round(shares.error_if_exact, 4),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sites", type=Path)
    parser.add_argument("--splits", default="")
    parser.add_argument("--videos", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clicks", default="5,10")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use those that are there")
    add_json(parser)
    arguments = parser.parse_args()
    if not arguments.splits and arguments.sites is None:
        parser.error("give --sites or --splits")
    few = [int(n) for n in arguments.clicks.split(",") if n]
    with tempfile.TemporaryDirectory() as folder:
        runs = arguments.runs or Path(folder)
        settings: dict[str, Judged] = {}
        parts: list[tuple[Dataset, Truth, Path]] = []
        for site, data in sites_of(arguments):
            samples, run = load_training_set(data), runs / site
            clicks = sum(len(sample.clicks) for sample in samples.samples)
            recipe = for_videos(clicks=clicks) if arguments.videos else TrainConfig()
            if (run / "locator").is_dir():  # of `punctum train` on videos
                run = run / "locator"
            if not run.exists():
                train_run(samples, recipe.model_copy(update={"seed": arguments.seed}), run, quiet=True, threads=1)
            parts.append((data, data.truth(), run))
            print(f"{site}: {len(data.train)} videos for training, {len(data.test)} left out", flush=True)
        truth = joined([part[1] for part in parts])
        for data, _, run in parts:
            judge_site(data, truth, run, settings, few, arguments.seed)
        rows = list(table(truth, settings))
        print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(str(value) for value in row.values()) + " |")
        save(arguments.json, rows_of({str(row.pop("setting")): row for row in rows}))


def joined(truths: Sequence[Truth]) -> Truth:
    """The ground truth of all sites."""
    labels, start = truths[0].labels, np.cumsum([0, *(len(t.videos) for t in truths)])
    for one in truths:
        if one.labels != labels:
            raise RuntimeError("the sites have different classes in their ground truth")
    return Truth(
        tuple(video for t in truths for video in t.videos),
        labels,
        np.concatenate([t.video + k for t, k in zip(truths, start[:-1], strict=True)]),
        np.concatenate([t.label for t in truths]),
        np.concatenate([t.segments for t in truths]),
    )


if __name__ == "__main__":
    main()

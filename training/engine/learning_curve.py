"""Accuracy by number of clicks: small runs on parts of the training videos, judged on training videos held out.

The videos are divided into folds. For each fold, runs on growing parts of the other videos are judged on the videos of
the fold, by clicks and, where there is ground truth, by intervals. A finished run is one JSON file, which a second call
does not repeat; its networks are not kept.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from punctum.runtime.datasets.dataset import Point
from punctum.runtime.datasets.truth import Truth
from punctum.runtime.diagnosis.diagnose import truth_of_clicks
from punctum.runtime.diagnosis.judge import RIGHT, judge_by_clicks
from punctum.runtime.evaluation.average_precision import evaluate
from punctum.runtime.evaluation.detections import Detections
from punctum.runtime.events.event import Event
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import duration

from ..confidence.folds import fold_of_videos, without_fold
from ..config import TrainConfig
from ..data.videos import Sample, TrainingSet
from ..models.checkpoint import load_run
from ..models.torch_backend import localizer_of
from ..records import Record
from .run_folder import STATE as RUNS
from .state import damaged
from .trainer import train_run


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        fold: fold that it is judged on.
        share: share of the videos of the other folds that it is trained on.
        data: these videos.
        held_out: videos of the fold.
    """

    fold: int
    share: float
    data: TrainingSet
    held_out: tuple[Sample, ...]

    @property
    def name(self) -> str:
        """Of its files."""
        return f"fold{self.fold}-{repr(float(self.share)).removesuffix('.0')}"  # all digits: shares can be close

    @property
    def clicks(self) -> int:
        """Clicks that it is trained on."""
        return sum(len(sample.clicks) for sample in self.data.samples)


def plans(data: TrainingSet, shares: Sequence[float], folds: int, *, seed: int) -> list[Plan]:
    """All runs, fold by fold, from the smallest to the largest part. Parts are nested.

    Args:
        data: the training set.
        shares: rising shares of the clicks, above 0, at most 1.
        folds: number of folds wanted.
        seed: of folds and parts.

    Returns:
        Nothing if fewer than two videos have clicks.
    """
    assigned = fold_of_videos(data, folds, seed=seed)
    found = []
    for fold in sorted(set(assigned) - {-1}):
        rest = without_fold(data, assigned, fold)
        held_out = tuple(s for s, k in zip(data.samples, assigned, strict=True) if k == fold)
        order = np.random.default_rng([seed, fold, 0xC0FE]).permutation(len(rest.samples))
        clicks = np.cumsum([len(rest.samples[i].clicks) for i in order])
        for share in shares:
            count = int(np.searchsorted(clicks, max(share * clicks[-1], 1) - 1e-9)) + 1
            part = tuple(rest.samples[i] for i in sorted(order[:count]))
            found.append(Plan(fold, share, replace(rest, samples=part), held_out))
    return found


def run_plan(
    plan: Plan, config: TrainConfig, out: Path, *, truth: Truth | None, threads: int | None, device: str = "cpu"
) -> Record:
    """Train and judge one run, or read its result.

    Args:
        plan: the run.
        config: the recipe, without calibration.
        out: the folder of the curve.
        truth: ground truth of the training videos, if there is any.
        threads: of torch, see `train_run`.
        device: "cpu" or "cuda".

    Raises:
        TrainingInterrupted: after Ctrl-C; a second call goes on.
        InputError: a result is damaged.
    """
    file, folder = out / RUNS / f"{plan.name}.json", out / RUNS / plan.name
    if (known := read_result(file)) is not None:
        return known
    began = time.monotonic()
    train_run(plan.data, config, folder, resume=folder.is_dir(), quiet=True, threads=threads, device=device)
    run = load_run(folder)
    localizer = localizer_of(run)
    events = {s.video: list(localizer.localize(s.features, stream=s.video)) for s in plan.held_out}
    result: Record = {
        "fold": plan.fold,
        "share": plan.share,
        "videos": len(plan.data.samples),
        "clicks": plan.clicks,
        "clicks_of_class": _count(plan.data.samples, len(plan.data.labels)),
        "held_out_of_class": _count(plan.held_out, len(plan.data.labels)),
        "seconds": round(time.monotonic() - began, 2),
        **_judged(events, plan, truth),
    }
    atomic_write(file, json.dumps(result) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    return result


def read_result(file: Path) -> Record | None:
    """The result of a finished run; None if it is not finished. Raises InputError if the file is damaged.

    Without the file the run is done again, so nothing else has to be given up.
    """
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        size = len(record["label"])
        classes = len(record["clicks_of_class"])
        whole = all(len(record[name]) == size for name in ("score", "hit"))
        if not whole or len(record["held_out_of_class"]) != classes or not record["clicks"] > 0:
            raise ValueError("its lists have different lengths")
        if not all(isinstance(label, int) and 0 <= label < classes for label in record["label"]):
            raise ValueError("a class is unknown")
        if not np.isfinite([*record["score"], record["seconds"], *([record["map"]] if record["map"] else [])]).all():
            raise ValueError("a number is not finite")
        return dict(record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(file, error, next_step=f"remove {file.name}, and only its run is repeated") from None


def _count(samples: Sequence[Sample], classes: int) -> list[int]:
    labels = np.concatenate([s.clicks.label for s in samples]) if samples else np.zeros(0, np.int64)
    return [int(n) for n in np.bincount(labels, minlength=classes)]


def _judged(events: dict[str, list[Event]], plan: Plan, truth: Truth | None) -> Record:
    """Events judged by clicks, and mAP 0.1:0.7 by ground truth."""
    data, videos = plan.data, tuple(events)
    points = {
        s.video: [
            Point(int(label), s.start_s + (float(position) + 0.5) * data.stride_s)
            for label, position in zip(s.clicks.label, s.clicks.position, strict=True)
        ]
        for s in plan.held_out
    }
    clicks = truth_of_clicks(points, videos, data.labels)
    found = Detections.from_events(events, clicks)
    judged = judge_by_clicks(clicks, found)
    record: Record = {
        "label": found.label.tolist(),
        "score": [float(f"{x:.6g}") for x in found.scores],
        "hit": [int(kind == RIGHT) for kind in judged.kind],
        "map": None,
    }
    if truth is not None:
        part = part_of(truth, videos)
        if len(part.label):
            record["map"] = round(evaluate(part, Detections.from_events(events, part)).average, 5)
    return record


def part_of(truth: Truth, videos: tuple[str, ...]) -> Truth:
    """The ground truth of some videos."""
    place = {video: k for k, video in enumerate(videos)}
    owner = np.array([place.get(video, -1) for video in truth.videos], np.int64)
    keep = owner[truth.video] >= 0
    return Truth(videos, truth.labels, owner[truth.video[keep]], truth.label[keep], truth.segments[keep])


def run_all(
    todo: Sequence[Plan],
    config: TrainConfig,
    out: Path,
    *,
    truth: Truth | None = None,
    threads: int | None = None,
    budget_s: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    clock: Callable[[], float] = time.monotonic,
    train: Callable[..., Record] = run_plan,
) -> list[Record]:
    """Do the runs in turn, and say after each how long the rest will take.

    Args:
        todo: the runs.
        config: the recipe.
        out: the folder of the curve.
        truth: ground truth of the training videos, if there is any.
        threads: of torch.
        budget_s: do not start a run that would probably end later than this.
        say: takes lines about the progress.
        clock: monotonic clock in seconds.
        train: does one run.

    Returns:
        The results, fewer than `todo` if the budget does not suffice.
    """
    began = clock()
    results: list[Record] = []
    timed: list[tuple[float, float]] = []  # clicks and seconds of runs, also those of earlier calls
    over = False
    for k, plan in enumerate(todo):
        known = (out / RUNS / f"{plan.name}.json").is_file()
        if budget_s is not None and not known and timed:
            over = over or clock() - began + _predicted(timed, plan.clicks) > budget_s
        if over and not known:
            continue
        before = clock()
        results.append(train(plan, config, out, truth=truth, threads=threads))
        seconds = results[-1]["seconds"] if known else clock() - before
        timed.append((plan.clicks, seconds))
        if known:
            continue
        rest = [p.clicks for p in todo[k + 1 :] if not (out / RUNS / f"{p.name}.json").is_file()]
        left = f", about {duration(sum(_predicted(timed, n) for n in rest))} left" if rest else ""
        say(f"run {k + 1} of {len(todo)} (fold {plan.fold + 1}, {plan.clicks} clicks): {seconds:.0f} s{left}")
    return results


def remaining(todo: Sequence[Plan], results: Sequence[Record]) -> list[float]:
    """Predicted seconds of each run that is left, in order; empty without a finished one to predict from."""
    known = {(r["fold"], r["share"]) for r in results}
    timed = [(r["clicks"], r["seconds"]) for r in results]
    return [_predicted(timed, p.clicks) for p in todo if timed and (p.fold, p.share) not in known]


def finished(todo: Sequence[Plan], out: Path) -> list[Record]:
    """The results of earlier calls. Raises InputError if one is damaged."""
    found = (read_result(out / RUNS / f"{plan.name}.json") for plan in todo)
    return [result for result in found if result is not None]


def _predicted(timed: Sequence[tuple[float, float]], clicks: float) -> float:
    """Seconds of a run: a fixed part and one that grows with the clicks; from one run, proportional to them."""
    x, y = np.array(timed, np.float64).T
    slope = 0.0 if np.ptp(x) == 0 else float(np.cov(x, y, bias=True)[0, 1] / x.var())
    fixed = float(y.mean() - max(slope, 0.0) * x.mean())
    if np.ptp(x) == 0 or fixed < 0:
        return float(y.mean() / x.mean() * clicks)
    return fixed + max(slope, 0.0) * clicks

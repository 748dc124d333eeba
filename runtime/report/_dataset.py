"""The content of the report of a bundle on a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..backends.options import CPU, EngineSpec
from ..errors import InputError
from ..evaluation.alignment import alignment
from ..evaluation.average_precision import THRESHOLDS, Detections, evaluate
from ..evaluation.online import TIOU, best_operating_point
from ..evaluation.reliability import reliability
from ..events.event import Event
from ..text.display import counted
from ._model import Action, Curve, DatasetReport, EvaluatedRecording
from .facts import Facts, bundle_facts, machine_facts
from .footage import Footage, read_footage, run_footage

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..datasets.dataset import Truth

CURVES = (0.3, 0.5, 0.7)  # tIoU of the precision-recall curves
POINTS = 120  # maximum per curve
POOLED = "all classes, pooled"


def report_dataset(
    bundle: Bundle,
    folder: str | Path,
    *,
    split: str | None = None,
    subset: str = "test",
    max_delay_s: float | None = None,
    title: str = "",
    spec: EngineSpec = CPU,
    watch: Callable[[Sequence[str]], Iterable[str]] | None = None,
) -> DatasetReport:
    """Run a bundle on the videos of a data set and evaluate its final events.

    Args:
        bundle: The bundle.
        folder: The data set folder.
        split: A split folder of it.
        subset: "test" or "train".
        max_delay_s: Run as streams with this maximum reporting delay in seconds, instead of offline.
        title: Title of the page. Default: bundle and data set.
        spec: Device, precision and threads of the engine.
        watch: Wraps the list of videos, for a progress bar.

    Raises:
        InputError: The data set cannot be read or has other classes, or the engine cannot be opened.
    """
    from ..datasets.dataset import Dataset
    from ..datasets.known import notes_on
    from ..datasets.of_bundle import check_classes, with_classes
    from ..localizer import Localizer

    if subset not in ("test", "train"):
        raise InputError("subset", f"`subset` is {subset!r}", "test or train")
    data = Dataset.open(folder, split=split, need_features=False)
    localizer = Localizer.open(bundle, spec)
    data = with_classes(data, localizer.labels)
    check_classes(data, localizer.labels)
    truth = data.truth(subset)
    kernels.warm_up("run", "eval")
    events: dict[str, list[Event]] = {}
    lengths: dict[str, float] = {}
    stages: dict[str, float] = {}
    for video in truth.videos if watch is None else watch(truth.videos):
        if data.only_videos:
            footage = read_footage(bundle, localizer, data.video_file(video), spec=spec, pictures=False)
        else:
            footage = Footage([data.features(video)])
        made, spent = run_footage(localizer, footage, stream=video, max_delay_s=max_delay_s)
        events[video] = [e for e in made if e.phase == "final"]
        lengths[video] = footage.start_s + footage.duration_s
        for stage, seconds in (*footage.stages.items(), *spent.items()):
            stages[stage] = stages.get(stage, 0.0) + seconds
    name = f"{data.name} {split}" if split else data.name
    report = evaluate_events(
        truth,
        events,
        lengths,
        title=title or f"{bundle.manifest.name} on {name}",
        name=name,
        subset=subset,
        stages=stages,
        bundle=bundle_facts(bundle),
        machine=machine_facts(device=localizer.backend.actual, threads=spec.threads, precision=spec.precision),
    )
    clicks = data.points() if data.points_file.is_file() else {}
    seen = notes_on(bundle.manifest, data, subset, {video: clicks.get(video, []) for video in truth.videos})
    return replace(report, notes=(*_at_default(bundle, truth, events), *seen))


def _at_default(bundle: Bundle, truth: Truth, events: dict[str, list[Event]]) -> list[str]:
    """A sentence on the default minimum score; the figures of the page have the one that is best here."""
    from ..bundle.operating_point import OperatingPoint, minimum
    from ..diagnosis.judge import RIGHT, judge_by_truth

    if bundle.manifest.calibration is None:
        return []
    least = OperatingPoint().of(bundle.manifest.calibration, bundle.labels)
    names = {minimum(least, label) for label in bundle.labels}
    shown = {video: [e for e in made if e.score >= minimum(least, e.label)] for video, made in events.items()}
    kind = judge_by_truth(truth, Detections.from_events(shown, truth), TIOU).kind
    right, actions = int((kind == RIGHT).sum()), len(truth.label)
    at = f", {names.pop():.3g}," if len(names) == 1 else ""
    f1 = 2 * right / (len(kind) + actions) if len(kind) + actions else 0.0
    return [
        f"From the default minimum score of the bundle{at} on, {right} of {counted(actions, 'action')} are found and "
        f"{right} of {counted(len(kind), 'event')} are right at tIoU {TIOU:g}: F1 {f1:.3f}. The figures of this page "
        "count from the minimum that is best on these recordings."
    ]


def evaluate_events(
    truth: Truth,
    events: dict[str, list[Event]],
    lengths: dict[str, float],
    *,
    title: str,
    name: str = "",
    subset: str = "test",
    stages: dict[str, float] | None = None,
    bundle: Facts | None = None,
    machine: Facts | None = None,
) -> DatasetReport:
    """The report of existing final events.

    Args:
        truth: The ground truth.
        events: Final events of each video.
        lengths: Duration of each video in seconds.
        title: Title of the page.
        name: Name of the data set.
        subset: Subset of the data set.
        stages: Seconds of compute per stage, in the order of display.
        bundle: Sections of facts about the bundle, as from `bundle_facts`.
        machine: Sections of facts about the machine, as from `machine_facts`.
    """
    found = Detections.from_events(events, truth)
    point = best_operating_point(truth, found)
    actions: dict[str, list[Action]] = {video: [] for video in truth.videos}
    for v, c, (a, b) in zip(truth.video, truth.label, truth.segments, strict=True):
        actions[truth.videos[v]].append(Action(truth.labels[c], float(a), float(b)))
    return DatasetReport(
        title=title,
        name=name,
        subset=subset,
        labels=truth.labels,
        evaluation=evaluate(truth, found, THRESHOLDS),
        alignment=alignment(truth, found),
        reliability=reliability(truth, found),
        curves=curves(truth, found),
        recordings=tuple(
            EvaluatedRecording(v, lengths[v], tuple(events.get(v, ())), tuple(actions[v])) for v in truth.videos
        ),
        min_score=point.score,
        f1=point.f1,
        stages=stages or {},
        bundle=bundle or {},
        machine=machine or {},
    )


def curves(truth: Truth, found: Detections, tious: Sequence[float] = CURVES) -> tuple[Curve, ...]:
    """Precision over recall by class and tIoU, first for all classes pooled. Classes without actions are skipped."""
    videos, classes = len(truth.videos), len(truth.labels)
    order, hit = kernels.match_detections(
        truth.label * videos + truth.video,
        truth.segments,
        found.label * videos + found.video,
        found.segments,
        found.scores,
        tious,
        groups=videos * classes,
    )
    label = found.label[order]
    result = []
    for k, tiou in enumerate(tious):
        result.append(_curve(POOLED, tiou, hit[k], len(truth.label)))
    for c, name in enumerate(truth.labels):
        total = int((truth.label == c).sum())
        if total:
            result += [_curve(name, tiou, hit[k, label == c], total) for k, tiou in enumerate(tious)]
    return tuple(result)


def _curve(label: str, tiou: float, hit: npt.NDArray[np.bool_], total: int) -> Curve:
    """Interpolated as for average precision: at each recall, the best precision at this or a higher recall."""
    hits = np.cumsum(hit.astype(np.float64))
    recall = np.concatenate([[0.0], hits / total])
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(np.concatenate([precision, [0.0]])[::-1])[::-1]
    best = np.concatenate([[best[0]], best[:-1]]) if len(hits) else np.zeros(1)
    area = float(np.sum(np.diff(recall) * best[1:]))
    steps = np.flatnonzero(np.diff(recall, append=math.inf) > 0)  # the last point of each recall
    first = np.concatenate([[0], steps[:-1] + 1]) if len(steps) else steps
    keep = np.unique(np.concatenate([first, steps]))
    if len(keep) > POINTS:
        keep = keep[np.unique(np.linspace(0, len(keep) - 1, POINTS).round().astype(int))]
    return Curve(label, float(tiou), recall[keep], best[keep], area)

"""A bundle on a data set: what the report of a data set shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from punctum import kernels

from ..backends.options import CPU, EngineSpec
from ..errors import InputError
from ..evaluation.alignment import alignment
from ..evaluation.average_precision import THRESHOLDS, Detections, evaluate
from ..evaluation.online import best_operating_point
from ..events.event import Event
from ._model import Action, Curve, DatasetReport, Judged
from .facts import bundle_facts, machine_facts
from .recording import Footage, read_footage, say

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..datasets.dataset import Truth

CURVES = (0.3, 0.5, 0.7)  # tIoU of the precision-recall curves
POINTS = 120  # of one curve at most
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
    """Run `bundle` on the videos of a data set and judge it. Raises InputError.

    max_delay_s: run as streams that report so early; judged are the final events all the same. watch: wraps the list of
    videos, for a progress bar.
    """
    from ..datasets.dataset import Dataset
    from ..localizer import Localizer

    if subset not in ("test", "train"):
        raise InputError("subset", f"subset {subset!r}", "test or train", "set --subset")
    data = Dataset.open(folder, split=split, need_features=False)
    localizer = Localizer.open(bundle, spec)
    unknown = sorted(set(localizer.labels) - set(data.labels))
    if unknown:
        raise InputError(
            "label-unknown",
            f"the bundle knows {', '.join(unknown)}, which {data.name} does not",
            ", ".join(data.labels),
            "judge the bundle on the data set it was trained for",
        )
    truth = data.truth(subset)
    kernels.warm_up()
    events: dict[str, list[Event]] = {}
    lengths: dict[str, float] = {}
    stages: dict[str, float] = {}
    for video in truth.videos if watch is None else watch(truth.videos):
        if data.only_videos:
            footage = read_footage(bundle, localizer, data.video_file(video), spec=spec, pictures=False)
        else:
            footage = Footage([data.features(video)])
        said, spent = say(localizer, footage, stream=video, max_delay_s=max_delay_s)
        events[video] = [e for e in said if e.phase == "final"]
        lengths[video] = footage.start_s + footage.duration_s
        for stage, seconds in (*footage.stages.items(), *spent.items()):
            stages[stage] = stages.get(stage, 0.0) + seconds
    name = f"{data.name} {split}" if split else data.name
    return judge(
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


def judge(
    truth: Truth,
    events: dict[str, list[Event]],
    lengths: dict[str, float],
    *,
    title: str,
    name: str = "",
    subset: str = "test",
    stages: dict[str, float] | None = None,
    bundle: dict[str, dict[str, object]] | None = None,
    machine: dict[str, dict[str, object]] | None = None,
) -> DatasetReport:
    """A report from final events per video that are there already. lengths: seconds of every video."""
    found = Detections.from_events(events, truth)
    floor = best_operating_point(truth, found)
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
        curves=curves(truth, found),
        recordings=tuple(Judged(v, lengths[v], tuple(events.get(v, ())), tuple(actions[v])) for v in truth.videos),
        min_score=min_score.score,
        f1=floor.f1,
        stages=stages or {},
        bundle=bundle or {},
        machine=machine or {},
    )


def curves(truth: Truth, found: Detections, tious: Sequence[float] = CURVES) -> tuple[Curve, ...]:
    """Precision over recall per class and tIoU; first of all classes pooled. Classes without truth are left out."""
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


def _curve(label: str, tiou: float, hit: np.ndarray, total: int) -> Curve:  # type: ignore[type-arg]
    """Interpolated: at every recall the best precision at that recall or beyond it, as average precision takes it."""
    hits = np.cumsum(hit.astype(np.float64))
    recall = np.concatenate([[0.0], hits / total])
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(np.concatenate([precision, [0.0]])[::-1])[::-1]
    best = np.concatenate([[best[0]], best[:-1]]) if len(hits) else np.zeros(1)
    area = float(np.sum(np.diff(recall) * best[1:]))
    steps = np.flatnonzero(np.diff(recall, append=math.inf) > 0)  # the last point of every recall
    first = np.concatenate([[0], steps[:-1] + 1]) if len(steps) else steps
    keep = np.unique(np.concatenate([first, steps]))
    if len(keep) > POINTS:
        keep = keep[np.unique(np.linspace(0, len(keep) - 1, POINTS).round().astype(int))]
    return Curve(label, float(tiou), recall[keep], best[keep], area)

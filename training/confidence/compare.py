"""Compares runs on the same clicks by their events on held-out videos.

The events of each run are judged by the pseudo segments of the clicks, as average precision. Each run has segments of
its own, which favor its own events; so each is judged by the segments of all runs, and the mean counts. Runs that share
their networks and differ in post-processing have the same segments. How certain a difference is comes from resampling:
whole videos, or whole groups of videos (one camera, person or site), are drawn with replacement, the same ones for all
runs (paired bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from punctum.runtime.datasets.truth import Truth
from punctum.runtime.diagnosis.held_out import HeldOut
from punctum.runtime.evaluation.average_precision import evaluate
from punctum.runtime.evaluation.detections import Detections

from ..arrays import F64, I64

RESAMPLES = 200
LEVEL = 0.1
"""Share of the resamples beyond either end of the interval: another run has to be better in 90 %."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One run among several.

    Attributes:
        name: Of the run.
        accuracy: Mean average precision on held-out videos against pseudo segments.
        gain: Its difference from the first run.
        least_gain: Lower end of the one-sided interval of that difference.
        most_gain: Upper end of the interval with the same error on the other side.
    """

    name: str
    accuracy: float
    gain: float
    least_gain: float
    most_gain: float


def compare_runs(
    runs: Mapping[str, HeldOut],
    *,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
    same_segments: bool = False,
) -> list[Compared]:
    """Compare runs with the first of them. Classes that the networks of the folds could not learn do not count.

    Args:
        runs: Events on held-out videos by name of the run; of the same videos, with pseudo segments.
        groups: Group of each video; a video that is missing is a group of its own.
        seed: Of the resampling.
        same_segments: The pseudo segments of all runs are the same, so those of the first suffice.

    Returns:
        One for each run. Everything is NaN where no class counts.

    Raises:
        ValueError: The runs have different videos or classes, or no pseudo segments.
    """
    names, every = list(runs), list(runs.values())
    videos = sorted(every[0].videos)
    if any(sorted(run.videos) != videos or run.labels != every[0].labels for run in every):
        raise ValueError("the runs have different videos or classes")
    if any(not any(run.videos[v].segments for v in videos) for run in every):
        raise ValueError("a run has no pseudo segments")
    units: dict[str, list[str]] = {}
    for video in videos:
        units.setdefault((groups or {}).get(video, f"\0{video}"), []).append(video)
    members = list(units.values())
    events = [{v: _table(run.videos[v].rows, 4) for v in videos} for run in every]
    judges = every[:1] if same_segments else every
    left_out = every[0].unjudged_segments()
    kept = [{v: [span for span in run.videos[v].segments if span[0] not in left_out] for v in videos} for run in judges]
    if not any(kept[0].values()):
        return [Compared(name, np.nan, np.nan, np.nan, np.nan) for name in names]
    spans = [{v: _table(segments, 3) for v, segments in each.items()} for each in kept]
    labels = every[0].labels
    whole = _accuracy(events, spans, labels, videos)
    rng = np.random.default_rng([seed, 0xB007])
    draws: list[F64] = []
    for _ in range(RESAMPLES if len(members) > 1 else 0):
        drawn = rng.integers(len(members), size=len(members))
        found = _accuracy(events, spans, labels, [video for k in drawn for video in members[k]])
        if np.isfinite(found).all():
            draws.append(found - found[0])
    gains = np.array(draws).reshape(-1, len(names)) if draws else np.full((1, len(names)), np.nan)
    low, high = np.quantile(gains, (LEVEL, 1 - LEVEL), axis=0)
    return [
        Compared(name, float(whole[k]), float(whole[k] - whole[0]), float(low[k]), float(high[k]))
        for k, name in enumerate(names)
    ]


def choose_run(compared: Sequence[Compared], *, worth: float = 0.0) -> int:
    """Index of the run to use: the one whose gain has the highest lower end, if that is above 0, else the first.

    Args:
        compared: The runs; the first one stays unless another is better.
        worth: Least gain for which another one is used.
    """
    others = [k for k in range(1, len(compared)) if compared[k].gain >= worth]
    best = max(others, key=lambda k: compared[k].least_gain, default=0)
    return best if compared[best].least_gain > 0 else 0


def _table(rows: Sequence[Sequence[float]], columns: int) -> F64:
    return np.array(rows, np.float64).reshape(-1, columns)


def _accuracy(
    events: Sequence[Mapping[str, F64]],
    spans: Sequence[Mapping[str, F64]],
    labels: tuple[str, ...],
    videos: Sequence[str],
) -> F64:
    """The accuracy of each run on some videos, of which one may be there several times. NaN where they have no segment.

    Args:
        events: Class, start, end and score by video, of each run.
        spans: Class, start and end of the pseudo segments by video, of each run that judges.
        labels: Names of the classes.
        videos: Names of the videos.
    """
    names = tuple(map(str, range(len(videos))))
    truths = []
    for each in spans:
        video, table = _joined(each, videos)
        if not len(table):  # only videos in which nothing happens were drawn
            return np.full(len(events), np.nan)
        truths.append(Truth(names, labels, video, table[:, 0].astype(np.int64), table[:, 1:].copy()))
    accuracy = []
    for each in events:
        video, table = _joined(each, videos)
        found = Detections(video, table[:, 0].astype(np.int64), table[:, 1:3].copy(), table[:, 3].copy())
        accuracy.append(np.mean([evaluate(truth, found).average for truth in truths]))
    return np.array(accuracy)


def _joined(tables: Mapping[str, F64], videos: Sequence[str]) -> tuple[I64, F64]:
    """Index of the video of each row, and the rows of all videos."""
    parts = [tables[video] for video in videos]
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts]), np.concatenate(parts)

"""A bundle with another calibration, from footage that it was not trained on."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from punctum.runtime.bundle.calibration import Calibration
from punctum.runtime.bundle.reader import Bundle
from punctum.runtime.bundle.writer import seal_bundle
from punctum.runtime.cli.progress import track
from punctum.runtime.datasets.dataset import Dataset, Point
from punctum.runtime.datasets.known import calibrated_by, to_record, trained_videos
from punctum.runtime.datasets.labeled import is_plain
from punctum.runtime.datasets.layouts import find_points
from punctum.runtime.datasets.of_bundle import open_footage, with_classes
from punctum.runtime.datasets.recordings import feature_reader, open_recordings
from punctum.runtime.errors import InputError
from punctum.runtime.localizer import Localizer
from punctum.runtime.text.display import counted, some
from punctum.training.arrays import F64
from punctum.training.confidence.judge import JudgedEvents, judge_recordings, score_recording
from punctum.training.confidence.site import LARGE_SHIFT, Footage, calibrate_by_clicks, calibrate_by_rate
from punctum.training.data.labels import clicks_on
from punctum.training.records import Record

_log = logging.getLogger(__name__)

__all__ = ["FEW", "LARGE_SHIFT", "calibrate_bundle"]

FEW = 30
"""Clicks below which maps that are learned from nothing else are doubtful."""


def calibrate_bundle(
    bundle: Bundle,
    dataset: Path,
    *,
    subset: str | None = None,
    split: str | None = None,
    points: str | None = "points.csv",
    actions_per_hour: float | None = None,
    quiet: bool = False,
) -> tuple[Bundle, Record]:
    """Calibrate a bundle on the videos of a data set.

    Args:
        bundle: the bundle; calibrated, unless there are clicks.
        dataset: the data set folder, of features or videos. Without clicks, a folder of videos is enough.
        subset: "test" or "train". None: the test videos, or, in a folder without lists, all labeled videos.
        split: split folder.
        points: points file with a click for every action of these videos; None: there are no clicks.
        actions_per_hour: number of actions per hour of media, where it is known and there are no clicks.
        quiet: no progress.

    Returns:
        The bundle, and a summary of the calibration.

    Raises:
        InputError: the data set does not fit the bundle, holds too little, or arguments contradict each other.
    """
    if actions_per_hour is not None and not (math.isfinite(actions_per_hour) and actions_per_hour > 0):
        raise InputError(
            "actions-per-hour",
            f"`actions_per_hour` is {actions_per_hour}",
            "a finite number of more than 0",
            "change `actions_per_hour`",
        )
    data, videos = _listed(bundle, dataset, subset, split, points)
    clicked = data.points() if points is not None and data.points_file.is_file() else {}
    clicks = sum(len(clicked.get(video, ())) for video in videos)
    if clicks and actions_per_hour is not None:
        raise InputError(
            "arguments",
            "`actions_per_hour` has no effect where there are clicks",
            "one of them",
            "leave `actions_per_hour` out, or use `no_points`",
        )
    before = bundle.manifest.calibration
    if not clicks and before is None:
        why = "`no_points` leaves the clicks out" if points is None else "there are no clicks in these videos"
        raise InputError(
            "not-calibrated",
            f"Bundle {bundle.id} is not calibrated, and {why}",
            required="clicks, or a bundle that is calibrated",
            next_step="leave `no_points` out"
            if points is None
            else "click the actions of these videos, or train and export the bundle with this version",
        )
    if not clicks and actions_per_hour is None:
        given = f"{data.points_file} has no click in these {counted(len(videos), 'video')}"
        raise InputError(
            "no-points",
            "`no_points` leaves the clicks out, and the scores alone do not show how far they can be trusted"
            if points is None
            else given,
            required="clicks, or the number of actions per hour",
            next_step="click the actions of a few videos, check `points` and `subset`, or set `actions_per_hour`",
        )
    footage = _judged(bundle, data, videos, clicked, quiet=quiet)
    judged, hours = footage.events, footage.hours
    facts: Record = {"dataset": data.name, "videos": len(videos), "hours": hours, "events": len(judged.raw)}
    used = {video: clicked.get(video, []) for video in videos}
    if recorded := to_record(bundle.manifest, used):
        facts["clicked"] = recorded
    if clicks:
        facts["videos_without_clicks"] = sum(not points for points in used.values())
        if twice := calibrated_by(bundle.manifest, used):
            _log.warning(
                "clicks of %s are in the calibration of this bundle already and count twice; "
                "calibrate the bundle as it was before",
                counted(len(twice), "video"),
            )
        calibration = _by_clicks(footage, bundle, facts)
    elif before is not None:
        _check_events(judged, hours, actions_per_hour)
        actions = (actions_per_hour or 0.0) * hours
        known = float(_scores(before, judged).sum())
        calibration, shift = calibrate_by_rate(footage, before, actions=actions)
        scores = _scores(calibration, judged)
        expected, least = float(scores.sum()), calibration.classes[0].min_score
        facts |= {"clicks": None, "shift": round(shift, 4), "expected_before": round(known, 2)}
        facts["actions"] = round(actions, 2)
        facts |= {"expected": round(expected, 2), "min_score": least, "from_min_score": int((scores >= least).sum())}
    manifest = bundle.manifest
    draft = manifest.model_copy(
        update={"calibration": calibration, "provenance": {**manifest.provenance, "calibration": facts}}
    )
    return seal_bundle(draft, dict(bundle.content), bundle.source), facts


def _check_events(judged: JudgedEvents, hours: float, actions_per_hour: float | None) -> None:
    """Refuse footage without events, and a rate of more actions than there are events to be right."""
    events = len(judged.raw)
    if not events:
        raise InputError(
            "calibration-judgment",
            f"The bundle finds no event in {hours:.2g} h of footage: nothing can be learned from that",
            required="events",
            next_step="use more footage",
        )
    if actions_per_hour is not None and actions_per_hour * hours >= events:
        raise InputError(
            "actions-per-hour",
            f"`actions_per_hour` is {actions_per_hour:g}: {actions_per_hour * hours:.1f} actions in {hours:.2g} h",
            f"less than {events / hours:.0f} per hour, because the bundle finds {counted(events, 'event')} in all",
            "correct `actions_per_hour`",
        )


def _listed(
    bundle: Bundle, dataset: Path, subset: str | None, split: str | None, points: str | None
) -> tuple[Dataset, tuple[str, ...]]:
    """The data set and the videos to use. Raises InputError for one that does not fit the bundle."""
    if subset not in (None, "test", "train"):
        raise InputError("subset", f"`subset` is {subset!r}", "test or train", "change `subset`")
    if subset is None and split is None and is_plain(dataset) and not _has_points(dataset, points):
        data = open_footage(dataset, bundle.labels)
        return data, data.test
    data = open_recordings(dataset, split=split, **({} if points is None else {"points": points}))
    data = with_classes(data, bundle.labels)
    if subset is None:
        seen = bundle.manifest.provenance.get("dataset") == data.name
        subset = "train" if is_plain(dataset) and not data.test and not seen else "test"
    videos = data.test if subset == "test" else data.train
    if not videos:
        raise InputError(
            "list-missing",
            f"{dataset} lists no {subset} videos",
            required=f"a {subset}.txt with one video per line",
            next_step="write it, or set `subset` to train if the bundle was not trained on these videos"
            if subset == "test" and data.train
            else "write it, or check `subset` and `split`",
        )
    if data.labels != tuple(bundle.labels):
        raise InputError(
            "labels-differ",
            f"The classes of the data set are {some(data.labels)}",
            f"those of the bundle, in this order: {some(bundle.labels)}",
            "correct `classes` in dataset.json"
            if (dataset / "dataset.json").is_file()
            else "correct or leave out the clicks of other classes",
        )
    if seen := trained_videos(bundle.manifest, data, subset):
        _log.warning(
            "by the names of data set and videos, the bundle was trained on %d of %s here; on such videos the scores "
            "are too high, and probabilities learned from them do not hold on others: use other videos",
            len(seen),
            counted(len(videos), "video"),
        )
    return data, videos


def _has_points(folder: Path, points: str | None) -> bool:
    """Whether clicks are to be used, and are there or were asked for by the name of their file."""
    return points is not None and (points != "points.csv" or find_points(folder, points).is_file())


def _judged(
    bundle: Bundle, data: Dataset, videos: Sequence[str], clicked: Mapping[str, Sequence[Point]], *, quiet: bool
) -> Footage:
    """The events of the videos with raw scores, judged by the clicks."""
    localizer = Localizer(bundle)
    read = feature_reader(data, bundle)
    parts, hours = [], 0.0
    for video in videos if quiet else track(videos, "running"):
        features = read(video)
        hours += features.duration_s / 3600
        clicks = clicks_on(features, clicked.get(video, ()), video)
        parts.append(score_recording(localizer.plan, localizer.backend, features.data, clicks, stream=video))
    full, reduced = judge_recordings(localizer.plan, parts)
    return Footage(full, sum(len(clicked.get(video, ())) for video in videos) or None, hours, reduced)


def _by_clicks(footage: Footage, bundle: Bundle, facts: Record) -> Calibration:
    """The calibration from clicks; what it gives is added to the facts."""
    judged, right = footage.events, int(footage.events.right.sum())
    if not judged.can_be_fitted:
        raise InputError(
            "calibration-judgment",
            f"{right} of {len(judged.raw)} events are right by the clicks: nothing can be learned from that",
            required="events that are right and events that are not",
            next_step="check `points`, or use more footage",
        )
    calibration = calibrate_by_clicks(footage, len(bundle.labels), bundle.manifest.calibration)
    least = calibration.classes[0].min_score
    hits = judged.right[_scores(calibration, judged) >= least]
    facts |= {
        "clicks": footage.clicks,
        "min_score": least,
        "recall": round(int(hits.sum()) / max(footage.clicks or 0, 1), 4),
        "precision": round(float(hits.mean()), 4) if len(hits) else 0.0,
    }
    return calibration


def _scores(calibration: Calibration, judged: JudgedEvents) -> F64:
    return np.array([calibration.score(int(c), float(x)) for c, x in zip(judged.label, judged.raw, strict=True)])

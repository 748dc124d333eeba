"""A bundle with another calibration, from footage that it was not trained on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from punctum.runtime.bundle.reader import Bundle
from punctum.runtime.bundle.writer import seal_bundle
from punctum.runtime.cli.progress import track
from punctum.runtime.datasets.recordings import feature_reader, open_recordings
from punctum.runtime.errors import InputError
from punctum.runtime.localizer import Localizer
from punctum.training.confidence.judge import JudgedEvents, judge
from punctum.training.confidence.site import Footage, calibrate_by_clicks, calibrate_by_rate
from punctum.training.data.labels import Clicks, locate_clicks
from punctum.training.data.pseudo import align_clicks
from punctum.training.records import Record


def calibrate_bundle(
    bundle: Bundle,
    dataset: Path,
    *,
    subset: str = "test",
    split: str | None = None,
    points: str | None = "points.csv",
    actions_per_hour: float | None = None,
    quiet: bool = False,
) -> tuple[Bundle, Record]:
    """Calibrate a bundle on the videos of a data set.

    Args:
        bundle: the bundle; calibrated, unless there are clicks.
        dataset: the data set folder, of features or videos.
        subset: "test" or "train".
        split: split folder.
        points: points file with a click for every action of these videos; None: there are no clicks.
        actions_per_hour: number of actions per hour of media, where it is known and there are no clicks.
        quiet: no progress.

    Returns:
        The bundle, and what summary there is of the calibration.

    Raises:
        InputError: the data set does not fit the bundle, holds too little, or arguments contradict each other.
    """
    if subset not in ("test", "train"):
        raise InputError("subset", f"`subset` is {subset!r}", "test or train", "change `subset`")
    if actions_per_hour is not None and not (math.isfinite(actions_per_hour) and actions_per_hour > 0):
        raise InputError(
            "actions-per-hour", f"`actions_per_hour` is {actions_per_hour}", "more than 0", "change `actions_per_hour`"
        )
    data = open_recordings(dataset, split=split, **({} if points is None else {"points": points}))
    videos = data.test if subset == "test" else data.train
    if not videos:
        raise InputError(
            "list-missing",
            f"{dataset} lists no {subset} videos",
            required=f"a {subset}.txt with one video per line",
            next_step="check `subset` and `split`",
        )
    if data.labels != bundle.labels:
        raise InputError(
            "labels-differ",
            f"The classes of the data set are {', '.join(data.labels)}",
            f"those of the bundle: {', '.join(bundle.labels)}",
            "use a data set of the same classes",
        )
    clicked = {} if points is None else data.points()
    with_clicks = points is not None and any(clicked.get(video) for video in videos)
    if with_clicks and actions_per_hour is not None:
        raise InputError(
            "arguments",
            "`actions_per_hour` has no effect where there are clicks",
            "one of them",
            "leave `actions_per_hour` out, or use `no_points`",
        )
    before = bundle.manifest.calibration
    if not with_clicks and before is None:
        raise InputError(
            "not-calibrated",
            f"Bundle {bundle.id} is not calibrated, and there are no clicks in these videos",
            required="clicks, or a bundle that is calibrated",
            next_step="click the actions of these videos, or train and export the bundle with this version",
        )
    plain = _uncalibrated(bundle)
    localizer, read = Localizer(plain), feature_reader(data, bundle)
    parts, hours = [], 0.0
    for video in videos if quiet else track(videos, "running"):
        features = read(video)
        hours += features.duration_s / 3600
        events = localizer.localize(features, stream=video)
        stride, start = features.stride_s, features.start_s
        found = clicked.get(video, [])
        clicks = locate_clicks(
            [p.time_s for p in found],
            [p.label for p in found],
            snippets=len(features.data),
            stride_s=stride,
            start_s=start,
            video=video,
        )
        times = start + (clicks.position + 0.5) * stride
        pseudo = start + (_pseudo(localizer, features.data, clicks) + 0.5) * stride
        parts.append(judge(events, bundle.labels, clicks.label, times, pseudo))
    judged = JudgedEvents.joined(parts)
    facts: Record = {"events": len(judged.raw), "hours": hours, "videos": len(videos), "dataset": data.name}
    if with_clicks:
        total = sum(len(clicked.get(video, ())) for video in videos)
        right = int(judged.right.sum())
        if right == 0 or right == len(judged.raw):
            raise InputError(
                "calibration-judgment",
                f"{right} of {len(judged.raw)} events hold a click: nothing can be learned from that",
                required="events that hold a click and events that do not",
                next_step="check `points`, or use more footage",
            )
        calibration = calibrate_by_clicks(Footage(judged, total, hours), len(bundle.labels), before)
        least = calibration.classes[0].min_score
        scores = np.array([calibration.score(int(c), float(x)) for c, x in zip(judged.label, judged.raw, strict=True)])
        hits = judged.right[scores >= least]
        facts |= {
            "clicks": total,
            "min_score": least,
            "recall": round(int(hits.sum()) / total, 4),
            "precision": round(float(hits.mean()), 4) if len(hits) else 0.0,
        }
    else:
        if before is None:
            raise RuntimeError("checked above")
        actions = None if actions_per_hour is None else actions_per_hour * hours
        calibration, shift = calibrate_by_rate(Footage(judged, None, hours), before, actions=actions)
        expected = sum(calibration.score(int(c), float(x)) for c, x in zip(judged.label, judged.raw, strict=True))
        facts |= {"clicks": None, "shift": round(shift, 4), "expected": round(float(expected), 2)}
    manifest = bundle.manifest
    draft = manifest.model_copy(
        update={"calibration": calibration, "provenance": {**manifest.provenance, "calibration": facts}}
    )
    return seal_bundle(draft, dict(bundle.content), bundle.source), facts


def _uncalibrated(bundle: Bundle) -> Bundle:
    """The bundle with raw scores."""
    return seal_bundle(bundle.manifest.model_copy(update={"calibration": None}), dict(bundle.content), bundle.source)


def _pseudo(localizer: Localizer, features: np.ndarray, clicks: Clicks) -> np.ndarray:
    """Pseudo segments of the clicks, in snippets."""
    if not len(clicks):
        return np.zeros((0, 2))
    class_track, actionness = localizer.backend.locate(features)
    return align_clicks(np.concatenate([class_track, actionness[:, None]], axis=1), clicks)

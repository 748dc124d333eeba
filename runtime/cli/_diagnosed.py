"""What `punctum diagnose` judges, and by what: the events of a bundle or of a run, ground truth or clicks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..backends.placement import engine_record
from ._engine import EngineChoice
from .options import is_given, refuse
from .progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle.operating_point import MinScore
    from ..bundle.reader import Bundle
    from ..datasets.dataset import Dataset, Point
    from ..datasets.truth import Truth
    from ..diagnosis.brightness import BrightnessMeter
    from ..events.event import Event


@dataclass(slots=True)
class Judged:
    """The events to diagnose, and where they come from."""

    head: dict[str, Any]
    events: dict[str, Sequence[Event]]
    min_score: MinScore | None
    meter: BrightnessMeter | None = None
    trained_on: bool = False  # whether the networks may have been trained on these clicks
    seen: tuple[str, ...] = ()  # sentences on what the bundle has seen of these videos
    facts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    unjudged: frozenset[str] = frozenset()  # classes that the networks could not learn without the clicks to be judged


def judged_by(
    context: typer.Context, data: Dataset, subset: str, by: str | None, run: Path | None
) -> tuple[Truth | None, dict[str, list[Point]]]:
    """Ground truth or None, and the clicks. Raises InputError where there is nothing to judge by."""
    from ..errors import InputError
    from ..evaluation.average_precision import need_actions
    from .eval_clicks import check_listed, clicked_videos

    if is_given(context, "points") and not data.points_file.is_file():
        raise InputError(
            "points-missing",
            f"{data.points_file} does not exist",
            required="a points file of the data set",
            next_step="check `points`, or leave it out",
        )
    check_listed(data, subset)
    clicks = clicked_videos(data, subset)
    if by is None:
        by = "clicks" if run is not None or not data.truth_file.is_file() else "truth"
        if by == "clicks" and not clicks and run is None:
            return data.truth(subset), {}  # raises, and says how to make ground truth
    if by == "clicks":
        refuse(context, ("tiou",), "by clicks", "add --by truth", code="arguments")
        if not (data.test if subset == "test" else data.train):
            raise InputError(
                "list-missing",
                f"{data.folder} lists no {subset} videos",
                required=f"a {subset}.txt with one video per line",
                next_step="check `subset` and `split`",
            )
        if not clicks:
            raise InputError(
                "no-points",
                f"Data set {data.name} has no click in its {subset} videos",
                required=f"clicks in {data.points_file.name}, or ground truth",
                next_step="check `points` and `subset`",
            )
        return None, clicks
    truth = data.truth(subset)
    need_actions(truth)
    return truth, clicks


def run_bundle(
    bundle: Bundle,
    data: Dataset,
    videos: Sequence[str],
    engine: EngineChoice,
    subset: str,
    clicks: dict[str, list[Point]],
) -> Judged:
    """Run a bundle on the videos."""
    from ..bundle.operating_point import OperatingPoint
    from ..datasets.known import notes_on, trained_videos
    from ..datasets.of_bundle import check_classes
    from ..datasets.recordings import feature_reader
    from ..diagnosis.brightness import BrightnessMeter
    from ..report.facts import bundle_facts, machine_facts
    from .eval_clicks import check_inside

    localizer = engine.localizer(bundle)
    check_classes(data, localizer.labels)
    meter = BrightnessMeter() if data.only_videos else None
    read = feature_reader(data, bundle, spec=engine.spec(), tap=None if meter is None else meter.of_video)
    events = {}
    for video in track(videos, "running"):
        features = read(video)
        end_s = features.start_s + features.duration_s
        check_inside(data, video, clicks.get(video, ()), features.start_s, end_s, features.stride_s)
        events[video] = localizer.localize(features, stream=video)
    calibration = bundle.manifest.calibration
    return Judged(
        head={"bundle": bundle.id, "engine": engine_record(localizer.backend)},
        events=dict(events),
        min_score=None if calibration is None else OperatingPoint().of(calibration, bundle.labels),
        meter=meter,
        trained_on=bool(trained_videos(bundle.manifest, data, subset)),
        seen=tuple(notes_on(bundle.manifest, data, subset, clicks)),
        facts={
            "bundle": bundle_facts(bundle),
            "machine": machine_facts(
                device=localizer.backend.actual, threads=engine.threads, precision=engine.precision
            ),
        },
    )


def read_run(folder: Path, data: Dataset, videos: Sequence[str], clicks: dict[str, list[Point]]) -> Judged:
    """The events that a run keeps of its training videos."""
    from ..bundle.operating_point import OperatingPoint
    from ..datasets.dataset import LATE_CLICK_S
    from ..diagnosis.held_out import read_held_out
    from ..errors import InputError
    from ..text.display import some
    from ..text.name_index import NameIndex
    from .eval_clicks import check_inside

    found = read_held_out(folder)
    if found.labels != data.labels:
        raise InputError(
            "labels-differ",
            f"The classes of the data set are {some(data.labels)}",
            f"those of the run: {some(found.labels)}",
            "use the data set that the run was trained on",
        )
    made, names = found.events(), NameIndex(found.videos, media=True)
    events = {}
    for video in videos:
        if (name := names.find(video)) is not None:
            end_s, stride_s = found.videos[name].duration_s, data.stride_s or LATE_CLICK_S
            check_inside(data, video, clicks.get(video, ()), 0.0, end_s, stride_s)
            events[video] = made[name]
    if not events:
        raise InputError(
            "held-out-other-videos",
            f"The run {folder} holds none of the {len(videos)} training videos of {data.name}",
            required=f"videos such as {next(iter(found.videos), 'none')}",
            next_step="use the data set and the split that the run was trained on",
        )
    least = None if found.calibration is None else OperatingPoint().of(found.calibration, found.labels)
    left_out = len(videos) - len(events)
    head: dict[str, Any] = {"run": str(folder), "videos_left_out": left_out}
    unjudged = found.unjudged({names.find(video) or video: points for video, points in clicks.items()})
    if unjudged:
        head["unjudged_classes"] = sorted(unjudged)
    return Judged(head=head, events=dict(events), min_score=least, unjudged=unjudged)


def part_of(truth: Truth, videos: dict[str, Any]) -> Truth:
    """The ground truth of some of its videos."""
    import numpy as np

    from ..datasets.truth import Truth

    names = tuple(video for video in truth.videos if video in videos)
    place = np.array([names.index(video) if video in videos else -1 for video in truth.videos])
    keep = place[truth.video] >= 0
    return Truth(names, truth.labels, place[truth.video[keep]], truth.label[keep], truth.segments[keep])

"""`punctum diagnose`: what kind of errors a bundle makes, where they are, and which clicks may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..backends.placement import engine_record
from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, Precision, Threads
from .options import is_given, one_of, refuse
from .progress import track
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle.operating_point import MinScore
    from ..bundle.reader import Bundle
    from ..datasets.dataset import Dataset, Point
    from ..datasets.truth import Truth
    from ..diagnosis.brightness import BrightnessMeter
    from ..diagnosis.diagnose import Diagnosis
    from ..events.event import Event

_ENGINE = ("device", "precision", "threads", "engines", "gpu_memory", "expect_sha256", "subset")


@dataclass(slots=True)
class _Judged:
    """The events to diagnose, and where they come from."""

    head: dict[str, Any]
    events: dict[str, Sequence[Event]]
    min_score: MinScore | None
    meter: BrightnessMeter | None = None
    trained_on: bool = False  # whether the networks may have been trained on these clicks
    facts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    unjudged: frozenset[str] = frozenset()  # classes that the networks could not learn without the clicks to be judged


def diagnose(
    context: typer.Context,
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="Bundle. Leave it out with --run.")] = None,
    dataset: Annotated[Path | None, typer.Argument(metavar="DATASET", help="Data set folder.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Instead of a bundle, a run folder of punctum train: diagnose the training videos with networks that "
            "have not seen them, and find label errors.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    subset: Annotated[str, typer.Option(help="test or train.")] = "test",
    points: Annotated[str, typer.Option(help="Points file in the data set.")] = "points.csv",
    by: Annotated[
        str | None,
        typer.Option(help="truth or clicks. Default: truth where there is gt.json, but clicks with --run."),
    ] = None,
    tiou: Annotated[float, typer.Option(help="By truth: tIoU from which an event is right.")] = 0.5,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Count events with at least this score. Default: the minimum of the bundle; without calibration the "
            "one with the best F1 here.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Maximum number of worst cases and of suspected label errors.")] = 20,
    html: Annotated[
        Path | None, typer.Option(help="Also write an HTML page, with pictures if there are videos.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
) -> None:
    """Show what kind of errors a bundle makes, what fixing them would give, and where they are.

    Judges by ground truth, or by clicks alone. Error types as in TIDE and DETAD: wrong class, badly localized, both,
    duplicate, background, missed. Also: missed actions by class, length, gap and brightness, a confusion table, the
    worst cases, and clicks that may be wrong.

    Example: punctum diagnose bundle/ data/gtea --split split_1 --html errors.html

    Example: punctum diagnose data/gtea --run runs/gtea-1 --split split_1
    """
    from ..bundle.operating_point import OperatingPoint
    from ..datasets.of_bundle import with_classes
    from ..datasets.recordings import open_recordings
    from ..errors import InputError
    from ..files.outputs import REPORT, Output
    from .diagnose_text import print_diagnosis

    if run is not None:
        if dataset is not None:
            raise InputError(
                "arguments",
                "BUNDLE and --run exclude each other",
                "one of the two",
                "leave BUNDLE out: punctum diagnose DATASET --run RUN",
            )
        refuse(context, _ENGINE, "with --run", "leave --run out", code="arguments")
        bundle, dataset, subset = None, bundle, "train"
    if dataset is None or (bundle is None and run is None):
        raise InputError(
            "arguments", "Too few arguments", "BUNDLE DATASET, or DATASET with --run", "see punctum diagnose --help"
        )
    if subset not in ("test", "train"):
        raise InputError("subset", f"--subset {subset!r} is not a subset", "test or train", "set --subset")
    if by is not None:
        one_of("--by", by, ("truth", "clicks"), code="judge-by")
    if not 0 < tiou <= 1:
        raise InputError("tiou", f"--tiou {tiou} is not a threshold", "a number above 0, at most 1", "set --tiou")
    OperatingPoint(min_score=min_score)
    page = None
    if html is not None:
        from ..report.recording import need_jinja

        need_jinja()
        reads = tuple(path for path in (bundle, dataset, run) if path is not None)
        page = Output(html, REPORT, option="`html`", inputs=reads)
        if page.is_stdout:
            raise InputError("output", "--html - is standard output, where the tables go", "a file", "name a file")
    engine = EngineChoice(device, precision, threads, engines, gpu_memory, expect_sha256=expect_sha256).checked()
    opened = open_recordings if run is None else _open_lists
    data = opened(dataset, split=split, points=points)
    loaded = None if bundle is None else engine.load(bundle)
    if loaded is not None:
        data = with_classes(data, loaded.labels)
    truth, clicks = _judged_by(context, data, subset, by, run)
    videos = tuple(truth.videos if truth is not None else clicks)
    if loaded is not None:
        judged = _run_bundle(loaded, data, videos, engine, subset, clicks)
    else:
        judged = _read_run(run or Path(), data, videos, clicks)
        if truth is not None:
            truth = data.truth("train") if len(judged.events) == len(truth.videos) else _part(truth, judged.events)
        clicks = {video: clicks.get(video, []) for video in judged.events}
    from ..diagnosis.diagnose import diagnose as find_errors

    least = judged.min_score if min_score is None else min_score
    result = find_errors(
        judged.events,
        data.labels,
        truth=truth,
        clicks=clicks or None,
        tiou=tiou,
        min_score=least,
        brightness=None if judged.meter is None else judged.meter.at,
        most=most,
        suspects=not judged.trained_on,
    )
    kept = tuple(each for each in result.suspects if each.clicked not in judged.unjudged)
    result = _with_confirmed(replace(result, suspects=kept), data)
    notes = _notes(judged, clicks)
    head = {"dataset": data.name, "split": split, "subset": subset, **judged.head, "notes": notes}
    if page is not None:
        from ..report import DiagnosisReport, build_report
        from ..report.moments import pictures_of

        name = f"{data.name} {split}" if split else data.name
        moments = pictures_of(data, [*result.cases, *result.suspects], watch=lambda items: track(items, "pictures"))
        title = f"{judged.head.get('bundle', 'run')} on {name}"
        page.write(
            build_report(
                DiagnosisReport(
                    title=title,
                    name=name,
                    subset=subset,
                    labels=data.labels,
                    diagnosis=result,
                    pictures=moments,
                    notes=tuple(notes),
                    **judged.facts,
                )
            )
        )
    if as_json:
        echo_json({**head, **result.to_record()})
        return
    print_diagnosis(result, head)
    for note in notes:
        echo(note)
    if page is not None:
        echo(f"wrote {html}")


def _with_confirmed(result: Diagnosis, data: Dataset) -> Diagnosis:
    """The diagnosis with the suspects that a person has confirmed marked as such."""
    from ..datasets.confirmed import confirmed_clicks

    known = confirmed_clicks(data) if result.suspects else frozenset()
    if not known:
        return result
    suspects = tuple(
        replace(each, confirmed=(each.video, each.clicked, round(1000 * each.time_s)) in known)
        for each in result.suspects
    )
    return replace(result, suspects=suspects)


def _open_lists(folder: Path, **lists: Any) -> Dataset:
    """A data set of which only lists, clicks and ground truth are needed."""
    from ..datasets.dataset import Dataset

    return Dataset.open(folder, **lists, need_features=False)


def _judged_by(
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


def _run_bundle(
    bundle: Bundle,
    data: Dataset,
    videos: Sequence[str],
    engine: EngineChoice,
    subset: str,
    clicks: dict[str, list[Point]],
) -> _Judged:
    """Run a bundle on the videos."""
    from ..bundle.operating_point import OperatingPoint
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
    return _Judged(
        head={"bundle": bundle.id, "engine": engine_record(localizer.backend)},
        events=dict(events),
        min_score=None if calibration is None else OperatingPoint().of(calibration, bundle.labels),
        meter=meter,
        trained_on=subset == "train" and bundle.manifest.provenance.get("dataset") == data.name,
        facts={
            "bundle": bundle_facts(bundle),
            "machine": machine_facts(
                device=localizer.backend.actual, threads=engine.threads, precision=engine.precision
            ),
        },
    )


def _read_run(folder: Path, data: Dataset, videos: Sequence[str], clicks: dict[str, list[Point]]) -> _Judged:
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
    return _Judged(head=head, events=dict(events), min_score=least, unjudged=unjudged)


def _part(truth: Truth, videos: dict[str, Any]) -> Truth:
    """The ground truth of some of its videos."""
    import numpy as np

    from ..datasets.truth import Truth

    names = tuple(video for video in truth.videos if video in videos)
    place = np.array([names.index(video) if video in videos else -1 for video in truth.videos])
    keep = place[truth.video] >= 0
    return Truth(names, truth.labels, place[truth.video[keep]], truth.label[keep], truth.segments[keep])


def _notes(judged: _Judged, clicks: dict[str, Any]) -> list[str]:
    from ..text.display import counted, some

    notes = []
    if judged.trained_on:
        notes.append(
            "The bundle was trained on a data set of this name. On videos that it was trained on, it makes fewer "
            "errors than on others, and its events do not show label errors; --run RUN judges by networks that have "
            "not seen the videos."
        )
    if judged.unjudged:
        notes.append(
            f"All clicks of {some(sorted(judged.unjudged), 5)} were held out at once, so the networks could not learn "
            "them: what is missed there says nothing about the bundle. Click such a class in another video or group."
        )
    if left_out := judged.head.get("videos_left_out"):
        notes.append(f"{counted(left_out, 'listed video')} not in the run, left out.")
    return notes

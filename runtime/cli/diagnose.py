"""`punctum diagnose`: what kind of errors a bundle makes, where they are, and which clicks may be wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, Precision, Threads
from .options import one_of, refuse
from .progress import track
from .terminal import echo, echo_json

if TYPE_CHECKING:
    from ..datasets.dataset import Dataset
    from ..diagnosis.diagnose import Diagnosis
    from ._diagnosed import Judged

_ENGINE = ("device", "precision", "threads", "engines", "gpu_memory", "expect_sha256", "subset")


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
    from ._diagnosed import judged_by, part_of, read_run, run_bundle
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
    truth, clicks = judged_by(context, data, subset, by, run)
    videos = tuple(truth.videos if truth is not None else clicks)
    if loaded is not None:
        judged = run_bundle(loaded, data, videos, engine, subset, clicks)
    else:
        judged = read_run(run or Path(), data, videos, clicks)
        if truth is not None:
            truth = data.truth("train") if len(judged.events) == len(truth.videos) else part_of(truth, judged.events)
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


def _notes(judged: Judged, clicks: dict[str, Any]) -> list[str]:
    from ..text.display import counted, some

    notes = list(judged.seen)
    if judged.trained_on:
        notes.append(
            "Events of a bundle on its training videos do not show label errors; --run RUN judges by other networks."
        )
    if judged.unjudged:
        notes.append(
            f"All clicks of {some(sorted(judged.unjudged), 5)} were held out at once, so the networks could not learn "
            "them: what is missed there says nothing about the bundle. Click such a class in another video or group."
        )
    if left_out := judged.head.get("videos_left_out"):
        notes.append(f"{counted(left_out, 'listed video')} not in the run, left out.")
    return notes

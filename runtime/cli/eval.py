"""`punctum eval`: evaluate a bundle, or a file of detections, on a data set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..backends.placement import engine_record
from ..text.display import counted
from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Precision, Threads
from ._operating_point import FalseAlarms, MinScore, TargetPrecision, TargetRecall, announce_scores, choose
from .options import refuse
from .progress import track
from .terminal import cell, console, echo_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ..bundle.chosen import ChosenMinimum
    from ..bundle.operating_point import OperatingPoint
    from ..bundle.reader import Bundle
    from ..datasets.dataset import Dataset, Point
    from ..session.offline import Localization

_OTHER_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".pdf", ".eps")
_TARGETS = ("min_score", "target_precision", "target_recall", "false_alarms_per_hour")
_ENGINE = ("device", "precision", "threads", "engines", "gpu_memory", "latency_first")


def levels(text: str) -> list[float]:
    """ "0.1:0.7:0.1" (start:stop:step, stop included) or a comma-separated list. Raises InputError."""
    from ..errors import InputError
    from ..evaluation.average_precision import check_thresholds

    try:
        if ":" not in text:
            return list(check_thresholds([float(part) for part in text.split(",")]))
        start, stop, step = (float(part) for part in text.split(":"))
        if not step > 0 or not (0 < start <= stop <= 1) or (stop - start) / step > 1000:
            raise ValueError(text)
        return [round(start + k * step, 6) for k in range(int((stop - start) / step + 1e-6) + 1)]
    except ValueError:
        raise InputError(
            "tiou",
            f"--tiou {text!r} is not a list of thresholds",
            "start:stop:step or a comma-separated list, within 0 to 1",
            "for example 0.1:0.7:0.1 or 0.5,0.75",
        ) from None


def evaluate(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="Bundle. Leave it out with --detections.")
    ] = None,
    dataset: Annotated[Path | None, typer.Argument(metavar="DATASET", help="Data set folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    subset: Annotated[str, typer.Option(help="test or train.")] = "test",
    tiou: Annotated[
        str, typer.Option(help="tIoU thresholds: start:stop:step or a comma-separated list.")
    ] = "0.1:0.7:0.1",
    detections: Annotated[
        Path | None, typer.Option(help="Evaluate this ActivityNet JSON or JSON Lines file instead of a bundle.")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Print the average precision of each class.")] = False,
    aligned: Annotated[
        bool,
        typer.Option("--alignment", help="Also print the mean overlap by confidence, and how reliable the scores are."),
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Evaluate as a stream: only what was reported in time counts.")
    ] = False,
    max_delay: Annotated[
        str | None, typer.Option(help="With --online: maximum reporting delays in seconds. Default: 0.25,0.5,1,2,5.")
    ] = None,
    tick: Annotated[
        float | None, typer.Option(help="With --online: seconds between reports. Default: a third of the delay.")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Write overlap by confidence and the reliability of the scores, or with --online the delay curve, to "
            "this SVG file."
        ),
    ] = None,
    min_score: MinScore = None,
    target_precision: TargetPrecision = None,
    target_recall: TargetRecall = None,
    false_alarms_per_hour: FalseAlarms = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    latency_first: LatencyFirst = False,
) -> None:
    """Compute mean average precision (ActivityNet protocol), recall and alignment on a data set.

    Where the videos have clicks, also which clicks the bundle finds and how many of its events hold one. Without
    gt.json that is all. A minimum score that is chosen as for punctum run is judged on these videos.

    Example: punctum eval bundle/ data/gtea --split split_1 --json

    Example: punctum eval bundle/ data/gtea --split split_1 --false-alarms-per-hour 20

    A data set of videos, through the backbone of the bundle: punctum eval runs/urfall/bundle data/urfall

    Example: punctum eval data/gtea --split split_1 --detections events.jsonl --per-class

    Example: punctum eval bundle/ data/gtea --split split_1 --online --max-delay 0.5,1,2 --figure delay.svg
    """
    from ..bundle.operating_point import OperatingPoint, minimum
    from ..datasets.dataset import Dataset
    from ..datasets.known import notes_on
    from ..datasets.of_bundle import with_classes
    from ..datasets.recordings import open_recordings
    from ..errors import InputError
    from ..evaluation.alignment import alignment, draw_alignment
    from ..evaluation.average_precision import Detections, average_recall, need_actions, read_detections, recall
    from ..evaluation.average_precision import evaluate as judge
    from ..evaluation.reliability import reliability
    from ..files.outputs import FIGURE, Output
    from .eval_clicks import check_listed, clicked_videos, judge_by_clicks, print_clicks, print_notes
    from .eval_minimum import judge_at_minimum
    from .eval_online import eval_online, online_delays

    if detections is not None:
        if dataset is not None:
            raise InputError(
                "arguments",
                "BUNDLE and --detections exclude each other",
                "one of the two",
                "leave BUNDLE out: punctum eval DATASET --detections FILE",
            )
        refuse(context, _ENGINE, "with --detections", "leave --detections out", code="arguments")
        if expect_sha256 is not None:
            raise InputError(
                "option-unfit",
                "--expect-sha256 has no effect with --detections",
                next_step="leave it out, or evaluate a bundle",
            )
        bundle, dataset = None, bundle
    if dataset is None or (bundle is None and detections is None):
        raise InputError(
            "arguments", "Too few arguments", "BUNDLE DATASET, or DATASET with --detections", "see punctum eval --help"
        )
    if subset not in ("test", "train"):
        raise InputError("subset", f"--subset {subset!r} is not a subset", "test or train", "set --subset")
    wanted = levels(tiou)
    point = OperatingPoint(min_score, target_precision, target_recall, false_alarms_per_hour)
    if detections is not None:
        unfit = _TARGETS[1:] if online else _TARGETS  # a file has no calibration
        refuse(context, unfit, "with --detections", "leave --detections out", code="arguments")
    drawn = None
    if figure is not None:
        reads = [path for path in (bundle, dataset, detections) if path is not None]
        drawn = Output(figure, FIGURE, option="`figure`", inputs=tuple(reads))
        if drawn.is_stdout and as_json:
            raise InputError("arguments", "--figure - with --json", "one of them on standard output", "name a file")
        if figure.suffix.lower() in _OTHER_PICTURES:
            raise InputError("arguments", f"--figure {figure}", "SVG, the only format", "name a file that ends in .svg")
    engine = EngineChoice(
        device, precision, threads, engines, gpu_memory, latency_first, expect_sha256=expect_sha256
    ).checked()
    if online or max_delay is not None or tick is not None:
        delays = online_delays(max_delay, tick, online=online, aligned=aligned, recorded=detections is not None)
    data = (
        open_recordings(dataset, split=split)
        if detections is None
        else Dataset.open(dataset, split=split, need_features=False)
    )
    check_listed(data, subset)
    if bundle is not None:
        data = with_classes(data, engine.load(bundle).labels)
    clicks = {} if detections is not None else clicked_videos(data, subset)
    notes = [] if bundle is None else notes_on(engine.load(bundle).manifest, data, subset, clicks)
    clicks = {} if online else clicks
    truth = data.truth(subset) if data.truth_file.is_file() or not clicks else None
    if truth is not None:
        need_actions(truth)  # before the bundle runs
    timing: dict[str, float] = {}
    head: dict[str, Any] = {"dataset": data.name, "split": split, "subset": subset, "notes": notes}
    if truth is None:
        refuse(context, ("tiou", "aligned", "figure"), "without gt.json", "add gt.json", code="arguments")
        loaded, least = _choice(bundle or Path(), point, engine, quiet=as_json)
        events, head["engine"] = _events(loaded, data, tuple(clicks), engine, timing, clicks)
        by_clicks = judge_by_clicks(least.min_score, data, events, clicks, timing["media_s"]).to_record()
        head["minimum"] = least.text
        if as_json:
            echo_json({**head, "bundle": loaded.id, "clicks": by_clicks, "timing": timing})
        else:
            out = console()
            out.print(cell(least.text), soft_wrap=True)
            print_clicks(by_clicks, out, per_class=per_class)
            print_notes(notes, out)
        return
    if online:
        if bundle is not None and point != OperatingPoint():
            min_score = minimum(choose(point, engine.load(bundle), quiet=as_json).min_score, "")  # one for all classes
        eval_online(
            bundle,
            data,
            truth,
            delays=delays,
            tick_s=tick,
            detections=detections,
            thresholds=wanted,
            head=head,
            figure=drawn,
            per_class=per_class,
            as_json=as_json,
            engine=engine,
            min_score=min_score,
        )
        return
    began = time.perf_counter()
    judged: dict[str, Any] | None = None
    at_minimum: dict[str, Any] | None = None
    if detections is not None:
        found = read_detections(detections, truth)
        head["detections"] = str(detections)
        timing["read_s"] = time.perf_counter() - began
    else:
        loaded, least = _choice(bundle or Path(), point, engine, quiet=as_json)
        events, head["engine"] = _events(loaded, data, truth.videos, engine, timing, clicks)
        head["bundle"], found = loaded.id, Detections.from_events(events, truth)
        if clicks.keys() >= events.keys():
            judged = judge_by_clicks(least.min_score, data, events, clicks, timing["media_s"]).to_record()
        head["minimum"] = least.text
        at_minimum = judge_at_minimum(least.min_score, truth, found, timing["media_s"] / 3600)
    began = time.perf_counter()
    result = judge(truth, found, wanted)
    body = result.to_record(per_class=per_class)
    ranked = alignment(truth, found)
    body["recall"] = {
        **recall(truth, found, wanted),
        "at_number_of_proposals": average_recall(truth, found, wanted),
    }
    body["alignment"] = ranked.to_record() if aligned else {"rank_correlation": ranked.to_record()["rank_correlation"]}
    shares = reliability(truth, found) if aligned or drawn is not None else None
    if aligned and shares is not None:
        body["reliability"] = shares.to_record()
    body["counts"] |= {"videos": len(truth.videos), "videos_ignored": len(found.ignored_videos)}
    if at_minimum is not None:
        body["at_minimum_score"] = at_minimum
    if judged is not None:
        body["clicks"] = judged
    timing["judge_s"] = time.perf_counter() - began
    if drawn is not None:
        drawn.write(draw_alignment(ranked, None, names=("confidence", ""), reliability=shares))
    record = {"map": body.pop("map"), **head, **body, "timing": timing}
    if as_json:
        echo_json(record)
    else:
        shown = console(stderr=drawn is not None and drawn.is_stdout)
        _print(record, shown)
        if drawn is not None and not drawn.is_stdout:
            shown.print(cell(f"wrote {figure}"), soft_wrap=True)


def _choice(path: Path, point: OperatingPoint, engine: EngineChoice, *, quiet: bool) -> tuple[Bundle, ChosenMinimum]:
    """The bundle, and the minimum score from which its events are judged."""
    bundle = engine.load(path)
    if not quiet:
        announce_scores(bundle, path)
    return bundle, choose(point, bundle, quiet=quiet)


def _events(
    bundle: Bundle,
    data: Dataset,
    videos: Sequence[str],
    engine: EngineChoice,
    timing: dict[str, float],
    clicks: dict[str, list[Point]],
) -> tuple[dict[str, Localization], dict[str, Any]]:
    """Run the bundle on the evaluated videos. Returns its events and the record of the engine."""
    from ..datasets.of_bundle import check_classes
    from ..datasets.recordings import feature_reader
    from .eval_clicks import check_inside

    localizer = engine.localizer(bundle)
    check_classes(data, localizer.labels)
    read = feature_reader(data, bundle, spec=engine.spec())
    events, media, spent, extracting = {}, 0.0, 0.0, 0.0
    for video in track(videos, "running"):
        began = time.perf_counter()
        features = read(video)
        extracting += time.perf_counter() - began
        end_s = features.start_s + features.duration_s
        check_inside(data, video, clicks.get(video, ()), features.start_s, end_s, features.stride_s)
        media += features.duration_s
        began = time.perf_counter()
        events[video] = localizer.localize(features, stream=video)
        spent += time.perf_counter() - began
    if data.only_videos:
        timing["features_s"], spent = extracting, spent + extracting
    timing |= {"run_s": spent, "media_s": media, "real_time_factor": spent / media if media else 0.0}
    return events, engine_record(localizer.backend)


def _print(record: dict[str, Any], shown: Console) -> None:
    from rich.table import Table

    from .eval_clicks import print_clicks, print_notes
    from .eval_minimum import print_at_minimum
    from .eval_reliability import print_reliability

    table = Table(title=cell(f"{record['dataset']} {record['split'] or ''} {record['subset']}".strip()))
    columns = list(record["map"])
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row("mAP", *(f"{record['map'][name]:.3f}" for name in columns))
    table.add_row("recall", *(f"{record['recall'][name]:.3f}" for name in columns))
    for label, row in record.get("per_class", {}).items():
        table.add_row(cell(label), *(f"{row[name]:.3f}" for name in columns))
    shown.print(table)
    counts = record["counts"]
    shown.print(
        f"{counted(counts['detections'], 'detection')} of {counted(counts['truth'], 'action')}, "
        f"{counted(counts['classes'], 'class', 'classes')}, {counted(counts['videos'], 'video')}"
    )
    for key, one, many in (
        ("videos_without_detections", "video without a detection", "videos without a detection"),
        ("videos_ignored", "video in the file that is not evaluated", "videos in the file that are not evaluated"),
        (
            "detections_of_classes_without_truth",
            "detection of a class without truth here, not evaluated",
            "detections of classes without truth here, not evaluated",
        ),
    ):
        if counts[key]:
            shown.print(counted(counts[key], one, many))
    if record["alignment"]["rank_correlation"] is not None:
        shown.print(f"rank correlation of confidence and best IoU: {record['alignment']['rank_correlation']:.3f}")
    if "mean_iou_by_confidence" in record["alignment"]:
        curve = " ".join(f"{x:.2f}" for x in record["alignment"]["mean_iou_by_confidence"])
        shown.print(f"mean best IoU from least to most confident: {curve}")
        print_reliability(record["reliability"], shown)
    if "at_minimum_score" in record:
        shown.print(cell(record["minimum"]), soft_wrap=True)
        print_at_minimum(record["at_minimum_score"], shown)
    if "clicks" in record:
        print_clicks(record["clicks"], shown, per_class=False)
    if record["classes_without_truth"]:
        shown.print(cell(f"no truth for: {', '.join(record['classes_without_truth'])}"))
    print_notes(record["notes"], shown)

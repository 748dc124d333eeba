"""`punctum eval --online`: accuracy of what was reported within a maximum delay."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.placement import engine_record
from ..text.display import counted
from .progress import track
from .terminal import cell, console, echo_json

if TYPE_CHECKING:
    from rich.console import Console

    from ..datasets.dataset import Dataset, Truth
    from ..evaluation.online import OnlineRow
    from ..files.outputs import Output
    from ._engine import EngineChoice

Rows = list["OnlineRow"]
DELAYS = "0.25,0.5,1,2,5"


def online_delays(
    text: str | None, tick_s: float | None, *, online: bool, aligned: bool, recorded: bool
) -> tuple[float, ...]:
    """The delays of --max-delay. Raises InputError for an invalid list or combination of options."""
    from ..errors import InputError
    from ..evaluation.online import check_delays
    from ..live import LiveOptions

    for given, allowed in (
        (not online, "--max-delay and --tick with --online only"),
        (online and aligned, "--alignment without --online"),
        (recorded and tick_s is not None, "--tick with a bundle: a recording has its own"),
    ):
        if given:
            raise InputError("arguments", "These options cannot be combined", allowed, "see punctum eval --help")
    text = DELAYS if text is None else text
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "max-delay",
            f"--max-delay {text!r} is not a list of numbers",
            "a comma-separated list of seconds",
            f"use for example {DELAYS}",
        ) from None
    delays = check_delays(numbers)
    for delay in delays:
        LiveOptions(max_delay_s=delay, tick_s=tick_s)  # before anything runs
    return delays


def eval_online(
    bundle: Path | None,
    data: Dataset,
    truth: Truth,
    *,
    delays: tuple[float, ...],
    tick_s: float | None,
    detections: Path | None,
    thresholds: Sequence[float],
    head: dict[str, Any],
    figure: Output | None,
    per_class: bool,
    as_json: bool,
    engine: EngineChoice,
    min_score: float | None = None,
) -> None:
    """Evaluate a bundle as a stream at every deadline, or a recorded stream of events; print a table or JSON.

    min_score: reports below it do not count, except in the mAP. None: that of the best F1 of the final events.
    """
    from ..evaluation.figures import draw_online
    from .eval_clicks import print_notes

    if detections is not None:
        head |= {"detections": str(detections)}
        rows, point, ignored = _recorded(detections, data, truth, delays, thresholds, min_score)
    else:
        rows, point, ignored = _streamed(
            bundle or Path(), data, truth, delays, tick_s, thresholds, head, engine, min_score
        )
    if figure is not None:
        figure.write(draw_online(rows, title=f"{head['dataset']} {head['split'] or ''}".strip()))
    offline = rows[-1].to_record(per_class=per_class)
    record = {
        "map": offline["map"],
        **head,
        "tiou_of_a_match": 0.5,
        "score_floor": point,
        "media_hours": rows[-1].hours,
        "truths": rows[-1].result.truths,
        "videos_ignored": ignored,
        "online": [row.to_record(per_class=per_class) for row in rows[:-1]],
        "offline": offline,
    }
    if as_json:
        echo_json(record)
        return
    shown = console(stderr=figure is not None and figure.is_stdout)
    _print(record, shown)
    print_notes(record["notes"], shown)
    if figure is not None and not figure.is_stdout:
        shown.print(cell(f"wrote {figure.path}"), soft_wrap=True)


def _streamed(
    path: Path,
    data: Dataset,
    truth: Truth,
    delays: tuple[float, ...],
    tick_s: float | None,
    thresholds: Sequence[float],
    head: dict[str, Any],
    engine: EngineChoice,
    min_score: float | None,
) -> tuple[Rows, dict[str, Any], int]:
    """Run every video as a whole and, for each maximum delay, as a stream."""
    from ..datasets.of_bundle import check_classes
    from ..datasets.recordings import feature_reader
    from ..evaluation.online import Claims, evaluate_claims, replay
    from ..live import LiveOptions

    options = [LiveOptions(max_delay_s=d, tick_s=tick_s) for d in delays]
    loaded = engine.load(path)
    localizer = engine.localizer(loaded)
    head |= {"bundle": loaded.id, "engine": engine_record(localizer.backend)}
    check_classes(data, localizer.labels)
    read = feature_reader(data, loaded, spec=engine.spec())
    runs: list[dict[str, Any]] = [{} for _ in range(len(options) + 1)]
    spent, media = [0.0] * len(runs), 0.0
    for video in track(truth.videos, "running"):
        features = read(video)
        media += features.duration_s
        for k, found in enumerate(runs):
            began = time.perf_counter()
            if k < len(options):
                found[video] = replay(localizer, features, stream=video, live=options[k])
            else:
                found[video] = localizer.localize(features, stream=video)
            spent[k] += time.perf_counter() - began
    claims = [Claims.from_events(found, truth) for found in runs]
    point = _operating_point(truth, claims[-1], min_score)
    rows = [
        evaluate_claims(
            truth,
            one,
            d,
            min_score=_number(point),
            hours=media / 3600 or None,
            thresholds=thresholds,
            real_time_factor=used / media if media else None,
        )
        for one, d, used in zip(claims, (*delays, math.inf), spent, strict=True)
    ]
    return rows, point, 0


def _recorded(
    path: Path,
    data: Dataset,
    truth: Truth,
    delays: tuple[float, ...],
    thresholds: Sequence[float],
    min_score: float | None,
) -> tuple[Rows, dict[str, Any], int]:
    """Evaluate one recorded run at every deadline."""
    from ..evaluation.online import evaluate_claims, read_claims

    claims = read_claims(path, truth)
    point = _operating_point(truth, claims, min_score)
    hours = media_hours(data, truth)
    rows = [
        evaluate_claims(truth, claims, d, min_score=_number(point), hours=hours, thresholds=thresholds)
        for d in (*delays, math.inf)
    ]
    return rows, point, len(claims.ignored_videos)


def media_hours(data: Dataset, truth: Truth) -> float | None:
    """Length of all evaluated videos as the truth file states it; None where it does not."""
    from ..datasets.dataset import read_json

    database = read_json(data.truth_file)["database"]
    total = 0.0
    for video in truth.videos:
        length = database[video].get("duration")
        if not isinstance(length, int | float) or not (math.isfinite(length) and length > 0):
            return None
        total += length
    return total / 3600


def _operating_point(truth: Truth, claims: Any, min_score: float | None) -> dict[str, Any]:
    """The score from which reports count; without F1 if it was asked for."""
    from ..evaluation.online import best_operating_point

    if min_score is not None:
        return {"score": min_score, "f1": None}
    found = best_operating_point(truth, claims.by_deadline(math.inf))
    return {"score": found.score if math.isfinite(found.score) else None, "f1": found.f1}


def _number(point: dict[str, Any]) -> float:
    return math.inf if point["score"] is None else float(point["score"])


def _print(record: dict[str, Any], shown: Console) -> None:
    from rich.table import Table

    def number(value: float | None, form: str = ".2f") -> str:
        return "-" if value is None else format(value, form)

    columns = [*record["online"], record["offline"]]
    table = Table(title=cell(f"{record['dataset']} {record['split'] or ''} {record['subset']}, as a stream".strip()))
    table.add_column("allowed delay")
    for row in columns:
        table.add_column("offline" if row["max_delay_s"] is None else f"{row['max_delay_s']:g} s", justify="right")
    for level in record["map"]:
        table.add_row(f"mAP {level}", *(number(row["map"][level], ".3f") for row in columns))
    for label in record["offline"].get("per_class", {}):
        table.add_row(cell(f"AP {label}"), *(number(row["per_class"][label]["average"], ".3f") for row in columns))
    table.add_section()
    table.add_row("actions reported in time", *(number(row["in_time"]) for row in columns))
    for key, name in (("detection_delay_s", "detection delay, s"), ("start_latency_s", "start latency, s")):
        for part in ("mean", "median", "p95"):
            table.add_row(f"{name}, {part}", *(number(row[key][part]) for row in columns))
    table.add_row("actions never reported", *(number(row["detection_delay_s"]["never"]) for row in columns))
    table.add_section()
    for key, name, form in (
        ("false_alarms_per_hour", "false alarms per hour", ".0f"),
        ("duplicates_per_hour", "duplicates per hour", ".0f"),
        ("first_seen_open", "events first seen open", ".2f"),
        ("revisions_per_event", "revisions per event", ".2f"),
        ("retractions_per_event", "events retracted", ".2f"),
        ("real_time_factor", "real-time factor", ".4f"),
    ):
        table.add_row(name, *(number(row[key], form) for row in columns))
    shown.print(table)
    point = record["score_floor"]
    if point["score"] is None:
        shown.print("no final event matches an action at tIoU 0.5, so only mAP means anything")
    else:
        why = "as asked for"
        if point["f1"] is not None:
            why = f"which gives the best F1 ({point['f1']:.3f}) of the final events at tIoU 0.5"
        shown.print(
            f"{counted(record['truths'], 'action')}. Below the mAP: reports with a score of at least "
            f"{point['score']:.4g}, {why}."
        )
    if record["videos_ignored"]:
        shown.print(
            counted(
                record["videos_ignored"],
                "stream in the file that is not evaluated",
                "streams in the file that are not evaluated",
            )
        )

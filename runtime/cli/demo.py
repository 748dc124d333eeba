"""`punctum demo`: render a new video, run it as a stream, compare the events with the ground truth, write a report.

With --sensors it uses a synthetic sensor sequence instead, without a report; this needs no PyAV.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..text.display import counted
from ._engine import Device, EngineChoice, Engines, Precision, Threads
from .options import check_score, refuse
from .terminal import cell, console, echo_json

if TYPE_CHECKING:
    from ..events.event import Event
    from .demo_video import Summary

Row = tuple[str, float, float, "Event | None", float]
"""An action of the ground truth (class, start, end), the event that matches it, and their tIoU."""


def demo(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="Seed of the recording. Training used other seeds.")] = 7,
    seconds: Annotated[float, typer.Option(help="Length of the recording in seconds.")] = 60.0,
    min_score: Annotated[
        float | None, typer.Option(help="Show events with at least this score. Default: the minimum of the bundle.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the video and the report.")] = Path(
        "punctum-demo"
    ),
    sensors: Annotated[bool, typer.Option("--sensors", help="Use a sensor sequence instead of a video.")] = False,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    engines: Engines = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Render a video, stream it through the included bundle, and show the events next to the ground truth.

    Example: punctum demo --seed 7

    Without PyAV: punctum demo --sensors
    """
    from ..errors import InputError

    if not 10 <= seconds <= 3600:
        raise InputError("seconds", f"--seconds {seconds:g} is outside the range", "10 to 3600", "correct --seconds")
    check_score(0.0 if min_score is None else min_score)
    engine = EngineChoice(device, precision, threads, engines).checked()
    if not sensors:
        from .demo_video import demo_video

        demo_video(seed=seed, seconds=seconds, min_score=min_score, out=out, as_json=as_json, engine=engine)
        return
    refuse(context, ["out"], "with --sensors", "leave --sensors out")
    demo_sensors(seed=seed, seconds=seconds, min_score=min_score, as_json=as_json, engine=engine)


def demo_sensors(*, seed: int, seconds: float, min_score: float | None, as_json: bool, engine: EngineChoice) -> None:
    """Stream a synthetic sensor sequence through the small bundle for it."""
    import numpy as np
    from punctum import kernels

    from ..bundle.operating_point import OperatingPoint, minimum
    from ..bundle.reader import Bundle
    from ..synthetic.sensors import LABELS, STRIDE_S, make_sequence

    began = time.perf_counter()
    with resources.as_file(resources.files("punctum.runtime") / "assets" / "demo") as folder:
        bundle = Bundle.load(folder)
    least = OperatingPoint(min_score).of(bundle.manifest.calibration, bundle.labels)
    localizer = engine.localizer(bundle)
    kernels.warm_up("run")
    ready_s = time.perf_counter() - began
    sequence = make_sequence(1_000_003 + seed, seconds=seconds)
    began = time.perf_counter()
    chunks = np.array_split(sequence.features, max(1, len(sequence.features) // 10))  # one second at a time
    events = [e for e in localizer.stream(iter(chunks), stream="demo") if e.score >= minimum(least, e.label)]
    spent = time.perf_counter() - began
    events.sort(key=lambda e: e.start)
    rows: list[Row] = []
    segments = np.array([[e.start, e.end] for e in events]).reshape(-1, 2)
    taken: set[int] = set()
    for label, start, end in sequence.actions:
        overlap = kernels.segment_iou([[start, end]], segments)[0] if len(segments) else np.zeros(0)
        same = [
            (overlap[i], i)
            for i, e in enumerate(events)
            if e.label == LABELS[label] and i not in taken and overlap[i] > 0.1
        ]
        iou, best = max(same, default=(0.0, -1))
        if best >= 0:
            taken.add(best)
        rows.append((LABELS[label], start, end, events[best] if best >= 0 else None, float(iou)))
    extra = [e for i, e in enumerate(events) if i not in taken]
    record: Summary = {
        "bundle": bundle.id,
        "actions": len(rows),
        "found": sum(1 for row in rows if row[3] is not None),
        "false_alarms": len(extra),
        "mean_iou": float(np.mean([row[4] for row in rows])) if rows else 0.0,
        "ready_s": ready_s,
        "real_time_factor": spent / (len(sequence.features) * STRIDE_S),
        "events": [json.loads(e.to_json()) for e in events],
    }
    if as_json:
        echo_json(record)
        return
    _show(rows, extra, record)


def _show(rows: Sequence[Row], extra: Sequence[Event], record: Summary) -> None:
    from rich.table import Table

    table = Table(title="actions in the sequence, and the events found")
    for column in ("truth", "start", "end", "event", "start", "end", "score", "IoU"):
        table.add_column(column, justify="left" if column in ("truth", "event") else "right")
    for label, start, end, event, iou in rows:
        cells = [label, f"{start:.2f}", f"{end:.2f}"]
        if event is None:
            cells += ["[red]missed[/red]", "", "", "", ""]
        else:
            cells += [event.label, f"{event.start:.2f}", f"{event.end:.2f}", f"{event.score:.2f}", f"{iou:.2f}"]
        table.add_row(*cells)
    for event in extra:
        table.add_row(
            "[yellow]nothing[/yellow]",
            "",
            "",
            event.label,
            f"{event.start:.2f}",
            f"{event.end:.2f}",
            f"{event.score:.2f}",
            "",
        )
    shown = console()
    shown.print(table)
    shown.print(
        f"{record['found']} of {counted(record['actions'], 'action')} found, "
        f"{counted(record['false_alarms'], 'false alarm')}, "
        f"mean IoU {record['mean_iou']:.2f}; {1 / max(record['real_time_factor'], 1e-9):.0f} times real time"
    )
    shown.print(cell(f"bundle {record['bundle']}"))

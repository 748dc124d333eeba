"""`punctum report`: the results of a bundle as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..text.display import as_utf8
from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, Precision, Threads
from ._video import Fps
from .options import refuse
from .progress import track
from .terminal import echo, say


def report(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help='Bundle folder or zip, or "default".')],
    input: Annotated[Path | None, typer.Argument(metavar="INPUT", help="A .npy file of features, or a video.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write; - for standard output.")] = Path(
        "report.html"
    ),
    data: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="Instead of INPUT: evaluate the bundle on this data set.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="With --data: split folder, for example split_1.")] = None,
    subset: Annotated[str, typer.Option(help="With --data: test or train.")] = "test",
    truth: Annotated[Path | None, typer.Option(help="Ground truth of INPUT, in ActivityNet form.")] = None,
    events: Annotated[
        Path | None, typer.Option(help="Show these recorded events (JSON Lines) instead of running the bundle.")
    ] = None,
    max_delay: Annotated[
        float | None,
        typer.Option(help="Run as a stream with this maximum reporting delay in seconds, and show the phases."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page. Default: the input's name.")] = "",
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    fps: Fps = None,
) -> None:
    """Write a self-contained HTML file: timeline, score tracks, events with phase and delay, figures, bundle.

    Example: punctum report bundle/ clip.mp4 --truth gt.json --max-delay 1 --out report.html

    Example: punctum report bundle/ --data data/gtea --split split_1 --out report.html
    """
    from ..errors import InputError
    from ..files.outputs import REPORT, Output
    from ..report import build_report, report_dataset, report_recording
    from ..report.given import read_actions, read_events
    from ..report.recording import need_jinja

    need_jinja()
    if (input is None) == (data is None):
        raise InputError(
            "arguments",
            "INPUT and --data exclude each other" if data else "Neither INPUT nor --data was given",
            "one of the two",
            "punctum report BUNDLE INPUT, or punctum report BUNDLE --data DATASET",
        )
    given = {"--truth": truth, "--events": events, "--fps": fps} if data else {"--split": split}
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise InputError(
            "arguments",
            f"{', '.join(wrong)} cannot be used {'with' if data else 'without'} --data",
            "the options of one recording, or those of a data set",
            f"leave {wrong[0]} out",
        )
    if not data:
        refuse(context, ["subset"], "without --data", "add --data", code="arguments")
    if events is not None and max_delay is not None:
        raise InputError("arguments", "--events and --max-delay exclude each other", "one of the two", "leave one out")
    reads = [bundle, *(path for path in (input, data, truth, events) if path is not None)]
    target = Output(out, REPORT, inputs=tuple(reads))
    engine = EngineChoice(device, precision, threads, engines, gpu_memory, expect_sha256=expect_sha256).checked()
    loaded = engine.load(bundle)
    lost: list[str] = []
    if input is not None:
        made = report_recording(
            loaded,
            input,
            truth=None if truth is None else read_actions(truth, as_utf8(input.stem), loaded.labels),
            events=None if events is None else read_events(events, as_utf8(input.stem), loaded.labels),
            max_delay_s=max_delay,
            title=title,
            fps=fps,
            warn=lambda text: lost.append(text),
            spec=engine.spec(),
        )
        target.write(build_report(made))
    else:
        judged = report_dataset(
            loaded,
            data or Path(),
            split=split,
            subset=subset,
            max_delay_s=max_delay,
            title=title,
            spec=engine.spec(),
            watch=lambda videos: track(videos, "running"),
        )
        target.write(build_report(judged))
    if not target.is_stdout:
        size = f" ({out.stat().st_size / 1024:,.0f} KiB)" if out.is_file() else ""
        echo(f"wrote {out}{size}")
    for text in lost:
        say(f"warning: {text}")

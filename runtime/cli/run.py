"""`punctum run`: events from features, one JSON line each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    input: Annotated[Path, typer.Argument(help="Features: one .npy file, or a folder of them.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of to standard output.")] = None,
    format: Annotated[str, typer.Option(help="jsonl or activitynet.")] = "jsonl",
    min_score: Annotated[float, typer.Option(help="Print events from this score on.")] = 0.0,
    label: Annotated[list[str] | None, typer.Option("--label", help="Only this class; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="cpu.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the inference engine.")] = 1,
    stats: Annotated[bool, typer.Option("--stats", help="Print time per stage to standard error.")] = False,
) -> None:
    """Find the actions in features and print one event a line.

    Example: punctum run bundle/ recording.npy --min-score 0.2 > events.jsonl
    """
    from .._files import atomic_write
    from ..bundle import Bundle
    from ..errors import InputError
    from ..features import load_features
    from ..localizer import Localizer
    from ..sinks import to_activitynet, to_jsonl

    if format not in ("jsonl", "activitynet"):
        raise InputError("format", f"format {format!r}", "jsonl or activitynet", "set --format")
    localizer = Localizer(Bundle.load(bundle), device=device, threads=threads)
    for name in label or []:
        if name not in localizer.labels:
            raise InputError(
                "label-unknown", f"label {name!r}", ", ".join(localizer.labels), "set --label to one of these"
            )
    files = sorted(input.glob("*.npy")) if input.is_dir() else [input]
    if not files:
        raise InputError(
            "features-missing", f"{input} holds no .npy file", "a file or a folder of .npy files", "check the path"
        )
    results = {}
    for file in files:
        features = load_features(file, stride_s=localizer.plan.stride_s, dim=localizer.plan.dim)
        events = localizer.localize(features, stream=file.stem)
        results[file.stem] = [e for e in events if e.score >= min_score and (not label or e.label in label)]
        if stats:
            spent = localizer.last_stats
            stages = {"locate": spent.locate_s, "islands": spent.islands_s, "score": spent.score_s}
            text = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in stages.items())
            typer.echo(
                f"{file.stem}: {spent.media_s:.1f} s of media, {len(events)} events; {text}, "
                f"real-time factor {spent.real_time_factor:.5f}",
                err=True,
            )
        if out is None and format == "jsonl":
            sys.stdout.write(to_jsonl(results[file.stem]))
    if format == "activitynet":
        text = to_activitynet(results)
        if out is None:
            sys.stdout.write(text)
    else:
        text = "".join(to_jsonl(events) for events in results.values())
    if out is not None:
        atomic_write(out, text)

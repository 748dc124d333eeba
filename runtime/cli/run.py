"""`punctum run`: events from features, one JSON line each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

LIVE: dict[str, Any] = {"rich_help_panel": "Live (with --stream)"}


def run(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip.")],
    input: Annotated[
        str,
        typer.Argument(
            help="Features: one .npy file, or a folder of them. With --stream also - (standard input), "
            "tcp://host:port, unix:///path, raw float32 and framed files."
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here instead of to standard output.")] = None,
    format: Annotated[str, typer.Option(help="jsonl or activitynet.")] = "jsonl",
    min_score: Annotated[float, typer.Option(help="Print events from this score on.")] = 0.0,
    label: Annotated[list[str] | None, typer.Option("--label", help="Only this class; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="cpu.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the inference engine.")] = 1,
    stats: Annotated[bool, typer.Option("--stats", help="Print time per stage to standard error.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Live: events as features come.", **LIVE)] = False,
    max_delay: Annotated[
        float | None, typer.Option(help="Report an action at most so many seconds after its end, final or not.", **LIVE)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more at the end of a file or folder.", **LIVE)] = (
        False
    ),
    idle_s: Annotated[
        float | None, typer.Option(help="End when nothing came for so many seconds; default: never.", **LIVE)
    ] = None,
    reconnect_s: Annotated[
        float, typer.Option(help="Seconds that a sender which broke off may take to come back.", **LIVE)
    ] = 0.0,
    start_s: Annotated[float, typer.Option(help="Media time of the first snippet, for files.", **LIVE)] = 0.0,
    name: Annotated[str, typer.Option(help="Name of the stream in events; default: the source's.", **LIVE)] = "",
    on_bad_chunk: Annotated[
        str | None,
        typer.Option(help="skip or stop. Default: skip what came twice or too late, stop at NaN and the rest.", **LIVE),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(help="Publish events: mqtt://[user@]host[:port]/topic (mqtts:// for TLS).", **LIVE)
    ] = None,
    mqtt_queue: Annotated[int, typer.Option(help="Events that may wait for the broker.", **LIVE)] = 10_000,
    metrics: Annotated[
        str | None, typer.Option(help="Serve /metrics, /healthz and /readyz on [HOST]:PORT.", **LIVE)
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Keep the state here, and go on from it. Needs --out and a file source.", **LIVE)
    ] = None,
    snapshot_every: Annotated[float, typer.Option(help="Seconds between snapshots.", **LIVE)] = 10.0,
) -> None:
    """Find the actions in features and print one event a line.

    Example: punctum run bundle/ recording.npy --min-score 0.2 > events.jsonl

    Live: sender | punctum run bundle/ - --stream --max-delay 1.0 --out events.jsonl --metrics :9100
    """
    if stream:
        from ..errors import InputError as WrongInput
        from .stream import StreamOptions
        from .stream import stream as run_stream

        if format != "jsonl":
            raise WrongInput("format", f"--stream with format {format!r}", "jsonl", "leave --format out")
        options = StreamOptions(
            out=out,
            max_delay_s=max_delay,
            name=name,
            start_s=start_s,
            follow=follow,
            idle_s=idle_s,
            reconnect_s=reconnect_s,
            on_bad_chunk=on_bad_chunk,
            mqtt=mqtt,
            mqtt_queue=mqtt_queue,
            metrics=metrics,
            snapshot=snapshot,
            snapshot_every_s=snapshot_every,
            min_score=min_score,
            labels=tuple(label or ()),
        )
        run_stream(bundle, input, options, device=device, threads=threads)
        return
    live_only = {"--max-delay": max_delay, "--follow": follow or None, "--mqtt": mqtt, "--metrics": metrics}
    _run_files(
        bundle,
        Path(input),
        out=out,
        format=format,
        min_score=min_score,
        label=label,
        device=device,
        threads=threads,
        stats=stats,
        live_only=[option for option, value in {**live_only, "--snapshot": snapshot}.items() if value is not None],
    )


def _run_files(
    bundle: Path,
    input: Path,
    *,
    out: Path | None,
    format: str,
    min_score: float,
    label: list[str] | None,
    device: str,
    threads: int,
    stats: bool,
    live_only: list[str],
) -> None:
    """Whole recordings: every file on its own, final events only."""
    from .._files import atomic_write
    from ..bundle import Bundle
    from ..errors import InputError
    from ..features import load_features
    from ..localizer import Localizer
    from ..sinks import to_activitynet, to_jsonl

    if live_only:
        raise InputError("needs-stream", f"{', '.join(live_only)} without --stream", "a live run", "add --stream")
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

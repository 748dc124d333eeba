"""`punctum run`: events from features or video, one line of JSON each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..text.display import counted
from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Precision, Threads, announce
from ._identity import check_start, run_id_of
from ._live_options import (
    LIVE_PANEL,
    AllowHost,
    CredentialsFile,
    Follow,
    IdleS,
    MaxDelay,
    MetricsAddress,
    Mqtt,
    MqttQueue,
    Name,
    OnBadChunk,
    Overflow,
    ReconnectS,
    RtspTransport,
    SilentS,
    Snapshot,
    SnapshotEvery,
    StartS,
    Stream,
    StreamOptions,
)
from ._operating_point import FalseAlarms, MinScore, TargetPrecision, TargetRecall, announce_scores, choose
from ._recording import Recording
from ._video import Decoder, Fps, recording_options
from .options import check_labels, names_of, refuse
from .terminal import say

if TYPE_CHECKING:
    from ..bundle.operating_point import OperatingPoint
    from ..bundle.reader import Bundle
    from ..localizer import Localizer
    from ..video import VideoOptions


def run(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help='Bundle folder or zip file, or "default".')],
    input: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A video, a .npy file of features, a folder of either, or an http(s):// address. With --stream also "
            "rtsp://, camera:/dev/video0, gst:PIPELINE (GStreamer), - (standard input), tcp://host:port, unix:///path, "
            "raw float32 files and framed files.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file. Default: standard output (-).")] = None,
    format: Annotated[str, typer.Option(help="Output format: jsonl or activitynet.")] = "jsonl",
    min_score: MinScore = None,
    target_precision: TargetPrecision = None,
    target_recall: TargetRecall = None,
    false_alarms_per_hour: FalseAlarms = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="Report this class only. May be repeated.")] = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    latency_first: LatencyFirst = False,
    fps: Fps = None,
    decoder: Decoder = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            help="Part of every event id, so that the ids of several runs differ: a text, new (a random one) or none. "
            "Default: new for live sources, none for files, whose events then have the same ids in every run."
        ),
    ] = None,
    start_utc: Annotated[
        str | None,
        typer.Option(
            help="Time of day at media time 0, such as 2026-05-01T10:00:00Z, or creation-time to read it from the "
            "video file. Events then have start_utc and end_utc, as those of live sources always do."
        ),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Print the time spent in each stage to standard error.")
    ] = False,
    stream: Stream = False,
    max_delay: MaxDelay = None,
    follow: Follow = False,
    idle_s: IdleS = None,
    reconnect_s: ReconnectS = None,
    overflow: Overflow = None,
    rtsp_transport: RtspTransport = None,
    allow_host: AllowHost = None,
    credentials_file: CredentialsFile = None,
    start_s: StartS = 0.0,
    name: Name = "",
    on_bad_chunk: OnBadChunk = None,
    mqtt: Mqtt = None,
    mqtt_queue: MqttQueue = 10_000,
    metrics: MetricsAddress = None,
    silent_s: SilentS = None,
    snapshot: Snapshot = None,
    snapshot_every: SnapshotEvery = 10.0,
) -> None:
    """Find the actions in video or features and print one event per line. Video needs a bundle with a backbone.

    Example: punctum run bundle/ clip.mp4 --min-score 0.2 > events.jsonl

    Live: punctum run bundle/ rtsp://camera/1 --stream --max-delay 1.0 --out events.jsonl

    Live: sender | punctum run bundle/ - --stream --max-delay 1.0 --out events.jsonl --metrics :9100
    """
    if not stream:
        refuse(context, names_of(context, LIVE_PANEL), "without --stream", "add --stream", code="needs-stream")
        if format == "activitynet":
            refuse(context, ["run_id", "start_utc"], "with --format activitynet", "leave --format out")
    from ..bundle.operating_point import OperatingPoint

    point = OperatingPoint(min_score, target_precision, target_recall, false_alarms_per_hour)
    engine = EngineChoice(
        device, precision, threads, engines, gpu_memory, latency_first, expect_sha256=expect_sha256
    ).checked()
    if stream:
        for option, partner in (("mqtt_queue", mqtt), ("snapshot_every", snapshot)):
            if partner is None:
                needed = "--" + option.partition("_")[0]
                refuse(context, [option], f"without {needed}", f"add {needed}")
        from ..errors import InputError
        from .stream import stream as run_stream

        if format != "jsonl":
            raise InputError("format", f"--stream cannot write the format {format!r}", "jsonl", "leave --format out")
        options = StreamOptions(
            out=out,
            max_delay_s=max_delay,
            name=name,
            run_id=run_id,
            start_utc=start_utc,
            start_s=start_s,
            follow=follow,
            idle_s=idle_s,
            reconnect_s=reconnect_s,
            overflow=overflow,
            rtsp_transport=rtsp_transport,
            allow_hosts=tuple(allow_host or ()),
            credentials_file=credentials_file,
            silent_s=silent_s,
            on_bad_chunk=on_bad_chunk,
            mqtt=mqtt,
            mqtt_queue=mqtt_queue,
            metrics=metrics,
            snapshot=snapshot,
            snapshot_every_s=snapshot_every,
            operating_point=point,
            labels=tuple(label or ()),
            stats=stats,
            fps=fps,
            decoder=decoder,
        )
        run_stream(bundle, input, options, engine)
        return
    _run_files(
        bundle,
        input,
        out=out,
        format=format,
        point=point,
        label=label,
        engine=engine,
        fps=fps,
        stats=stats,
        frames=recording_options(input, tuple(allow_host or ()), credentials_file, decoder),
        decoder=decoder,
        run_id=run_id,
        start_utc=start_utc,
    )


def _run_files(
    bundle: Path,
    input: str,
    *,
    out: Path | None,
    format: str,
    point: OperatingPoint,
    label: list[str] | None,
    engine: EngineChoice,
    fps: float | None,
    stats: bool,
    frames: VideoOptions,
    decoder: str | None,
    run_id: str | None,
    start_utc: str | None,
) -> None:
    """Process whole recordings, each on its own, and write their final events."""
    from ..bundle.operating_point import minimum
    from ..datasets.extraction import check_names, failed
    from ..errors import InputError, PunctumError
    from ..files.outputs import ACTIVITYNET, EVENTS, STDOUT, Output
    from ..sinks import to_activitynet, to_jsonl
    from ..sources.media import check_present

    if format not in ("jsonl", "activitynet"):
        raise InputError("format", f"{format!r} is not an output format", "jsonl or activitynet", "correct --format")
    target = Output(out or Path(STDOUT), EVENTS if format == "jsonl" else ACTIVITYNET, inputs=(input, bundle))
    check_present(input)
    loaded = engine.load(bundle)
    localizer = engine.localizer(loaded)
    check_labels(label or (), localizer.labels)
    recordings = _recordings(input, loaded, localizer, engine, fps, frames, decoder)
    check_names([Path(r.name) for r in recordings])
    check_start(start_utc, len(recordings))
    run = run_id_of(run_id, live=False)
    announce_scores(loaded, bundle)
    least = choose(point, loaded)
    results, candidates = {}, 0
    errors: dict[str, PunctumError] = {}
    for recording in recordings:
        try:
            events = recording.localize(run, start_utc)
        except PunctumError as error:
            if not recording.is_video:
                raise
            errors[recording.name] = error
            if len(recordings) > 1:
                say(f"warning: [{error.code}] {error}")
            continue
        name = recording.stream
        kept = [e for e in events if e.score >= minimum(least.min_score, e.label)]
        results[name] = [e for e in kept if not label or e.label in label]
        candidates += len(events)
        if stats:
            say(recording.statistics(len(events), len(results[name])))
        if target.is_stdout and format == "jsonl":
            target.write(to_jsonl(results[name]))
        recording.warn_of_loss()
    if errors and not results:  # an earlier file stays as it is
        raise failed(errors, len(recordings))
    if format == "activitynet":
        target.write(to_activitynet(results))
    elif not target.is_stdout:
        target.write("".join(to_jsonl(events) for events in results.values()))
    if results:  # a line also where nothing is found: an empty output alone could be a failure
        printed = counted(sum(map(len, results.values())), "event")
        of_class = f", only of class {', '.join(label)}" if label else ""
        say(f"{printed} of {counted(candidates, 'candidate')}{of_class}; {least.text}")
    if errors:
        raise failed(errors, len(recordings))


def _recordings(
    input: str,
    bundle: Bundle,
    localizer: Localizer,
    engine: EngineChoice,
    fps: float | None,
    frames: VideoOptions,
    decoder: str | None,
) -> list[Recording]:
    """The recordings of an input: its feature files, or its videos if there are none."""
    from ..backbone.backbone import VideoBackbone, no_backbone
    from ..credentials.redact import Address
    from ..errors import InputError
    from ..sources.media import find_videos, inside, is_address, passed_over
    from ..sources.open import is_video_input
    from ._video import announce_decoder, no_decoder, no_fps

    if is_address(input) and not input.lower().startswith("http"):
        shown = Address.parse(input).shown
        raise InputError("needs-stream", f"{shown} is a live source", required="--stream", next_step="add --stream")
    path = Path(input)
    features = sorted(path.glob("*.npy")) if path.is_dir() else []
    videos = find_videos(path) if path.is_dir() and not features else []
    if path.is_dir() and not features and not videos:
        raise InputError(
            "features-missing",
            f"{path} contains no .npy file and no video",
            "a file, or a folder of .npy files or of videos",
            inside(path) or "check the path",
        )
    if videos or is_video_input(input):
        if bundle.manifest.backbone is None:
            raise no_backbone(bundle.id, str(videos[0]) if videos else Address.parse(input).shown)
        backbone = VideoBackbone.open(bundle, engine.spec())
        announce(backbone, after=localizer.backend)
        announce_decoder(decoder)
        others = passed_over(path, videos) if videos else []
        if others:
            shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            skipped = counted(len(others), "entry", "entries")
            say(f"note: {videos[0].parent}: {skipped} skipped that are not videos: {shown}")
        return [Recording(name, localizer, backbone, frames, fps) for name in ([str(v) for v in videos] or [input])]
    if fps is not None:
        raise no_fps(fps, input)
    if decoder is not None:
        raise no_decoder(input)
    return [Recording(str(file), localizer, None, frames) for file in (features or [path])]

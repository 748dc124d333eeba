"""`punctum run`: events from features or video, one JSON line each."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..events.time_of_day import FixedStart, stamped
from ..text.display import as_utf8, counted, warn
from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Precision, Threads, announce
from ._identity import check_start, run_id_of, start_of
from ._options import names_of, refuse
from ._terminal import say
from ._video import Fps

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone
    from ..bundle.reader import Bundle
    from ..events.event import Event
    from ..localizer import Localizer
    from ..sources.video import VideoStats
    from ..video import VideoOptions

LIVE_PANEL = "Live (with --stream)"
LIVE: dict[str, Any] = {"rich_help_panel": LIVE_PANEL}


def run(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help='Bundle folder or zip, or "default".')],
    input: Annotated[
        str,
        typer.Argument(
            help="A video or features (.npy), a folder of them, or http(s)://. With --stream also rtsp://, "
            "camera:/dev/video0; - (standard input), tcp://host:port, unix:///path, raw float32 and framed files."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write here instead of to standard output (-).")
    ] = None,
    format: Annotated[str, typer.Option(help="jsonl or activitynet.")] = "jsonl",
    min_score: Annotated[float, typer.Option(help="Print events from this score on.")] = 0.0,
    label: Annotated[list[str] | None, typer.Option("--label", help="Only this class; may be repeated.")] = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    latency_first: LatencyFirst = False,
    fps: Fps = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            help="Part of every event id, so that ids of several runs differ: a text, new, or none. Default: new for "
            "live sources, none for files and folders, whose events get the same ids each time."
        ),
    ] = None,
    start_utc: Annotated[
        str | None,
        typer.Option(
            help="Time of day at media time 0, such as 2026-05-01T10:00:00Z, or creation-time: what the video file "
            "says. Events then carry start_utc and end_utc, as those of live sources do by themselves."
        ),
    ] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Print time per stage to standard error.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Live: events as features arrive.", **LIVE)] = False,
    max_delay: Annotated[
        float | None, typer.Option(help="Maximum reporting delay in seconds after the end of an action.", **LIVE)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more at the end of a file or folder.", **LIVE)] = (
        False
    ),
    idle_s: Annotated[
        float | None, typer.Option(help="End after this many seconds without data; default: never.", **LIVE)
    ] = None,
    reconnect_s: Annotated[
        float | None,
        typer.Option(help="Seconds that a sender or camera may take to come back; default 0, cameras 60.", **LIVE),
    ] = None,
    overflow: Annotated[
        str | None,
        typer.Option(
            help="When video arrives faster than it is processed: wait (default for files), drop_oldest, as a gap "
            "(default for cameras and URLs), or degrade: reduced scoring first, marked in the events.",
            **LIVE,
        ),
    ] = None,
    rtsp_transport: Annotated[
        str | None, typer.Option(help="tcp (default) or udp, for cameras that support nothing else.", **LIVE)
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host, address or network (10.0.0.0/8) of a private network that redirects and playlists of an HTTP "
            "source may lead to; may be repeated. The source's own host always may."
        ),
    ] = None,
    credentials_file: Annotated[
        Path | None,
        typer.Option(
            help="TOML: [source] and [mqtt] with user and password, [socket] with token. Or set PUNCTUM_SOURCE_USER, "
            "PUNCTUM_SOURCE_PASSWORD, PUNCTUM_MQTT_USER, PUNCTUM_MQTT_PASSWORD, PUNCTUM_SOCKET_TOKEN."
        ),
    ] = None,
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
        str | None,
        typer.Option(
            help="Serve /metrics, /healthz and /readyz. :PORT is this machine alone; others: 0.0.0.0:PORT, [::]:PORT.",
            **LIVE,
        ),
    ] = None,
    silent_s: Annotated[
        float | None,
        typer.Option(help="/readyz answers 503 after this many seconds without data; default 15.", **LIVE),
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Keep the state here, and go on from it. Needs --out and a file source.", **LIVE)
    ] = None,
    snapshot_every: Annotated[float, typer.Option(help="Seconds between snapshots.", **LIVE)] = 10.0,
) -> None:
    """Find the actions in video or features and print one event a line. Video needs a bundle with a backbone.

    Example: punctum run bundle/ clip.mp4 --min-score 0.2 > events.jsonl

    Live: punctum run bundle/ rtsp://camera/1 --stream --max-delay 1.0 --out events.jsonl

    Live: sender | punctum run bundle/ - --stream --max-delay 1.0 --out events.jsonl --metrics :9100
    """
    if not stream:
        refuse(context, names_of(context, LIVE_PANEL), "without --stream", "add --stream", code="needs-stream")
        if format == "activitynet":
            refuse(context, ["run_id", "start_utc"], "with --format activitynet", "leave --format out")
    check_score(min_score)
    engine = EngineChoice(
        device, precision, threads, engines, gpu_memory, latency_first, expect_sha256=expect_sha256
    ).checked()
    if stream:
        for option, partner in (("mqtt_queue", mqtt), ("snapshot_every", snapshot)):
            if partner is None:
                needed = "--" + option.partition("_")[0]
                refuse(context, [option], f"without {needed}", f"add {needed}")
        from ..errors import InputError as WrongInput
        from .stream import StreamOptions
        from .stream import stream as run_stream

        if format != "jsonl":
            raise WrongInput("format", f"--stream with format {format!r}", "jsonl", "leave --format out")
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
            min_score=min_score,
            labels=tuple(label or ()),
            stats=stats,
            fps=fps,
        )
        run_stream(bundle, input, options, engine)
        return
    _run_files(
        bundle,
        input,
        out=out,
        format=format,
        min_score=min_score,
        label=label,
        engine=engine,
        fps=fps,
        stats=stats,
        frames=_video_options(input, tuple(allow_host or ()), credentials_file),
        run_id=run_id,
        start_utc=start_utc,
    )


def check_score(min_score: float) -> None:
    """Raises InputError for a limit that no score can be compared with."""
    from ..errors import InputError

    if not math.isfinite(min_score):
        raise InputError("min-score", f"--min-score {min_score}", "a number", "set --min-score")


def _run_files(
    bundle: Path,
    input: str,
    *,
    out: Path | None,
    format: str,
    min_score: float,
    label: list[str] | None,
    engine: EngineChoice,
    fps: float | None,
    stats: bool,
    frames: VideoOptions,
    run_id: str | None,
    start_utc: str | None,
) -> None:
    """Whole recordings: every file on its own, final events only."""
    from ..datasets.extraction import check_names, failed
    from ..errors import InputError, PunctumError
    from ..files.outputs import ACTIVITYNET, EVENTS, STDOUT, Output
    from ..sinks import to_activitynet, to_jsonl

    if format not in ("jsonl", "activitynet"):
        raise InputError("format", f"format {format!r}", "jsonl or activitynet", "set --format")
    target = Output(out or Path(STDOUT), EVENTS if format == "jsonl" else ACTIVITYNET, inputs=(input, bundle))
    loaded = engine.load(bundle)
    localizer = engine.localizer(loaded)
    for name in label or []:
        if name not in localizer.labels:
            raise InputError(
                "label-unknown", f"label {name!r}", ", ".join(localizer.labels), "set --label to one of these"
            )
    recordings = _recordings(input, loaded, localizer, engine, fps, frames)
    check_names([Path(r.name) for r in recordings])
    check_start(start_utc, len(recordings))
    run = run_id_of(run_id, live=False)
    results = {}
    errors: dict[str, PunctumError] = {}
    for recording in recordings:
        try:
            events = recording.localize(run, start_utc)
        except PunctumError as error:
            if not recording.is_video:
                raise
            errors[recording.name] = error
            if len(recordings) > 1:
                warn(f"[{error.code}] {error}")
            continue
        name = recording.stream
        results[name] = [e for e in events if e.score >= min_score and (not label or e.label in label)]
        if stats:
            say(recording.told(len(events)))
        if target.is_stdout and format == "jsonl":
            target.write(to_jsonl(results[name]))
        recording.warn_of_loss()
    if format == "activitynet":
        target.write(to_activitynet(results))
    elif not target.is_stdout:
        target.write("".join(to_jsonl(events) for events in results.values()))
    if errors:
        raise failed(errors, len(recordings))


class _Recording:
    """One file of features, or one video, to be localized as a whole."""

    def __init__(
        self,
        name: str,
        localizer: Localizer,
        backbone: VideoBackbone | None,
        frames: VideoOptions,
        fps: float | None = None,
    ) -> None:
        from ..session.plan import Stats

        self.name, self.is_video = name, backbone is not None
        self.stream = as_utf8(Path(name).stem)
        self._localizer, self._backbone, self._frames, self._fps = localizer, backbone, frames, fps
        self._video: VideoStats | None = None
        self._spent = Stats()
        self._wall_s = 0.0

    def localize(self, run_id: str, start_utc: str | None) -> list[Event]:
        began = time.perf_counter()
        localizer, plan = self._localizer, self._localizer.plan
        clock = None if start_utc is None else FixedStart(start_of(start_utc, self.name))
        if self._backbone is None:
            from ..features.features import load_features

            features = load_features(self.name, stride_s=plan.stride_s, dim=plan.dim)
            events = localizer.localize(features, stream=self.stream, run_id=run_id)
        else:
            from ..sources.video import coalesce, open_video

            source = open_video(self.name, self._backbone, overflow="wait", fps=self._fps, options=self._frames)
            self.stream, self._video = source.stream, source.stats
            events = localizer.localize_chunks(coalesce(source.items()), stream=self.stream, run_id=run_id)
        self._wall_s, self._spent = time.perf_counter() - began, events.stats
        return stamped(events, clock)

    def warn_of_loss(self) -> None:
        """One line where something of the recording is missing from the result."""
        from ._video import losses

        lost = losses(self._spent, self._video)
        if lost:
            say(f"warning: {self.stream}: {lost}")

    def told(self, events: int) -> str:
        """One line on what it took."""
        from ._video import stages

        spent = self._spent
        factor = spent.real_time_factor if self._video is None else self._wall_s / (spent.media_s or 1.0)
        video = self._video
        lost = f" ({counted(video.lost, 'frame')} lost, {counted(video.gaps, 'gap')})" if video is not None else ""
        return (
            f"{self.stream}: {spent.media_s:.1f} s of media{lost}, {counted(events, 'event')}; {stages(spent, video)}; "
            f"real-time factor {factor:.5f}"
        )


def _video_options(input: str, allow_hosts: tuple[str, ...], credentials_file: Path | None) -> VideoOptions:
    """Options of a recording: one that breaks off is not opened again, since it would begin again."""
    from ..credentials.store import Credentials
    from ..errors import InputError
    from ..sources._media import is_address
    from ..video import VideoOptions

    credentials = Credentials.load(credentials_file)
    given = {"--allow-host": bool(allow_hosts), "--credentials-file": credentials_file is not None}
    for option in [name for name, there in given.items() if there and not is_address(input)]:
        raise InputError("option-unfit", f"{option} with files", "a source over HTTP", f"leave out {option}")
    if not credentials.from_file <= {"source"}:
        raise InputError("option-unfit", "--credentials-file with more than [source]", "[source]", "leave out the rest")
    login = credentials.source
    return VideoOptions(reconnect_s=0.0, allow_hosts=allow_hosts, user=login.user, password=login.password)


def _recordings(
    input: str, bundle: Bundle, localizer: Localizer, engine: EngineChoice, fps: float | None, frames: VideoOptions
) -> list[_Recording]:
    """What an input stands for: features where there are any, else videos."""
    from ..backbone.backbone import VideoBackbone, no_backbone
    from ..credentials.redact import Address
    from ..errors import InputError
    from ..sources._media import find_videos, is_address, passed_over
    from ..sources.open import is_video_input
    from ._video import no_fps

    if is_address(input) and not input.lower().startswith("http"):
        shown = Address.parse(input).shown
        raise InputError("needs-stream", f"{shown} without --stream", "a live run", "add --stream")
    path = Path(input)
    features = sorted(path.glob("*.npy")) if path.is_dir() else []
    videos = find_videos(path) if path.is_dir() and not features else []
    if path.is_dir() and not features and not videos:
        raise InputError(
            "features-missing",
            f"{path} holds no .npy file and no video",
            "a file, or a folder of .npy files or of videos",
            "check the path",
        )
    if videos or is_video_input(input):
        if bundle.manifest.backbone is None:
            raise no_backbone(bundle.id, str(videos[0]) if videos else Address.parse(input).shown)
        backbone = VideoBackbone.open(bundle, **engine.given())
        announce(backbone)
        others = passed_over(path, videos) if videos else []
        if others:
            shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            skipped = counted(len(others), "entry", "entries")
            say(f"note: {videos[0].parent}: {skipped} skipped that are not videos: {shown}")
        return [_Recording(name, localizer, backbone, frames, fps) for name in ([str(v) for v in videos] or [input])]
    if fps is not None:
        raise no_fps(fps, input)
    return [_Recording(str(file), localizer, None, frames) for file in (features or [path])]

"""`punctum run --stream`: a source that goes on, events as they come, a clean end on a signal."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ..errors import InputError, PunctumError
from ..events.time_of_day import Arrival, FixedStart, TimeOfDay
from ..text.display import counted
from ._engine import announce
from ._identity import NEW, run_id_of, start_of
from ._terminal import say
from ._video import stages

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..credentials.store import Credentials
    from ..live import LiveOptions
    from ..localizer import Localizer
    from ..service.checkpoint import Checkpoint
    from ..service.loop import Loop
    from ..service.metrics import Health, Metrics
    from ..sinks import Sink
    from ..sources.items import Source
    from ._engine import EngineChoice


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The options of a live run; see `punctum run --help`. Raises InputError for values that make no sense."""

    out: Path | None = None
    max_delay_s: float | None = None
    name: str = ""
    run_id: str | None = None
    start_utc: str | None = None
    start_s: float = 0.0
    follow: bool = False
    idle_s: float | None = None
    reconnect_s: float | None = None
    overflow: str | None = None
    rtsp_transport: str | None = None
    allow_hosts: tuple[str, ...] = ()
    credentials_file: Path | None = None
    silent_s: float | None = None
    on_bad_chunk: str | None = None
    mqtt: str | None = None
    mqtt_queue: int = 10_000
    metrics: str | None = None
    snapshot: Path | None = None
    snapshot_every_s: float = 10.0
    min_score: float = 0.0
    labels: tuple[str, ...] = ()
    stats: bool = False
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.overflow not in (None, "wait", "drop_oldest", "degrade"):
            raise InputError("overflow", f"{self.overflow!r}", "wait, drop_oldest or degrade", "set --overflow")
        if self.on_bad_chunk not in (None, "skip", "stop"):
            raise InputError("on-bad-chunk", f"{self.on_bad_chunk!r}", "skip or stop", "set --on-bad-chunk")
        if self.rtsp_transport not in (None, "tcp", "udp"):
            raise InputError("rtsp-transport", f"{self.rtsp_transport!r}", "tcp or udp", "set --rtsp-transport")
        if self.silent_s is not None and not (math.isfinite(self.silent_s) and self.silent_s > 0):
            raise InputError("silent-s", f"{self.silent_s}", "a positive number of seconds", "set --silent-s")
        if self.silent_s is not None and self.metrics is None:
            raise InputError("silent-s", "--silent-s without --metrics", "a served /readyz", "set --metrics")
        if not (math.isfinite(self.snapshot_every_s) and self.snapshot_every_s >= 0):
            raise InputError("snapshot-every", f"{self.snapshot_every_s}", "0 or more seconds", "set --snapshot-every")
        if self.snapshot is not None and (self.out is None or str(self.out) == "-"):
            raise InputError(
                "snapshot-out", "--snapshot without --out", "an event file that belongs to the snapshot", "set --out"
            )


def stream(bundle_path: Path, address: str, options: StreamOptions, engine: EngineChoice) -> None:
    """Run until the source ends or SIGTERM or SIGINT comes. Raises PunctumError for what ended it early."""
    from ..service.metrics import STOPPING, Health, Metrics, MetricsServer

    _check_outputs(options, (address, bundle_path))
    health = Health() if options.silent_s is None else Health(silent_s=options.silent_s)
    with contextlib.ExitStack() as stack:
        rotate = stack.enter_context(_hangups(options))
        metrics: Metrics | None = None
        if options.metrics is not None:
            metrics = Metrics()
            server = MetricsServer(options.metrics, metrics, health)
            stack.callback(server.close)
            say(f"metrics on port {server.port} of {server.host}: /metrics, /healthz, /readyz")
        health.waiting_for("loading the bundle")
        bundle = engine.load(bundle_path)
        localizer = _load(bundle, options, metrics, health, engine)
        loop = _build(localizer, bundle, address, options, metrics, health, stack, engine)
        loop.rotate = rotate
        how = "error"
        try:
            with _signals(loop) as caught:
                health.waiting_for("")
                how = loop.run()
                how = caught[0] if caught else how
        except BrokenPipeError:
            how = "the reader of the output, who went away"  # no fault of this side
        finally:
            health.waiting_for(STOPPING)
            lost = sum(sink.close() for sink in loop.sinks)
            say(loop.summary(how))
            if loss := loop.loss():
                say(f"warning: {loop.session.stream if loop.session else loop.source.name}: {loss}")
            if options.stats and loop.session is not None:
                say(stages(loop.session.stats, getattr(loop.source, "stats", None)))
    if lost:
        raise PunctumError(
            "events-not-delivered",
            f"{counted(lost, 'final event')} did not reach every sink",
            "a broker that can be reached",
            "see the warnings above; --out keeps events on disk",
        )


def _check_outputs(options: StreamOptions, inputs: tuple[str | Path, ...]) -> None:
    """Raises InputError for files that are inputs as well, and for a snapshot where none can be kept."""
    from ..files.atomic import destination
    from ..files.outputs import STDOUT, check_standard_output, refuse_inputs

    out = None if options.out is None or str(options.out) == STDOUT else options.out
    if out is None and options.mqtt is None:
        check_standard_output()
    if out is not None:
        refuse_inputs(out, inputs, "--out")
    if options.snapshot is None or out is None:
        return
    refuse_inputs(options.snapshot, (*inputs, out), "--snapshot")
    for option, path in (("--out", out), ("--snapshot", options.snapshot)):
        target, descriptor = destination(path)
        if str(path) == STDOUT or descriptor is not None or (target.exists() and not target.is_file()):
            raise InputError(
                "snapshot-out",
                f"--snapshot with {option} {path}, which is no regular file",
                "files that can be read again",
                f"set {option} to a file",
            )


def _load(
    bundle: Bundle, options: StreamOptions, metrics: Metrics | None, health: Health, engine: EngineChoice
) -> Localizer:
    from ..warmup import warm_up

    localizer = engine.localizer(bundle)
    for label in options.labels:
        if label not in localizer.labels:
            raise InputError(
                "label-unknown", f"label {label!r}", ", ".join(localizer.labels), "set --label to one of these"
            )
    health.waiting_for("warming kernels and engine")
    warm_up(localizer, _live(options))  # in a session: a bundle that streams must refuse is refused here
    if metrics is not None:
        metrics.describe(bundle, localizer.backend, precision=engine.precision)
        localizer = localizer.with_backend(metrics.counted(localizer.backend))
    return localizer


def _live(options: StreamOptions) -> LiveOptions | None:
    from ..live import LiveOptions

    return None if options.max_delay_s is None else LiveOptions(max_delay_s=options.max_delay_s)


def _build(
    localizer: Localizer,
    bundle: Bundle,
    address: str,
    options: StreamOptions,
    metrics: Metrics | None,
    health: Health,
    stack: contextlib.ExitStack,
    engine: EngineChoice,
) -> Loop:
    from ..credentials.store import Credentials
    from ..service.checkpoint import Checkpoint
    from ..service.loop import Filter, Loop
    from ..sources._media import is_address
    from ..sources.open import open_source, refuse_options
    from ..video import VideoOptions

    credentials = Credentials.load(options.credentials_file)
    sockets = address.startswith(("tcp://", "unix://"))
    remote = address.lower().startswith(("rtsp", "http")) and is_address(address)
    used = {"socket"} if sockets else {"source"} if remote else set[str]()
    if not credentials.from_file <= used | ({"mqtt"} if options.mqtt is not None else set()):
        raise InputError(
            "option-unfit",
            f"--credentials-file with {', '.join(sorted(credentials.from_file))}, which this run does not need",
            "[source] for RTSP and HTTP, [socket] for tcp:// and unix://, [mqtt] for --mqtt",
            "leave out what is not needed",
        )
    if options.rtsp_transport is not None:
        refuse_options(address, ["--rtsp-transport"])
    health.waiting_for("opening the source")
    frames = VideoOptions(
        transport="udp" if options.rtsp_transport == "udp" else "tcp",
        allow_hosts=options.allow_hosts,
        user=credentials.source.user,
        password=credentials.source.password,
        retry_start=True,
        waiting=lambda why: health.waiting_for(f"opening the source{f' ({why})' if why else ''}"),
    )
    source = open_source(
        address,
        dim=localizer.plan.dim,
        stride_s=localizer.plan.stride_s,
        start_s=options.start_s,
        follow=options.follow,
        idle_s=options.idle_s,
        reconnect_s=options.reconnect_s,
        fps=options.fps,
        overflow=options.overflow,  # type: ignore[arg-type]  # one of the three, checked above
        token=credentials.token,
        frames=frames,
        bundle=bundle,
        **engine.given(),
    )
    stack.callback(source.close)
    backbone = getattr(source, "backbone", None)
    if backbone is not None:
        announce(backbone)
        backbone.warm(getattr(source, "batch", 1))
    if options.snapshot is not None and not source.replayable:
        raise InputError(
            "snapshot-source",
            f"--snapshot with {source.name}, which cannot be read again",
            "a file or a folder",
            "let the sender write to a file or a folder, or leave --snapshot out",
        )
    if not source.replayable:
        say(f"reading from {source.name}")
    checkpoint = None if options.snapshot is None else Checkpoint.load(options.snapshot)
    run_id = run_id_of(options.run_id, live=not source.replayable)
    if checkpoint is not None and options.run_id == NEW:
        run_id = localizer.restore(checkpoint.session).run_id
    loop = Loop(
        localizer,
        source,
        [],
        live=_live(options),
        name=options.name,
        run_id=run_id,
        time_of_day=_time_of_day(options.start_utc, source, address),
        on_bad="skip" if options.on_bad_chunk == "skip" else "stop" if options.on_bad_chunk == "stop" else None,
        keep=Filter(frozenset(options.labels), options.min_score),
        metrics=metrics,
        health=health,
        snapshot=options.snapshot,
        snapshot_every_s=options.snapshot_every_s,
    )
    if checkpoint is not None:
        loop.resume(checkpoint)
        say(f"going on from {options.snapshot}, at {loop.session.now_s if loop.session else 0.0:.2f} s of media")
    loop.sinks += _sinks(options, loop, checkpoint, stack, credentials)
    return loop


def _time_of_day(start_utc: str | None, source: Source, address: str) -> TimeOfDay | None:
    """When media time 0 was: as the user says, or as a live source delivers."""
    if not source.replayable:
        if start_utc is not None:
            raise InputError(
                "start-utc",
                f"--start-utc with {source.name}, which is live",
                "files and folders",
                "leave it out: events of a live source carry the time of day of their arrival",
            )
        return Arrival()
    return None if start_utc is None else FixedStart(start_of(start_utc, address))


def _sinks(
    options: StreamOptions,
    loop: Loop,
    checkpoint: Checkpoint | None,
    stack: contextlib.ExitStack,
    credentials: Credentials,
) -> Iterator[Sink]:
    """Standard output is used when nothing else is asked for."""
    from ..sinks.lines import EventFile, StandardOutput
    from ..sinks.mqtt import MqttSink, MqttTarget

    target = None if options.mqtt is None else MqttTarget.parse(options.mqtt, credentials.mqtt)
    if options.out is not None and str(options.out) != "-":
        keep = None if checkpoint is None else checkpoint.take_back(options.out)
        loop.event_file = EventFile(options.out, keep_bytes=keep)
        stack.callback(loop.event_file.close)
        yield loop.event_file
    elif target is None or options.out is not None:
        yield StandardOutput()
    if target is not None:
        metrics = loop.metrics
        yield MqttSink(
            target,
            bound=options.mqtt_queue,
            on_reconnect=None if metrics is None else lambda: metrics.reconnected("mqtt"),
        )


@contextlib.contextmanager
def _hangups(options: StreamOptions) -> Iterator[threading.Event]:
    """SIGHUP asks for a new event file, for log rotation, from the start of the run to its end. Yields what it sets."""
    asked = threading.Event()
    if options.out is None or str(options.out) == "-":
        yield asked
        return
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def _signals(loop: Loop) -> Iterator[list[str]]:
    """SIGTERM and SIGINT end the loop once; a second one ends the process. Yields the names of those that came.

    So does SIGHUP where `_hangups` has nothing to reopen, unless the process was started to ignore it (nohup).
    """
    caught: list[str] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    ends = [signal.SIGTERM, signal.SIGINT]
    rotates = loop.event_file is not None and loop.event_file.regular
    if not rotates and before[signal.SIGHUP] is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(signal.Signals(number).name)
        loop.stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in ends:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

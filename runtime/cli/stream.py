"""`punctum run --stream`: events of a live source as they occur, and a clean end on a signal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, PunctumError
from ..events.time_of_day import Arrival, FixedStart, TimeOfDay
from ..text.display import counted
from ._engine import announce
from ._identity import NEW, run_id_of, start_of
from ._live_options import StreamOptions
from ._operating_point import announce_scores, choose
from ._signals import hangups, stop_signals
from ._video import announce_decoder
from .options import check_labels
from .terminal import say

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..credentials.store import Credentials
    from ..live import LiveOptions
    from ..localizer import Localizer
    from ..service.checkpoint import Checkpoint
    from ..service.health import Health
    from ..service.loop import Loop
    from ..service.metrics import Metrics
    from ..sinks import Sink
    from ..sources.items import Source
    from ._engine import EngineChoice


def stream(bundle_path: Path, address: str, options: StreamOptions, engine: EngineChoice) -> None:
    """Run until the source ends, or until SIGTERM or SIGINT. Raises PunctumError for what ended it early."""
    from ..service.health import STOPPING, Health
    from ..service.metrics import Metrics
    from ..service.server import MetricsServer
    from ..service.summary import stage_times
    from ..sources.media import check_present

    options.check_outputs((address, bundle_path))
    check_present(address)
    health = Health() if options.silent_s is None else Health(silent_s=options.silent_s)
    with contextlib.ExitStack() as stack:
        rotate = stack.enter_context(hangups(options.out is not None and str(options.out) != "-"))
        metrics: Metrics | None = None
        if options.metrics is not None:
            metrics = Metrics()
            server = MetricsServer(options.metrics, metrics, health)
            stack.callback(server.close)
            say(f"metrics on port {server.port} of {server.host}: /metrics, /healthz, /readyz")
        health.waiting_for("loading the bundle")
        bundle = engine.load(bundle_path)
        localizer = _load(bundle, options, metrics, health, engine)
        loop = _build(localizer, bundle, bundle_path, address, options, metrics, health, stack, engine)
        loop.rotate = rotate
        how = "error"
        try:
            with stop_signals(loop) as caught:
                health.waiting_for("")
                how = loop.run()
                how = caught[0] if caught else how
        except BrokenPipeError:
            how = "the reader of the output, which went away"  # not an error of this side
        finally:
            health.waiting_for(STOPPING)
            lost = sum(sink.close() for sink in loop.sinks)
            say(loop.summary(how))
            if loss := loop.loss():
                say(f"warning: {loop.session.stream if loop.session else loop.source.name}: {loss}")
            if options.stats and loop.session is not None:
                say(stage_times(loop.session.stats, getattr(loop.source, "stats", None)))
    if lost:
        raise PunctumError(
            "events-not-delivered",
            f"{counted(lost, 'final event')} did not reach every output",
            required="an MQTT broker that can be reached",
            next_step="see the warnings above; --out stores events on disk",
        )


def _load(
    bundle: Bundle, options: StreamOptions, metrics: Metrics | None, health: Health, engine: EngineChoice
) -> Localizer:
    from ..warmup import warm_up

    localizer = engine.localizer(bundle)
    check_labels(options.labels, localizer.labels)
    health.waiting_for("warming kernels and engine")
    warm_up(localizer, _live(options))  # in a session, so that a bundle that cannot be streamed is rejected here
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
    bundle_path: Path,
    address: str,
    options: StreamOptions,
    metrics: Metrics | None,
    health: Health,
    stack: contextlib.ExitStack,
    engine: EngineChoice,
) -> Loop:
    from ..credentials.store import Credentials
    from ..service.checkpoint import Checkpoint
    from ..service.event_filter import EventFilter
    from ..service.loop import Loop
    from ..service.monitor import Monitor
    from ..sources.media import is_address
    from ..sources.open import open_source, refuse_options
    from ..video import SOFTWARE, VideoOptions

    credentials = Credentials.load(options.credentials_file)
    sockets = address.startswith(("tcp://", "unix://"))
    remote = address.lower().startswith(("rtsp", "http")) and is_address(address)
    used = {"socket"} if sockets else {"source"} if remote else set[str]()
    if not credentials.from_file <= used | ({"mqtt"} if options.mqtt is not None else set()):
        raise InputError(
            "option-unfit",
            f"--credentials-file has tables that this run does not need: {', '.join(sorted(credentials.from_file))}",
            "[source] for RTSP and HTTP, [socket] for tcp:// and unix://, [mqtt] for --mqtt",
            "remove the tables that are not needed",
        )
    if options.rtsp_transport is not None:
        refuse_options(address, ["transport"])
    if options.decoder is not None:
        refuse_options(address, ["decoder"])
    announce_scores(bundle, bundle_path)
    least = choose(options.operating_point, bundle)
    say(least.text)
    health.waiting_for("opening the source")
    frames = VideoOptions(
        transport="udp" if options.rtsp_transport == "udp" else "tcp",
        allow_hosts=options.allow_hosts,
        decoder=SOFTWARE if options.decoder is None else options.decoder,
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
        spec=engine.spec(),
    )
    stack.callback(source.close)
    backbone = getattr(source, "backbone", None)
    if backbone is not None:
        announce(backbone, after=localizer.backend)
        announce_decoder(options.decoder)
        backbone.warm(getattr(source, "batch", 1))
    if options.snapshot is not None and not source.replayable:
        raise InputError(
            "snapshot-source",
            f"--snapshot cannot be used with {source.name}, which cannot be read again",
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
        event_filter=EventFilter(frozenset(options.labels), least.min_score),
        monitor=Monitor(metrics, health),
        notify=say,
        snapshot=options.snapshot,
        snapshot_every_s=options.snapshot_every_s,
    )
    if checkpoint is not None:
        loop.resume(checkpoint)
        say(f"resuming from {options.snapshot}, at {loop.session.now_s if loop.session else 0.0:.2f} s of media")
    loop.sinks += _sinks(options, loop, checkpoint, stack, credentials)
    return loop


def _time_of_day(start_utc: str | None, source: Source, address: str) -> TimeOfDay | None:
    """Time of day of media time 0: as given, or from the arrival of live data."""
    if not source.replayable:
        if start_utc is not None:
            raise InputError(
                "start-utc",
                f"--start-utc cannot be used with {source.name}, which is live",
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
    """Standard output is used when no other output was requested."""
    from ..files.atomic import remove_drafts
    from ..sinks.lines import EventFile, StandardOutput
    from ..sinks.mqtt import MqttSink, MqttTarget

    target = None if options.mqtt is None else MqttTarget.parse(options.mqtt, credentials.mqtt)
    if options.out is not None and str(options.out) != "-":
        keep = None if checkpoint is None else checkpoint.cut_to_snapshot(options.out)
        loop.event_file = EventFile(options.out, keep_bytes=keep)
        stack.callback(loop.event_file.close)
        if options.snapshot is not None and loop.event_file.regular:
            remove_drafts(options.snapshot)  # of a run that was killed; the lock of the event file keeps others away
        if checkpoint is None and loop.event_file.length:
            say(f"note: {options.out} contains events already; those of this run are appended")
        yield loop.event_file
    elif target is None or options.out is not None:
        yield StandardOutput()
    if target is not None:
        metrics = loop.monitor.metrics
        yield MqttSink(
            target,
            bound=options.mqtt_queue,
            on_reconnect=None if metrics is None else lambda: metrics.reconnected("mqtt"),
        )

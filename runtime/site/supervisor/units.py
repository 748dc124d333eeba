"""What the parts of the supervisor share: cameras, engines, the store, and how reports get there."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import PunctumError
from ...events.event import Event
from ...files.atomic import atomic_write
from ...text.display import counted
from ..wire import Header
from .camera_unit import CameraUnit
from .engine_unit import EngineUnit
from .route import Route
from .writer import Batch, Writer

if TYPE_CHECKING:
    from ..config.load import LoadedSite
    from ..store.store import Store
    from .media_orders import MediaOrders

_log = logging.getLogger(__name__)


class Takeovers(Protocol):
    """Versions of bundles that take over from others; see `handover`."""

    def engine_ready(self, engine: EngineUnit) -> bool: ...

    def passed(
        self, camera: str, engine: EngineUnit, reports: list[Event], done: Callable[[], None]
    ) -> list[Event] | None: ...

    def leaving(self, unit: CameraUnit, engine: EngineUnit, at_s: float) -> None: ...

    def closed(self, unit: CameraUnit, engine: EngineUnit, header: Header) -> None: ...

    def tick(self, now: float) -> None: ...


@dataclass(slots=True)
class Units:
    """The state of a running site. Used by the control thread alone."""

    loaded: LoadedSite
    store: Store
    writer: Writer
    media: MediaOrders
    folder: Path
    """The state folder."""
    cameras: dict[str, CameraUnit] = field(default_factory=dict)
    engines: dict[str, EngineUnit] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    """Name of a bundle -> key of the engine that runs its current version."""
    versions: dict[str, int] = field(default_factory=dict)
    """Name of a bundle -> number of its newest version since the start."""
    handovers: Takeovers | None = None
    now: Callable[[], float] = time.time
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By camera: the state that was stored last, which the disk may not have yet."""

    def sinks_of(self, camera: str) -> Sequence[str]:
        """Names of the outputs that a camera's reports go to."""
        unit = self.cameras.get(camera)
        names = tuple(self.loaded.config.sinks)
        chosen = None if unit is None else unit.config.sinks
        return names if chosen is None else tuple(name for name in chosen if name in names)

    def engines_of(self, unit: CameraUnit) -> list[EngineUnit]:
        """The current engines of a camera: during a handover, those that have taken it over."""
        keys = [self.current.get(name, "") for name in unit.config.bundles]
        current = [self.engines[key] for key in keys if key in self.engines]
        return [self._taken_over(unit, engine) or engine for engine in current]

    def open_session(self, unit: CameraUnit, engine: EngineUnit) -> None:
        """Let an engine open the session of a camera, or continue it.

        After a restart of the service, a version from which a newer one has taken the camera over opens no session: the
        handover would be repeated, and reports of the newer version would be lost.
        """
        config = unit.config
        if self._taken_over(unit, engine) is not None:
            return
        route = unit.routes.get(engine.key)
        if route is None:
            stride = engine.stride_s
            bound = None if unit.waits else max(round(config.max_queue_s / stride), 1)
            feed = engine.feed
            route = unit.routes[engine.key] = Route(
                unit.name, feed, stride, bound, engine.send, lambda seq: unit.credit(feed, seq)
            )
        policy = config.overflow or ("wait" if unit.waits else "drop_oldest")
        engine.send(
            {
                "type": "open",
                "camera": unit.name,
                "stream": unit.name,
                "run_id": run_id_of(unit, engine),  # of a session that cannot be continued
                "start_s": self.media_now(unit) if unit.live and not unit.socket else 0.0,
                "max_delay_s": config.max_delay_s,
                "policy": policy,
                "max_queue_s": config.max_queue_s,
                "labels": list(config.labels),
                "min_score": config.min_score,
                "target_precision": config.target_precision,
                "target_recall": config.target_recall,
                "false_alarms_per_hour": config.false_alarms_per_hour,
                "feed": engine.feed,
                "fresh": unit.fresh,
            }
        )

    def _taken_over(self, unit: CameraUnit, engine: EngineUnit) -> EngineUnit | None:
        """The version that has taken the camera over from this one, before the service was started."""
        newer = [e for e in self.engines.values() if e.bundle == engine.bundle and e.version > engine.version]
        if not newer or engine.key in unit.routes or engine.stores(unit.name):
            return None
        return max((e for e in newer if e.stores(unit.name)), key=lambda e: e.version, default=None)

    def media_now(self, unit: CameraUnit) -> float:
        """Media time of a live camera at this moment."""
        return max(self.now() - unit.epoch_unix, 0.0)

    def start_message(self, unit: CameraUnit) -> Header | None:
        """What the process of a camera is started with; None while no engine takes its features."""
        config = unit.config
        open_routes = [route for route in unit.routes.values() if route.is_open]
        feeds: dict[str, EngineUnit] = {}
        for key, route in unit.routes.items():
            if route.is_open and key in self.engines:
                feeds.setdefault(route.feed, self.engines[key])
        if not feeds:
            return None
        first = next(iter(feeds.values()))
        stored = [route.now_s for route in open_routes if route.now_s is not None]
        start_s = 0.0
        if unit.live and not unit.socket:
            covered = [] if unit.covered_s is None else [unit.covered_s]
            start_s = max([self.media_now(unit), *stored, *covered])
        secret = self.loaded.secret
        return {
            "type": "start",
            "name": unit.name,
            "source": self.loaded.source(unit.name),
            "options": {
                "user": config.user,
                "password": None if config.password is None else secret(config.password),
                "token": None if config.token is None else secret(config.token),
                "transport": config.transport,
                "decoder": config.decoder,
                "fps": config.fps,
                "overflow": config.overflow,
                "reconnect_s": config.reconnect_s,
                "idle_s": None,
                "loop": config.loop,
                "region": config.region.model_dump(),
                "masks": [[list(point) for point in polygon] for polygon in config.masks],
                "allow_hosts": list(config.allow_hosts),
                "threads": config.limits.threads,
                "nice": config.limits.nice,
            },
            "start_s": start_s,
            "start_steady": time.monotonic(),
            "position": None,
            "feeds": [
                {
                    "feed": feed,
                    "bundle_path": str(engine.path),
                    "device": engine.config.device,
                    "precision": engine.config.precision,
                    "threads": config.limits.threads,
                    "position": None if unit.live else _earliest(unit.routes_of(feed)),
                }
                for feed, engine in feeds.items()
            ],
            "dim": first.ready.get("dim"),
            "stride_s": first.stride_s,
            "media": {
                "clips": config.media.clips and not (config.media.mask and bool(config.masks)),
                "pictures": config.media.pictures,
                "ring_s": config.media.ring_s,
                "ring_mb": config.media.ring_mb,
                "mask": config.media.mask,
            },
        }

    def conclude(self, camera: str, engine: EngineUnit, *, restored: bool, run_id: str) -> None:
        """Retract actions whose end nobody will report: their session could not be continued, or their bundle is gone.

        Args:
            camera: Name of the camera.
            engine: It has opened the session of the camera.
            restored: It continues the session from before.
            run_id: Run id of the session. A recording that is read again names its actions as before.
        """
        running = {str(e.ready.get("bundle_id")) for e in self.engines.values()}
        mine = set() if restored else {str(engine.ready.get("bundle_id"))}
        lost = [
            replace(event, phase="retracted", revision=event.revision + 1, ended=True)
            for event in self.store.open_actions(camera)
            if (event.bundle in mine and not event.id.startswith(f"{camera}/{run_id}/")) or event.bundle not in running
        ]
        if lost:
            _log.warning(
                "camera %s: %s retracted: their session could not be continued", camera, counted(len(lost), "event")
            )
            self.write(camera, engine.bundle, lost, lambda: None)

    def write(self, camera: str, bundle: str, reports: Sequence[Event], done: Callable[[], None]) -> None:
        """Store reports; `done` is called afterwards, in another thread."""
        self.writer.put(Batch(camera, bundle, reports, self.sinks_of(camera), done))

    def save_camera(self, unit: CameraUnit) -> None:
        """Store what a restart of the service needs."""
        state = {
            "epoch_unix": unit.epoch_unix,
            "source": unit.config.source,
            "ended": unit.finished,
            "reading": unit.reading,
            "begins": dict(unit.begins),
            "covered_s": unit.covered_s,
            "closed_reason": unit.closed_reason,
            "offset": unit.offset if unit.covered_s is not None else None,
        }
        self.known[unit.name] = state
        try:
            self.store.set_camera_state(unit.name, state)
        except PunctumError:  # a full disk: later
            self.writer.change(lambda store: store.set_camera_state(unit.name, state))

    def save_versions(self) -> None:
        """Store which versions of bundles run, oldest first: a new start continues a handover."""
        versions: dict[str, list[dict[str, Any]]] = {}
        for engine in sorted(self.engines.values(), key=lambda e: e.version):
            entry = {"path": str(engine.path), "id": engine.state_dir.name, "config": engine.config.model_dump()}
            versions.setdefault(engine.bundle, []).append(entry)
        text = json.dumps(versions, indent=1) + "\n"
        self.writer.change(lambda store: atomic_write(self.folder / "versions.json", text))


def run_id_of(unit: CameraUnit, engine: EngineUnit) -> str:
    """A new one, but for a recording that is read again after a loss: its actions get the ids that they had."""
    if unit.live:
        return secrets.token_hex(4)
    text = f"{unit.reading}/{engine.bundle}/{engine.ready.get('bundle_id')}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _earliest(routes: list[Route]) -> dict[str, Any] | None:
    """The position from which no engine misses anything: those that have more skip what they know."""
    opened = [route for route in routes if route.is_open]
    if any(route.now_s is None or route.position is None for route in opened):
        return None
    return min(opened, key=lambda route: route.now_s or 0.0).position if opened else None

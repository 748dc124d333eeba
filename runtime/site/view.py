"""The running site as the API sees it."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import InputError
from .api.view import BundleView, CameraView, SinkView, SiteInfo, Tracks
from .config.models import BundleConfig, CameraConfig
from .live_pictures import live_picture
from .metrics import SiteMetrics
from .supervisor.camera_unit import CameraUnit
from .wire import Header

if TYPE_CHECKING:
    from .parts import SiteParts
    from .store.store import Store

STUCK_S = 60.0
TRACKS_S = 3.0
_NEXT_STEPS = {
    "camera-stuck": "look at its log lines; increase `limits.stuck_s` for sources that are slow to open",
    "camera-memory": "lower the resolution of the camera or `media.ring_mb`, or increase `limits.memory_mb`",
    "camera-loss": "check the network between the camera and this machine; with `transport: udp`, try tcp; lower the "
    "bit rate of the camera",
    "camera-behind": "look at the load of this machine; lower the resolution or the frame rate of the camera, use "
    "fewer cameras or bundles, or a faster machine",
    "camera-slow": "compare with the frame rate in the settings of the camera, and check its exposure time and the "
    "network",
    "camera-without-bundle": "see the state of its bundles",
}


class View:
    """Implements `api.view.SiteView`. All methods may be called from any thread."""

    def __init__(self, running: SiteParts) -> None:
        self._site = running
        self._started = time.time()
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._metrics = SiteMetrics(running)

    @property
    def store(self) -> Store:
        return self._site.store

    def site(self) -> SiteInfo:
        """The site as a whole."""
        degraded = list(self._site.retention.degraded)
        if self.store.damage:
            degraded.append(self.store.damage)
        degraded += self.store.troubles
        writer = self._site.supervisor.units.writer
        if writer.trouble:
            degraded.append(f"events cannot be stored at the moment: {writer.trouble}")
        degraded += self._site.supervisor.call(self._troubles)
        cameras = self.cameras()
        degraded += [f"camera {camera.name}: {camera.why}" for camera in cameras if camera.degraded]
        degraded += [f"`{field}` has changed: start the service again" for field in self._site.waiting_for_start]
        degraded += [f"output {sink.name}: {sink.last_error}" for sink in self.sinks() if sink.state == "failing"]
        losses: dict[str, int] = {}
        for camera in cameras:
            for reason, count in camera.losses.items():
                losses[reason] = losses.get(reason, 0) + count
        name = self._site.supervisor.units.loaded.config.name
        if writer.dropped:
            losses["provisional reports dropped while the disk failed"] = writer.dropped
        differences = tuple(self._site.differences)
        return SiteInfo(name, __version__, self._started, tuple(degraded), losses, differences)

    def _troubles(self) -> list[str]:
        return [
            f"a restart would lose events of camera {camera}, since its features cannot be stored: {why}"
            for engine in self._site.supervisor.units.engines.values()
            for camera, why in engine.troubles.items()
            if why
        ]

    def cameras(self) -> Sequence[CameraView]:
        """All cameras by name."""
        return self._site.supervisor.call(
            lambda: [self._camera(u) for _, u in sorted(self._site.supervisor.units.cameras.items())]
        )

    def _camera(self, unit: CameraUnit) -> CameraView:
        stats = {key: value for key, value in unit.stats.items() if key not in ("type", "trouble")}
        losses = Counter(unit.lost)
        losses["snippets dropped before the engine"] += sum(route.dropped for route in unit.routes.values())
        losses.update({f"chunks skipped ({reason})": count for reason, count in unit.bad.items()})
        for engine in self._site.supervisor.units.engines_of(unit):
            stats[f"engine {engine.bundle}"] = engine.stats.get("cameras", {}).get(unit.name, {})
        state: str = unit.state
        why = unit.why
        if unit.state == "ended" and not unit.finished:
            state, why = "running", "the recording has ended, and its last events are computed"
        losing = unit.losing
        return CameraView(
            unit.name,
            state,
            losing or why,
            unit.since,
            unit.config,
            _NEXT_STEPS.get(unit.loss.code if losing else unit.code, ""),
            stats,
            {reason: count for reason, count in losses.items() if count},
            picture=unit.state == "running" and bool(unit.stats.get("width")),
            tracks=unit.state == "running",
            degraded=bool(losing),
            missing_share=round(unit.loss.share, 4) if unit.state == "running" else 0.0,
        )

    def removed_cameras(self) -> Sequence[str]:
        """Cameras of the file that were removed over the API."""
        return self._site.removed

    def bundles(self) -> Sequence[BundleView]:
        """All bundles by name."""

        def look() -> list[BundleView]:
            units = self._site.supervisor.units
            found = []
            for name in units.loaded.config.bundles:
                versions = sorted((e for e in units.engines.values() if e.bundle == name), key=lambda e: e.version)
                if not versions:
                    continue
                engine, following = versions[0], versions[1:]  # the oldest one reports until the next has taken over
                ready = engine.ready
                found.append(
                    BundleView(
                        name,
                        str(ready.get("bundle_id", "")),
                        str(ready.get("version", "")),
                        engine.state,
                        tuple(ready.get("labels", ())),
                        engine.why or next((f"the next version: {e.why}" for e in following if e.why), ""),
                        next((str(e.ready.get("bundle_id", "") or e.state) for e in following), ""),
                        next((str(e.ready.get("version", "")) for e in following), ""),
                        {k: v for k, v in engine.stats.items() if k not in ("type", "cameras")},
                        _by_class(ready.get("min_score"), ready.get("labels", ())),
                    )
                )
            return found

        return self._site.supervisor.call(look)

    def sinks(self) -> Sequence[SinkView]:
        """All outputs."""
        found = []
        for name, delivery in sorted(self._site.deliveries.items()):
            counts = delivery.stats()
            found.append(
                SinkView(
                    name,
                    counts.kind,
                    counts.state,
                    counts.delivered,
                    counts.retried,
                    counts.refused,
                    counts.waiting,
                    counts.oldest_s,
                    counts.last_error,
                )
            )
        return found

    def put_camera(self, name: str, config: CameraConfig) -> None:
        """Add a camera, or change one. Lasts until the configuration file is read again."""
        self._site.change(lambda cameras: {**cameras, name: config})

    def delete_camera(self, name: str) -> None:
        """End a camera; its events stay."""

        def remove(cameras: dict[str, CameraConfig]) -> dict[str, CameraConfig]:
            gone = _known(name, cameras)
            return {key: config for key, config in cameras.items() if key != gone}

        self._site.change(remove)

    def enable_camera(self, name: str, enabled: bool) -> None:
        """Switch a camera on or off."""

        def switch(cameras: dict[str, CameraConfig]) -> dict[str, CameraConfig]:
            config = cameras[_known(name, cameras)]  # as it is now, whoever has changed it in between
            return {**cameras, name: config.model_copy(update={"enabled": enabled})}

        self._site.change(switch)

    def restart_camera(self, name: str) -> None:
        """Start the process of a camera again, now."""

        def restart() -> None:
            cameras = self._site.supervisor.units.cameras
            unit = cameras[_known(name, cameras)]
            unit.stop_now()
            if unit.finished:
                unit.begin_again()
                self._site.supervisor.units.save_camera(unit)
            unit.active = bool(unit.routes)  # without sessions, the next look opens them
            unit.backoff.reset()
            unit.next_start = 0.0
            unit.set_state("starting", "started again on request")

        self._site.supervisor.call(restart)

    def put_bundle(self, name: str, config: BundleConfig) -> None:
        """Replace a bundle: the new version takes over between two actions."""
        self._site.change_bundle(name, config)

    def reload(self) -> None:
        """Read the configuration file again."""
        self._site.reload()

    def request_picture(self, camera: str) -> bytes | None:
        """A JPEG of what the camera sees now."""
        return live_picture(self._site.supervisor, self._site.loaded.state / "media" / "live", camera)

    def tracks(self, camera: str) -> Tracks | None:
        """The latest tracks of the first bundle of a camera; None if there are none."""
        answers: queue.SimpleQueue[Header] = queue.SimpleQueue()

        def ask() -> str:
            units = self._site.supervisor.units
            unit = units.cameras.get(camera)
            for engine in [] if unit is None else units.engines_of(unit):
                if engine.child is not None and engine.state == "ready":
                    units.media.ask(engine.child, {"type": "tracks", "camera": camera}, answers.put)
                    return engine.bundle
            return ""

        bundle = self._site.supervisor.call(ask)
        try:
            answer = answers.get(timeout=TRACKS_S) if bundle else {}
        except queue.Empty:
            return None
        if not answer.get("ok"):
            return None
        start_s, stride_s = float(answer["start_s"]), float(answer["stride_s"])
        return Tracks(bundle, start_s, stride_s, answer["actionness"], answer["classes"], answer.get("start_unix"))

    def metrics(self) -> tuple[bytes, str]:
        """Metrics in the text format of Prometheus, and their content type."""
        return self._metrics.render()

    def alive(self) -> tuple[bool, str]:
        """Whether the control thread works."""
        quiet = time.monotonic() - self._site.supervisor.beat
        return quiet < STUCK_S, f"last sign of life {quiet:.1f} s ago"

    def ready(self) -> tuple[bool, str]:
        """Whether every bundle has loaded, and events can be stored. Cameras that are lost do not count: a new start
        would not bring them back."""
        units = self._site.supervisor.units
        if units.writer.trouble:
            return False, f"events cannot be stored: {units.writer.trouble}"
        waiting = [f"{e.bundle}: {e.why or e.state}" for e in list(units.engines.values()) if e.state != "ready"]
        used = {name for unit in list(units.cameras.values()) for name in unit.config.bundles}
        waiting = [text for text in waiting if text.partition(":")[0] in used]
        return not waiting, "; ".join(waiting) or "ready"

    def on_report(self, call: Callable[[], None]) -> Callable[[], None]:
        """`call` is called from any thread after reports were stored, until the returned function is called."""
        with self._lock:
            self._listeners.append(call)

        def remove() -> None:
            with self._lock:
                if call in self._listeners:
                    self._listeners.remove(call)

        return remove

    def reported(self, reports: Sequence[Any]) -> None:
        """Reports were stored."""
        with self._lock:
            listeners = list(self._listeners)
        for call in listeners:
            call()


def _known(name: str, cameras: Collection[str]) -> str:
    """The name of a camera. Raises InputError where there is none of this name."""
    if name not in cameras:
        raise InputError("camera-unknown", f"There is no camera {name!r}", ", ".join(cameras), "correct the name")
    return name


def _by_class(minimum: Any, labels: Sequence[str]) -> dict[str, float]:
    """Minimum scores as reported by an engine: one for all classes, or one for each."""
    if isinstance(minimum, dict):
        return {str(label): float(score) for label, score in minimum.items()}
    return {label: float(minimum or 0.0) for label in labels}

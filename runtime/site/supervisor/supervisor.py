"""The control thread of a site: one place where messages of all processes, requests and the clock meet."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...errors import PunctumError
from ..store.database import StoreError
from ..wire import Header
from . import absence, camera_messages, engine_messages
from .camera_unit import CameraUnit
from .child import Child
from .engine_unit import EngineUnit
from .lifecycle import close_sessions, tick
from .media_orders import Kind, MediaOrders
from .units import Units
from .versions import earlier_versions
from .writer import Writer

if TYPE_CHECKING:
    from ..config.load import LoadedSite
    from ..config.models import BundleConfig, CameraConfig
    from ..store.rows import Report
    from ..store.store import Store

_log = logging.getLogger(__name__)
T = TypeVar("T")


def bundle_ids(loaded: LoadedSite) -> dict[str, str]:
    """Ids of the bundles as their files are now. Those that cannot be read are left out: their engine says why."""
    from ...bundle.reader import Bundle

    ids = {}
    for name in loaded.config.bundles:
        with contextlib.suppress(PunctumError):
            ids[name] = Bundle.load(loaded.bundle_path(name)).id
    return ids


TICK_S = 0.25
MOST_MESSAGES = 4096  # beyond that the processes wait
STOP_S = 12.0


class Supervisor:
    """Runs the cameras and bundles of a site. `start` returns at once; `stop` ends everything in order.

    Args:
        loaded: The configuration.
        store: Open store; the caller closes it.
        folder: State folder.
        stored: Called with reports that are new, in the thread that stored them.
        media_refused: Why no clip or picture is stored at the moment; empty: they are.
    """

    def __init__(
        self,
        loaded: LoadedSite,
        store: Store,
        folder: Path,
        *,
        stored: Callable[[Sequence[Report]], None] = lambda reports: None,
        media_refused: Callable[[Kind], str] = lambda kind: "",
    ) -> None:
        from .handover import Handovers

        self._queue: queue.Queue[Callable[[], None]] = queue.Queue(MOST_MESSAGES)
        self._stopping = threading.Event()
        self._stored = stored
        writer = Writer(store, self._new_reports)
        media = MediaOrders(writer.put_row, folder / "media", media_refused)
        self.units = Units(loaded, store, writer, media, folder)
        self.units.handovers = Handovers(self.units)
        self.beat = time.monotonic()
        """When the control thread was last seen, for /healthz."""
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Start the bundles, and then the cameras."""
        self.units.writer.change(lambda store: store.complete_media("the service ended before it was made"))
        config = self.units.loaded.config
        ids = bundle_ids(self.units.loaded)
        earlier = earlier_versions(self.units.folder)
        for name, bundle in config.bundles.items():
            version = 1
            for old in earlier.get(name, ()):
                if ids.get(name) not in (None, old.id):  # its handover was under way, or it was replaced meanwhile
                    self.add_engine(name, old.config, version=version, bundle_id=old.id, path=old.path)
                    version += 1
            self.add_engine(name, bundle, version=version, bundle_id=ids.get(name))
        for name, camera in config.cameras.items():
            self.add_camera(name, camera)
        self._thread.start()

    def call(self, function: Callable[[], T], timeout_s: float = 10.0) -> T:
        """Run a function in the control thread, and return its result. Raises what it raises; PunctumError if the
        thread does not come to it in time. Then it never does; one that has begun is waited for, since its effects
        stay."""
        if threading.current_thread() is self._thread:
            return function()
        result: Future[T] = Future()

        def run() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(function())
            except BaseException as error:  # noqa: BLE001 - belongs to the caller
                result.set_exception(error)

        try:
            self._queue.put(run, timeout=timeout_s)
            return result.result(timeout_s)
        except (TimeoutError, queue.Full):
            if result.cancel():
                raise PunctumError("site-busy", "The service is busy", next_step="try again in a few seconds") from None
            return result.result()

    def stop(self, *, timeout_s: float = STOP_S) -> None:
        """End all processes. Engines store the state of their sessions, so that a later start continues them."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        units = self.units
        for unit in units.cameras.values():
            absence.leave(units, unit, "service-down")  # for sessions that cannot continue after the next start
            if unit.state != "ended":  # their last reports may still arrive, which completes them
                unit.set_state("off", "the service ends")
            unit.stop_now()
        for engine in units.engines.values():
            engine.state = "stopping"
            engine.send({"type": "stop", "flush": False})
        # What the engines still report is stored, and acknowledged, so that they can store their state.
        deadline = time.monotonic() + timeout_s
        while any(e.child is not None for e in units.engines.values()) and time.monotonic() < deadline:
            try:
                message = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            self._guarded(message)
        for engine in units.engines.values():
            if engine.child is not None:
                engine.child.join(0.1)
        units.writer.close()

    # In the control thread, or before it runs.

    def add_engine(
        self,
        bundle: str,
        config: BundleConfig,
        *,
        version: int = 1,
        bundle_id: str | None = None,
        path: Path | None = None,
    ) -> EngineUnit:
        """Add the engine of a bundle.

        Args:
            bundle: Its name in the configuration.
            config: Its configuration.
            version: Counts replacements, from 1.
            bundle_id: Id of the bundle, as far as it can be read: names the folder of its sessions, so that a later
                start of the service finds them, whichever versions there were before.
            path: Where it is. Default: as the configuration says.
        """
        key = bundle if version == 1 else f"{bundle}@{version}"
        units = self.units
        engine = EngineUnit(
            key,
            bundle,
            config,
            path or units.loaded.bundle_path(bundle),
            units.folder / "engines" / (bundle_id or key),
            lambda child, header, payload: self._post(partial(engine_messages.handle, units, engine, child, header)),
        )
        units.engines[key] = engine
        units.current.setdefault(bundle, key)
        units.versions[bundle] = version
        units.save_versions()
        return engine

    def add_camera(self, name: str, config: CameraConfig) -> CameraUnit:
        """Add a camera."""
        units = self.units

        def receive(child: Child, header: Header, payload: bytes) -> None:
            self._post(partial(camera_messages.handle, units, unit, child, header, payload))

        unit = CameraUnit(name, config, receive)
        known = units.known.get(name) or units.store.camera_state(name)
        same = known.get("source") == config.source
        absence.resume(unit, known)
        unit.epoch_unix = float(known["epoch_unix"]) if unit.continues and "epoch_unix" in known else units.now()
        unit.fresh = bool(known) and not same
        unit.begins = {str(k): float(v) for k, v in known.get("begins", {}).items()} if same else {}
        units.cameras[name] = unit
        if same and isinstance(known.get("reading"), str):
            unit.reading = str(known["reading"])
        if same and known.get("ended") and units.store.reports_lost:
            _log.warning("camera %s: its recording is read again: events were lost with the damaged database", name)
        elif same and known.get("ended"):
            unit.finished = True
            unit.set_state("ended", "the recording was read before")
        units.save_camera(unit)
        for engine in units.engines_of(unit):
            if engine.state == "ready" and config.enabled and not unit.finished:
                units.open_session(unit, engine)
        return unit

    def remove_camera(self, name: str, reason: str = "removed") -> None:
        """End a camera. Its sessions report what is left; its events stay. reason: of the gap if the camera returns."""
        unit = self.units.cameras.pop(name)
        absence.leave(self.units, unit, reason)
        unit.set_state("off", "removed")
        unit.stop_now()
        self.units.media.camera_ended(name, None)
        close_sessions(self.units, unit)

    def _post(self, message: Callable[[], None]) -> None:
        self._queue.put(message)

    def _run(self) -> None:
        due = 0.0
        while not self._stopping.is_set():
            self.beat = time.monotonic()
            try:
                message = self._queue.get(timeout=TICK_S)
            except queue.Empty:
                pass
            else:
                self._guarded(message)
            if self.beat >= due:
                due = self.beat + TICK_S
                self._guarded(lambda: tick(self.units))

    def _guarded(self, work: Callable[[], None]) -> None:
        """A mistake in the handling of one message must not end the service of all other cameras."""
        try:
            work()
        except StoreError as error:  # of the disk, or damage, which ends the service: see `run`
            _log.error("[%s] %s", error.code, error)
        except Exception:  # noqa: BLE001 - logged with its trace
            _log.exception("a message could not be handled")

    def _new_reports(self, reports: Sequence[Report]) -> None:
        self._stored(reports)
        finals = [report for report in reports if report.event.phase == "final"]
        if finals:
            self._post(partial(self._order_media, finals))

    def _order_media(self, finals: Sequence[Report]) -> None:
        for report in finals:
            unit = self.units.cameras.get(report.camera)
            if unit is not None:
                self.units.media.order(unit, report.event)
            else:
                self.units.media.refuse(report.camera, report.event)

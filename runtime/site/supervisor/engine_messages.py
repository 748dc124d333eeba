"""What engines say, and what follows from it."""

from __future__ import annotations

import logging
import time

from ...events.event import Event
from ..gap_reasons import reason_of
from ..store.rows import GapRow
from ..wire import Header
from . import absence
from .camera_unit import CameraUnit
from .child import Child
from .engine_unit import EngineUnit
from .units import Units

_log = logging.getLogger(__name__)


def handle(units: Units, engine: EngineUnit, child: Child, header: Header) -> None:
    """Act on one message. Messages of a process that was replaced are ignored."""
    if child is not engine.child:
        return
    # A version that was replaced before it was ready, or was retired, may still report, but takes no part any more.
    if units.engines.get(engine.key) is not engine and header.get("type") in ("ready", "opened", "failed"):
        return
    kind, camera = header.get("type"), header.get("camera")
    unit = units.cameras.get(camera) if isinstance(camera, str) else None
    route = None if unit is None else unit.routes.get(engine.key)
    if kind == "taken" and route is not None:
        route.taken(int(header["seq"]))
    elif kind == "events":
        _events(units, engine, child, header)
    elif kind == "stats":
        _stats(units, engine, header)
    elif kind == "gaps":
        _gap(units, header)
    elif kind == "tracks":
        units.media.answered(header)
    elif kind == "ready":
        _ready(units, engine, header)
    elif kind == "opened" and unit is not None and route is not None:
        unit.fresh = False
        restored, run_id = bool(header.get("restored")), str(header.get("run_id", ""))
        units.conclude(unit.name, engine, restored=restored, run_id=run_id)
        route.opened(header.get("now_s"), header.get("position"))
    elif kind == "closed" and unit is not None:
        _closed(units, unit, engine, header)
    elif kind == "leaving" and unit is not None and units.handovers is not None:
        units.handovers.leaving(unit, engine, float(header["at_s"]))
    elif kind == "state":
        engine.troubles[str(camera)] = "" if header["state"] == "stored" else str(header.get("why", "") or "?")
    elif kind == "failed":
        _failed(units, engine, header)
    elif kind == "exit":
        _exit(units, engine, child)


def _conclude_removed(units: Units, engine: EngineUnit) -> None:
    """End the stored sessions of cameras that were removed while the service was down: they report what is left."""
    for name in engine.stored_cameras():
        unit = units.cameras.get(name)
        if unit is None or engine.bundle not in unit.config.bundles:
            _log.info("camera %s was removed: its session with bundle %s ends", name, engine.key)
            engine.send({"type": "open", "camera": name, "stream": name, "run_id": "removed", "policy": "wait"})
            engine.send({"type": "close", "camera": name})


def _stats(units: Units, engine: EngineUnit, header: Header) -> None:
    engine.stats = header
    for name, stats in header.get("cameras", {}).items():
        unit = units.cameras.get(name)
        if unit is not None:
            missing, overflowed = int(stats.get("dropped") or 0), int(stats.get("overflowed") or 0)
            unit.count("snippets missing in gaps", f"{engine.key} gaps", missing)
            unit.count("snippets dropped because the engine was behind", f"{engine.key} overflow", overflowed)


def _ready(units: Units, engine: EngineUnit, header: Header) -> None:
    engine.ready = header
    stopping = engine.state == "stopping"  # the service ends, or the bundle was removed, while it was loading
    if not stopping:
        engine.set_state("ready")
    _conclude_removed(units, engine)
    if stopping:
        return
    if units.handovers is not None and units.handovers.engine_ready(engine):
        return
    for unit in units.cameras.values():
        current = engine.bundle in unit.config.bundles and units.current.get(engine.bundle) == engine.key
        if current and unit.active and not unit.finished:
            units.open_session(unit, engine)


def _events(units: Units, engine: EngineUnit, child: Child, header: Header) -> None:
    camera, seq = str(header["camera"]), header["seq"]
    reports: list[Event] | None = [Event.from_json(line) for line in header["reports"]]

    def done() -> None:
        child.send({"type": "committed", "camera": camera, "seq": seq})

    if units.handovers is not None and reports is not None:
        reports = units.handovers.passed(camera, engine, reports, done)
    if reports is not None:
        units.write(camera, engine.bundle, reports, done)


def _closed(units: Units, unit: CameraUnit, engine: EngineUnit, header: Header) -> None:
    """A session has reported everything."""
    absence.closed(unit, header)
    if units.handovers is not None:
        units.handovers.closed(unit, engine, header)
    if unit.state == "ended" and not unit.routes:
        # Behind the last reports in the queue of the store: a kill before would otherwise lose them.
        units.write(unit.name, engine.bundle, [], lambda: _finish(units, unit))


def _finish(units: Units, unit: CameraUnit) -> None:
    unit.finished = True
    units.save_camera(unit)


def _gap(units: Units, header: Header) -> None:
    units.writer.put_row(
        GapRow(
            str(header["camera"]),
            float(header["start_s"]),
            float(header["end_s"]),
            float(header.get("start_unix") or 0.0),
            float(header.get("end_unix") or 0.0),
            int(header.get("snippets", 0)),
            reason_of(header.get("reason")),
        )
    )


def _failed(units: Units, engine: EngineUnit, header: Header) -> None:
    camera, why, code = header.get("camera"), str(header.get("given", "")), str(header.get("code", "engine"))
    if camera is None:
        if engine.state != "stopping":
            engine.set_state("failed", why, code)  # its process ends now
        return
    unit = units.cameras.get(str(camera))
    if unit is not None:
        unit.routes.pop(engine.key, None)
        unit.set_state("failed" if not unit.routes else unit.state, f"bundle {engine.key}: {why}", code)


def _exit(units: Units, engine: EngineUnit, child: Child) -> None:
    engine.child = None
    ran_s = time.monotonic() - child.started
    for unit in units.cameras.values():
        if engine.key in unit.routes:
            unit.routes[engine.key].lost_engine()
    if engine.state == "stopping":
        return
    code = child.exit_code
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    why = engine.why if engine.state == "failed" and engine.why else f"its process ended with {how}"
    if not engine.why and child.last_words:
        why += f": {child.last_words[:200]}"
    engine.restart_later(why, engine.code or "engine-ended", ran_s=ran_s)

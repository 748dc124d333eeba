"""What is due from time to time: processes are started, watched and ended, as configuration and schedules ask."""

from __future__ import annotations

import time
from datetime import datetime

from . import absence
from .camera_unit import CameraUnit
from .schedule import is_active
from .units import Units

SNAPSHOT_EVERY_S = 10.0


def tick(units: Units) -> None:
    """One look at everything. Call it a few times a second."""
    now = time.monotonic()
    for engine in units.engines.values():
        if fault := engine.fault(now):
            engine.set_state("failed", fault, "engine-stuck")
            if engine.child is not None:
                engine.child.kill()
        elif (
            engine.child is None
            and engine.state != "stopping"
            and now >= engine.next_start
            and _wanted(units, engine.key)
        ):
            engine.start(SNAPSHOT_EVERY_S)
    local = datetime.fromtimestamp(units.now()).astimezone()
    for unit in units.cameras.values():
        _camera(units, unit, now, local)
    units.media.tick(units.cameras)
    if units.handovers is not None:
        units.handovers.tick(now)


def _wanted(units: Units, key: str) -> bool:
    """Whether a camera uses an engine. One that nobody uses is not loaded."""
    engine = units.engines[key]
    return any(engine.bundle in unit.config.bundles for unit in units.cameras.values())


def _camera(units: Units, unit: CameraUnit, now: float, local: datetime) -> None:
    scheduled = is_active(unit.config.schedule, local)
    active = unit.config.enabled and scheduled
    if not active:
        if unit.active or unit.child is not None:
            pause(units, unit, "off" if not unit.config.enabled else "scheduled")
        unit.active = False
        return
    if not unit.active:
        unit.active = True
        unit.set_state("starting")
        for engine in units.engines_of(unit):
            if engine.state == "ready":
                units.open_session(unit, engine)
    if fault := unit.fault(now):
        unit.set_state("failed", fault, "camera-stuck" if "sign of life" in fault else "camera-memory")
        if unit.child is not None:
            unit.child.kill()
        return
    if unit.child is None and unit.state != "ended" and now >= unit.next_start:
        _start(units, unit)
    elif unit.child is not None and unit.state == "running":
        _missing_feed(units, unit)


def _start(units: Units, unit: CameraUnit) -> None:
    """Start the process, once every engine of the camera has opened its session or cannot do so for now."""
    engines = units.engines_of(unit)
    for engine in engines:
        route = unit.routes.get(engine.key)
        taking_over = route is None and engine.key != units.current.get(engine.bundle)
        if engine.state == "loading" or (
            engine.state == "ready" and (taking_over or (route is not None and not route.is_open))
        ):
            if unit.state not in ("failed", "lost"):
                unit.set_state("starting", f"bundle {engine.bundle} is loading")
            return
    absence.starts(unit)
    message = units.start_message(unit)
    if message is not None:
        unit.start(message)
    elif unit.state in ("starting", "opening"):
        reasons = "; ".join(f"bundle {engine.bundle}: {engine.why or engine.state}" for engine in engines)
        unit.set_state("failed", reasons or "it has no bundle", "camera-without-bundle")


def _missing_feed(units: Units, unit: CameraUnit) -> None:
    """An engine that failed before is ready now, and takes features that the process does not compute."""
    if any(route.is_open and route.feed not in unit.feeds for route in unit.routes.values()):
        unit.stop_now()
        unit.set_state("starting", "started again for another bundle")


def pause(units: Units, unit: CameraUnit, state: str) -> None:
    """End a camera's process and its sessions, which report what is left."""
    absence.leave(units, unit, "schedule" if state == "scheduled" else "disabled")
    unit.set_state(state)  # type: ignore[arg-type]  # paused or disabled
    unit.stop_now()
    unit.loss.pause()
    units.media.camera_ended(unit.name, unit)
    close_sessions(units, unit)


def close_sessions(units: Units, unit: CameraUnit) -> None:
    """Let all engines of a camera flush its sessions. A recording begins again after that, with new actions."""
    for route in unit.routes.values():
        route.close()
    unit.routes.clear()
    if not unit.live and not unit.finished:
        unit.begin_again()
        units.save_camera(unit)

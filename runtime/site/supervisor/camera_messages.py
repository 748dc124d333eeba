"""What the processes of cameras say, and what follows from it."""

from __future__ import annotations

import time

from ..wire import Header
from . import absence
from .camera_unit import CameraUnit
from .child import Child
from .units import Units


def handle(units: Units, unit: CameraUnit, child: Child, header: Header, payload: bytes) -> None:
    """Act on one message. Messages of a process that was replaced are ignored."""
    if child is not unit.child:
        return
    kind = header.get("type")
    if kind == "chunk":
        absence.came(units, unit, header)
        unit.chunk(header, payload)
    elif kind == "begin":
        unit.begin(header)
    elif kind == "bad":
        unit.refused(header)
    elif kind == "stats":
        unit.measured(header)
    elif kind == "state":
        _state(unit, header)
    elif kind == "media":
        units.media.answered(header)
    elif kind == "end":
        _end(unit, str(header.get("how", "")))
    elif kind == "exit":
        _exit(units, unit, child)


def _end(unit: CameraUnit, how: str) -> None:
    """The source has ended. A camera never ends: its process starts again."""
    if how == "error" or unit.state == "failed":
        return  # the message "state" has said why; its exit follows
    if not unit.replayable:
        unit.set_state("lost", "the camera has ended the stream", "camera-ended")
        return
    unit.set_state("ended", how)
    for route in unit.routes.values():
        route.end()


def _state(unit: CameraUnit, header: Header) -> None:
    state = header["state"]
    if unit.child is not None and unit.child.killed:
        return  # sent before it was killed; its exit follows
    if state in ("opening", "running", "lost", "failed"):
        unit.set_state(state, str(header.get("why", "")), str(header.get("code", "")))


def _exit(units: Units, unit: CameraUnit, child: Child) -> None:
    unit.child = None
    units.media.camera_ended(unit.name, unit)
    if unit.state in ("ended", "scheduled", "off"):
        return
    unit.ended(unit.code)
    code = child.exit_code
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    why = unit.why if unit.state in ("failed", "lost") and unit.why else f"its process ended with {how}"
    if not unit.why and child.last_words:
        why += f": {child.last_words[:200]}"
    unit.restart_later(why, unit.code or "camera-ended", ran_s=time.monotonic() - child.started)

"""Gaps of live cameras whose sessions were closed: because they were changed, disabled, removed, or by schedule.

A session that is open, or stored for the next start, declares what it has missed. A new session knows nothing of
earlier ones, so the supervisor remembers the media time that they reached, and declares the gap at the first features.
"""

from __future__ import annotations

from ..gap_reasons import reason_of
from ..gap_times import gap_times
from ..store.rows import GapRow
from ..wire import Header
from .camera_unit import CameraUnit, is_live, is_socket
from .route import SLACK
from .units import Units


def leave(units: Units, unit: CameraUnit, reason: str) -> None:
    """The sessions of a camera are about to be closed or stored. reason: of the gap that follows."""
    if not unit.live:
        return
    ends = [end for route in unit.routes.values() if (end := route.end_s) is not None]
    if ends:
        unit.covered_s, unit.closed_reason = max(ends), reason
    elif not unit.closed_reason:
        unit.closed_reason = reason
    unit.resumed = False
    units.save_camera(unit)


def resume(unit: CameraUnit, known: dict[str, object]) -> None:
    """A camera is added. known: the stored state of an earlier camera of that name."""
    before = str(known.get("source", ""))
    same = before == unit.config.source
    unit.continues = same or (is_live(before) and unit.live and not (is_socket(before) or unit.socket))
    covered_s, offset = known.get("covered_s"), known.get("offset")
    if unit.continues and unit.live:
        unit.covered_s = float(covered_s) if isinstance(covered_s, int | float) else None
        unit.offset = float(offset) if isinstance(offset, int | float) else None
        unit.closed_reason = str(known.get("closed_reason") or "")


def starts(unit: CameraUnit) -> None:
    """Its process starts. Where the engine of a session failed, remember the media time that the session reached."""
    routes = unit.routes.values()
    ends = [end for route in routes if not route.is_open and (end := route.end_s) is not None]
    if unit.live and ends and all(route.now_s is None for route in routes if route.is_open):
        unit.covered_s, unit.closed_reason, unit.resumed = max(ends), unit.closed_reason or "missing", False


def closed(unit: CameraUnit, header: Header) -> None:
    """A session has ended at the media time in its message. Counts until features of the next session arrive."""
    now_s = header.get("now_s")
    if now_s is None or header.get("why") != "closed" or unit.resumed or not (unit.live and unit.continues):
        return
    unit.covered_s = max(float(now_s), float(now_s) if unit.covered_s is None else unit.covered_s)
    unit.closed_reason = unit.closed_reason or "changed"


def came(units: Units, unit: CameraUnit, header: Header) -> None:
    """Features have arrived. Declares the gap before the first ones."""
    routes = unit.routes_of(header["feed"])
    if unit.resumed or header.get("at") is None or not routes:
        return
    covered_s, reason = unit.covered_s, reason_of(unit.closed_reason)
    unit.resumed, unit.covered_s, unit.closed_reason = True, None, ""
    if covered_s is None:
        return
    at, stride_s = float(header["at"]), routes[0].stride_s
    units.save_camera(unit)
    if any(route.is_open and route.now_s is not None for route in unit.routes.values()):
        return  # an open session declares it
    if at <= covered_s + SLACK * stride_s:
        return
    clock = None if unit.socket else unit.epoch_unix
    arrival = header.get("arrival_unix")
    after = clock if arrival is None else float(arrival) - at - int(header["rows"]) * stride_s
    start, end = gap_times(covered_s, at, clock if unit.offset is None else unit.offset, after)
    snippets = round((at - covered_s) / stride_s)
    if reason in ("changed", "missing"):
        unit.lost["snippets missing in gaps"] += snippets
    units.writer.put_row(GapRow(unit.name, covered_s, at, start or 0.0, end or 0.0, snippets, reason))

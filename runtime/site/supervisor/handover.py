"""A new version of a bundle takes over from the old one, camera by camera, between two actions.

Both versions receive the features for a while. Once the new session has its context, the old one goes on until no
action is unfinished, and ends at a media time T. Until then the reports of the new one are held back; then those of
actions that begin before T are dropped, since the old session has reported them, and all others are passed on. Which
versions run, and T, are stored, so that a handover goes on after a new start of the service.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ...events.event import Event
from ..wire import Header
from .camera_unit import CameraUnit
from .engine_unit import EngineUnit
from .units import Units

WARM_S = 10.0  # seconds of media that the new session has before the old one may end: its context
MOST_S = 30.0  # seconds of media that an action may still last before the old session is ended all the same
GIVE_UP_S = 120.0  # seconds of wall clock without progress of the old session
FORGET_S = 600.0  # seconds of media after which no report of an action from before comes any more
MOST_FAILURES = 3  # of an old version, after which the new one does not wait for it
Done = Callable[[], None]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Takeover:
    camera: str
    old: str
    new: str
    moved: float  # monotonic time at which the old session was last seen to go on
    old_s: float | None = None
    told: bool = False
    first_s: float | None = None  # media time at which the new session began
    at_s: float | None = None  # media time from which on the new version reports, once the old one has said so
    held: list[tuple[list[Event], Done]] = field(default_factory=list)


class Handovers:
    """All handovers that are under way. Used by the control thread alone."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._under_way: dict[str, _Takeover] = {}  # by camera and bundle
        self._known: dict[tuple[str, str], set[str]] = {}

    def engine_ready(self, engine: EngineUnit) -> bool:
        """An engine has loaded. False: it is the current version, and its cameras are to be opened as usual."""
        units = self._units
        current = units.engines.get(units.current.get(engine.bundle, ""))
        if current is None:
            units.current[engine.bundle] = engine.key
            return False
        if engine.version < current.version:  # it has failed during its handover, and goes on with that
            waiting = [t for t in self._under_way.values() if t.old == engine.key]
            for takeover in waiting:
                takeover.told = False
                unit = units.cameras.get(takeover.camera)
                if unit is not None:
                    units.open_session(unit, engine)
            if not waiting:
                self._retire(engine)
            return True
        if engine is not current:
            self._begin(current, engine)
            return True
        newer = [e for e in units.engines.values() if e.bundle == engine.bundle and e.version > engine.version]
        ready = [e for e in newer if e.state == "ready"]
        if ready:  # it loaded faster than this one, after a new start of the service
            for unit in self._users(engine):
                units.open_session(unit, engine)
            self._begin(engine, ready[0])
            return True
        return False

    def _users(self, engine: EngineUnit) -> list[CameraUnit]:
        cameras = self._units.cameras.values()
        return [unit for unit in cameras if engine.bundle in unit.config.bundles and unit.active and not unit.finished]

    def _begin(self, old: EngineUnit, new: EngineUnit) -> None:
        """The new version has loaded. One that is still loading, after a new start, is waited for."""
        if old.state == "loading" and old.backoff.failures < MOST_FAILURES:
            return
        if any(takeover.new == old.key for takeover in self._under_way.values()):
            return  # the version before has to be done with its own handover; `tick` looks again
        units = self._units
        units.current[new.bundle] = new.key
        for unit in self._users(new):
            units.open_session(unit, new)
            if old.key in unit.routes:  # one that has failed starts again, and is given up if it does not go on
                takeover = _Takeover(unit.name, old.key, new.key, time.monotonic())
                self._under_way[f"{unit.name}/{new.bundle}"] = takeover
        self._retire(old)

    def passed(self, camera: str, engine: EngineUnit, reports: list[Event], done: Done) -> list[Event] | None:
        """The reports of an engine that go on now. None: they are held back, and stored later, with `done`."""
        takeover = self._under_way.get(f"{camera}/{engine.bundle}")
        if takeover is not None and takeover.new == engine.key:
            takeover.held.append((reports, done))
            return None
        if takeover is not None and takeover.at_s is not None:
            return _before(reports, takeover.at_s)
        return self._from(camera, engine, reports)

    def leaving(self, unit: CameraUnit, engine: EngineUnit, at_s: float) -> None:
        """The old session ends; the new version reports what begins from at_s on, in seconds of media."""
        takeover = self._under_way.get(f"{unit.name}/{engine.bundle}")
        if takeover is not None and takeover.old == engine.key:
            takeover.at_s = at_s
            # Before the old session ends: after a kill, this is the only record of what it has reported.
            self._remember(takeover)

    def closed(self, unit: CameraUnit, engine: EngineUnit, header: Header) -> None:
        """A session has ended."""
        takeover = self._under_way.get(f"{unit.name}/{engine.bundle}")
        route = unit.routes.get(engine.key)
        if route is not None and route.is_open:  # else it belongs to the next session, which is not open yet
            route.clear()
            del unit.routes[engine.key]
        if takeover is not None and takeover.old == engine.key:
            self._finish(takeover)
            self._retire(engine)

    def tick(self, now: float) -> None:
        """Tell old sessions to end, give up those that do not go on, and begin what had to wait."""
        for new in [e for e in self._units.engines.values() if e.state == "ready"]:
            current = self._units.engines.get(self._units.current.get(new.bundle, ""))
            if current is not None and new.version > current.version:
                self._begin(current, new)
        for takeover in list(self._under_way.values()):
            old, unit = self._units.engines.get(takeover.old), self._units.cameras.get(takeover.camera)
            route = None if unit is None else unit.routes.get(takeover.old)
            if route is not None and route.now_s != takeover.old_s:
                takeover.old_s, takeover.moved = route.now_s, now
            until_s = self._warm_s(takeover)
            if not takeover.told and old is not None and old.state == "ready" and until_s is not None:
                takeover.told = True
                old.send({"type": "handover", "camera": takeover.camera, "from_s": until_s, "most_s": MOST_S})
            if unit is None or old is None or route is None or now - takeover.moved > GIVE_UP_S:
                if unit is not None and route is not None:
                    _log.warning("camera %s: the old version of its bundle does not end, and is left", unit.name)
                    route.clear()
                    unit.routes.pop(takeover.old, None)
                self._finish(takeover)
                if old is not None:
                    self._retire(old)

    def _warm_s(self, takeover: _Takeover) -> float | None:
        """Media time from which on the new session reports correctly; None: it has not come so far yet."""
        unit = self._units.cameras.get(takeover.camera)
        route = None if unit is None else unit.routes.get(takeover.new)
        if route is None or not route.is_open or route.now_s is None:
            return None
        if takeover.first_s is None:
            takeover.first_s = route.opened_s if route.opened_s is not None else route.now_s
        warm_s = takeover.first_s + WARM_S
        return warm_s if route.now_s >= warm_s else None

    def _finish(self, takeover: _Takeover) -> None:
        new = self._units.engines.get(takeover.new)
        bundle = takeover.new.partition("@")[0]
        self._under_way.pop(f"{takeover.camera}/{bundle}", None)
        self._remember(takeover)
        for reports, done in takeover.held:
            passed = reports if new is None else self._from(takeover.camera, new, reports)
            self._units.write(takeover.camera, bundle, passed, done)
        _log.info("camera %s: %s takes over", takeover.camera, "" if new is None else new.ready.get("bundle_id"))

    def _remember(self, takeover: _Takeover) -> None:
        new, unit = self._units.engines.get(takeover.new), self._units.cameras.get(takeover.camera)
        if takeover.at_s is not None and unit is not None and new is not None:
            unit.begins[str(new.ready.get("bundle_id"))] = takeover.at_s
            self._units.save_camera(unit)

    def _from(self, camera: str, engine: EngineUnit, reports: list[Event]) -> list[Event]:
        """Without reports of actions that the version before has reported."""
        unit, bundle_id = self._units.cameras.get(camera), str(engine.ready.get("bundle_id"))
        begin = None if unit is None else unit.begins.get(bundle_id)
        if unit is None or begin is None:
            return reports
        dropped, passed = self._known.setdefault((camera, bundle_id), set()), []
        for event in reports:
            if event.id in dropped or (event.revision == 0 and event.start < begin):
                dropped.add(event.id)
            else:
                passed.append(event)
        if any(event.start > begin + FORGET_S for event in passed):
            del unit.begins[bundle_id], self._known[camera, bundle_id]
            self._units.save_camera(unit)
        return passed

    def _retire(self, old: EngineUnit) -> None:
        """End an old version once no camera uses it."""
        if any(old.key in unit.routes for unit in self._units.cameras.values()):
            return
        if old.key == self._units.current.get(old.bundle):
            return
        old.set_state("stopping", "another version has taken over")
        old.send({"type": "stop", "flush": True})
        self._units.engines.pop(old.key, None)
        self._units.save_versions()


def _before(reports: list[Event], at_s: float) -> list[Event]:
    """The last reports of an old session. It ends with the beginnings of actions that the new one reports completely:
    those are left out, or retracted where they were reported before."""
    passed = [event for event in reports if event.start < at_s]
    for event in reports:
        if event.start >= at_s and event.revision > 0 and event.phase in ("final", "retracted"):
            passed.append(replace(event, phase="retracted", ended=True))
    return passed

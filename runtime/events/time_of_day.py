"""Time of day of events: relates media time to a clock, by the arrival of a live source or by a stated start.

The rule for live sources, which docs/reference/events.md explains:

1. An unbroken section of media is anchored when its first snippets arrive: their end is taken to be the present.
   Transport can only make this too late, so snippets that arrive with less delay correct the anchor until an event of
   the section has been stamped.
2. After that the anchor follows slow drift, by at most MOST_DRIFT seconds per second of media. Within a section events
   therefore keep their order, and a backward step of the system clock never makes them jump.
3. A forward step of the system clock, such as the first synchronization of a device without a battery, is followed at
   once. A backward step is absorbed by rule 2, or at the next gap or reconnection, which set a new anchor.
4. Media that arrives faster than real time was not captured while it arrived and gets no time of day.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ..arguments import check_type
from ..errors import InputError
from .event import Event

MOST_DRIFT = 1e-3  # clocks of cameras drift by up to 1e-4
WINDOW_S = 30.0  # seconds of media between corrections, each by the snippets with the least delay
STEP_S = 1.0  # a change of the system clock that counts as a step
LEAD_S = 10.0  # seconds by which media may run ahead of the clock before it counts as not live
MOST_ANCHORS = 64  # enough, because events are reported a bounded time after they end
_STATE = ("anchors", "fresh", "end", "clock", "least", "since", "origin")  # of `Arrival`
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeOfDay(Protocol):
    """Relates media time to Unix time."""

    def offset(self, media_s: float) -> float | None:
        """Unix time minus media time, for an event that starts at media_s; None: not known."""
        ...


@dataclass(frozen=True, slots=True)
class FixedStart:
    """A recording whose media time 0 was at this Unix time."""

    unix_s: float

    @classmethod
    def at(cls, start: datetime | None) -> FixedStart | None:
        """From a time with an offset from UTC; None: not known. Raises InputError for a time without an offset."""
        if start is None:
            return None
        check_type("start_utc", start, datetime, "a datetime", optional=True)
        if start.tzinfo is None:
            raise InputError(
                "start-utc", f"The time {start} has no offset from UTC", "a time with tzinfo", "add tzinfo=UTC"
            )
        return cls(start.timestamp())

    def offset(self, media_s: float) -> float | None:
        return self.unix_s


class Arrival:
    """Time of day of a live stream: call `arrived` for every chunk when it arrives."""

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._anchors: list[
            tuple[float, float | None]
        ] = []  # (media time from which it applies, Unix minus media time)
        self._fresh = True  # no event was stamped with the last anchor yet
        self._end: float | None = None  # media time up to which the section is known
        self._clock = 0.0  # wall minus steady clock at the last chunk
        self._least = 0.0  # steady clock minus media time of the snippets with the least delay in the window
        self._since = 0.0  # media time at which the window began
        self._origin = (0.0, 0.0)  # steady clock and media time at the start of the section

    def restart(self) -> None:
        """The source was connected again: the next chunk sets a new anchor."""
        self._end = None

    def state(self) -> dict[str, Any]:
        """Everything that decides the times from here on, as JSON; for `restore` in another process."""
        return {name: getattr(self, f"_{name}") for name in _STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`. Raises InputError where it is not such a state."""
        try:
            anchors = [(float(at), None if offset is None else float(offset)) for at, offset in state["anchors"]]
            numbers = {name: float(state[name]) for name in ("clock", "least", "since")}
            end = None if state["end"] is None else float(state["end"])
            origin = (float(state["origin"][0]), float(state["origin"][1]))
            fresh = bool(state["fresh"])
            known = [*numbers.values(), *origin, *([] if end is None else [end])]
            known += [number for anchor in anchors for number in anchor if number is not None]
            if not all(map(math.isfinite, known)) or (end is not None and not anchors):
                raise ValueError("not finite")
        except (KeyError, IndexError, TypeError, ValueError, OverflowError):
            raise InputError(
                "snapshot-damaged",
                "The state of the time of day cannot be used",
                "the value of Arrival.state",
                "use an earlier snapshot",
            ) from None
        self._anchors, self._fresh, self._end, self._origin = anchors, fresh, end, origin
        self._clock, self._least, self._since = numbers["clock"], numbers["least"], numbers["since"]

    def arrived(self, start_s: float, end_s: float, *, slack_s: float) -> None:
        """Snippets of [start_s, end_s) have arrived. A start more than slack_s after the last end is a gap."""
        now, clock = self._steady(), self._wall() - self._steady()
        if self._end is None or start_s > self._end + slack_s:
            self._begin(start_s, end_s, now, clock)
            return
        self._end = max(end_s, self._end)
        self._least = min(self._least, now - end_s)
        since, offset = self._anchors[-1]
        if offset is None:
            return
        step, self._clock = clock - self._clock, clock
        if step > STEP_S:
            offset += step
            self._set(since if self._fresh else end_s, offset)
        if (end_s - self._origin[1]) - (now - self._origin[0]) > LEAD_S:
            self._set(end_s, None)
        elif self._fresh and self._least + clock < offset:
            self._set(since, self._least + clock)
        elif end_s - self._since >= WINDOW_S:
            most = MOST_DRIFT * (end_s - self._since)
            self._set(end_s, offset + min(max(self._least + clock - offset, -most), most))
            self._since, self._least = end_s, now - end_s

    def _begin(self, start_s: float, end_s: float, now: float, clock: float) -> None:
        self._end, self._clock, self._since, self._least = end_s, clock, end_s, now - end_s
        self._origin = (now, end_s)
        self._anchors.append((start_s, now + clock - end_s))
        del self._anchors[:-MOST_ANCHORS]
        self._fresh = True

    def _set(self, media_s: float, offset: float | None) -> None:
        if self._fresh or media_s <= self._anchors[-1][0]:
            self._anchors[-1] = (self._anchors[-1][0], offset)
        else:
            self._anchors.append((media_s, offset))
            del self._anchors[:-MOST_ANCHORS]

    def offset(self, media_s: float) -> float | None:
        if self._anchors and self._anchor_of(media_s) == len(self._anchors) - 1:
            self._fresh = False
        return self.peek(media_s)

    def peek(self, media_s: float) -> float | None:
        """As `offset`, for a time that is not that of an event: the anchor may still be corrected."""
        return self._anchors[self._anchor_of(media_s)][1] if self._anchors else None

    def _anchor_of(self, media_s: float) -> int:
        return max((k for k, (since, _) in enumerate(self._anchors) if since <= media_s), default=0)


def stamped(events: Iterable[Event], clock: TimeOfDay | None) -> list[Event]:
    """Events with `start_utc` and `end_utc`, where the clock knows them.

    Both come from one anchor, so that they are as far apart as on the media clock.
    """
    if clock is None:
        return list(events)
    result = []
    for event in events:
        offset = clock.offset(event.start)
        if offset is not None:
            event = replace(event, start_utc=_iso(event.start + offset), end_utc=_iso(event.end + offset))
        result.append(event)
    return result


def _iso(unix_s: float) -> str | None:
    """ISO 8601 with milliseconds and Z; None for a year outside 1 to 9999."""
    try:
        moment = EPOCH + timedelta(milliseconds=round(unix_s * 1000))
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_utc(text: str) -> float:
    """Unix time of an ISO 8601 time with Z or an offset from UTC. Raises InputError."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError(
            "start-utc",
            f"{text[:80]!r} is not a time of day with an offset from UTC",
            "ISO 8601 with Z or an offset from UTC, such as 2026-05-01T10:00:00Z or 2026-05-01T12:00:00+02:00",
            "write the date, the time and the offset",
        )
    return (moment - EPOCH) / timedelta(seconds=1)

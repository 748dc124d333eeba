"""From time stamps to cells on the media clock: one rule for files, addresses and cameras. No I/O.

Media time 0 is the start of the container, so that times agree with those of a player. If the video starts up to
`hold_s` later, the first frame fills the time from 0; if it starts later still, the grid begins with the first frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ._frames import Gap
from ._time import TimeBase
from .clock import MediaClock, Tick
from .sampler import Cell, GridSampler

LIVE_JUMP_S = 60.0  # if time stamps may jump anywhere: a camera that sets its clock makes them jump by years
MOST_JUMP_S = 30 * 86400.0  # whatever the header declares
FAST = 100  # frames per second; more than any camera without time stamps sends
FILE_JUMP_S = 3600.0  # otherwise, if the header does not declare the length of the recording


class Stamped(Protocol):
    """The part of a `DecodedFrame` that a timeline needs."""

    raw_s: float | None
    duration_s: float
    lost: int
    damaged: bool


P = TypeVar("P", bound=Stamped)


class Timeline(Generic[P]):
    """Converts decoded frames into cells and gaps. It survives reconnections.

    Args:
        fps: Cells per second.
        base: Time information of the container.
        period_s: Nominal time between frames in seconds.
        hold_s: Longest time in seconds that a frame stays on screen.
        rhythm: Whether a long step in a regular sequence means lost frames, as with cameras.
        align_s: Sections begin at multiples of this many seconds. None: anywhere.
        placed: Called with every frame and its media time in seconds.
    """

    def __init__(
        self,
        fps: float,
        base: TimeBase,
        *,
        period_s: float,
        hold_s: float,
        rhythm: bool = False,
        align_s: float | None = None,
        placed: Callable[[P, float], None] | None = None,
    ) -> None:
        self._placed = placed
        self.base, self.hold_s = base, max(hold_s, 2 * period_s)
        self.sampler: GridSampler[P] = GridSampler(fps, max_hold_s=self.hold_s, align_s=align_s)
        jump_s = _longest_jump(base)
        self.clock = MediaClock(period_s=period_s, max_jump_s=jump_s, start_s=base.start_s, rhythm=rhythm)
        self.counts: dict[str, int] = {}
        self.lost_at_start_s = 0.0
        """Seconds of video at the start that could not be decoded."""
        self.end_s = 0.0
        """Media time at which the last frame leaves the screen."""
        self._raw_end_s: float | None = None
        self._held: tuple[P, str | None] | None = None  # a frame with a doubtful time stamp
        self._begun = False
        self._lost_total = 0  # frames lost so far
        self._frames = 0
        self._unmatched = 0  # of those, frames reported by the decoder without a matching step of time stamps yet

    def push(self, frame: P, *, lost: int = 0, broken: str | None = None) -> list[Cell[P] | Gap]:
        """Add a frame and return the items that it completes. lost: frames lost before it beyond `frame.lost`."""
        items: list[Cell[P] | Gap] = []
        if self._held is not None:
            held, reason = self._held
            self._held = None
            outlier = self.clock.continues(frame.raw_s, self.hold_s)
            items += self._take(held, self.clock.ignore_stamp() if outlier else self._tick(held), 0, reason)
        if self.clock.doubtful(frame.raw_s, self.hold_s):
            self._held = (frame, broken)
            self.sampler.lost += lost
            return items
        return items + self._take(frame, self._tick(frame), lost, broken)

    def shows(self, before_s: float, at_s: float, next_s: float) -> bool:
        """Return whether a cell may show the frame with time stamp `at_s`, between two others; True in doubt.

        Args:
            before_s: Time stamp in seconds of the frame before it.
            at_s: Its own.
            next_s: That of the frame after it.
        """
        shift = self.clock.shift
        if shift is None or self._held is not None or max(at_s - before_s, next_s - at_s) > self.hold_s / 2:
            return True
        return at_s + shift <= self.clock.last or self.sampler.shows(at_s + shift, next_s + shift)

    def resume(self, lost_s: float) -> list[Cell[P] | Gap]:
        """Continue after a reconnection, `lost_s` seconds after the last frame; see `MediaClock.resume`."""
        items = self.settle()
        self.clock.resume(lost_s)
        return items

    def finish(self, *, lost: int = 0) -> list[Cell[P] | Gap]:
        """Return the items up to the end of the last frame."""
        return self.settle() + self.sampler.finish(lost=lost)

    @property
    def unplaced(self) -> int:
        """Number of lost frames that no item reports: after `finish`, those after the last cell."""
        return self.sampler.lost

    def missing_at_end(self, *, announced: int, slack_s: float) -> tuple[int, int]:
        """Count the frames that are missing after the last one according to the header.

        A duration alone does not prove a loss, because damaged headers contain arbitrary numbers.

        Args:
            announced: Number of frames in the header that were not decoded; 0 without a frame count.
            slack_s: Tolerance in seconds.

        Returns:
            Number of frames derived from the duration, and number of frames that are certainly lost.
        """
        if self.base.end_s is None or self._raw_end_s is None:
            return 0, 0
        short_s = self.base.end_s - self.base.early_s - self._raw_end_s
        if short_s <= max(slack_s, 2 * self.clock.period_s):
            return 0, 0
        by_time = round(short_s / self.clock.period_s)
        if not announced:
            return by_time, 0
        # The announced frames include those that are already counted as lost.
        certain = max(min(by_time, announced - self._lost_total), 0)
        return certain, certain

    def disagreement(self, slack_s: float) -> str | None:
        """A warning if the media time of the frames and the header differ by more than `slack_s` seconds, else None."""
        if self.base.arrival and self._frames > FAST * max(self.end_s, 1.0):
            return (
                f"{self._frames} frames arrived within {self.end_s:.2f} s; if this is a recording, set its frame rate"
                " with `rate`"
            )
        origin = self.clock.start_s
        if origin is None:
            return None
        if self.base.end_s is not None:
            claimed_s = self.base.end_s - origin
            if not -slack_s <= claimed_s - self.end_s <= slack_s + self.base.early_s:
                claim = f"the header puts the end of the video at {claimed_s:.2f} s"
                return f"{claim}, but its frames end at {self.end_s:.2f} s"
        elif self.base.most_s is not None and self.end_s - (self.base.most_s - origin) > slack_s:
            whole_s = self.base.most_s - origin
            return f"the header puts the end at {whole_s:.2f} s, but the video frames end at {self.end_s:.2f} s"
        return None

    def settle(self) -> list[Cell[P] | Gap]:
        """Return the items of a held frame that no other frame follows."""
        if self._held is None:
            return []
        (held, reason), self._held = self._held, None
        return self._take(held, self._tick(held), 0, reason)

    def _tick(self, frame: P) -> Tick:
        return self.clock.advance(frame.raw_s, damaged=frame.damaged)

    def _take(self, frame: P, tick: Tick, lost: int, broken: str | None) -> list[Cell[P] | Gap]:
        # A long step often follows a few frames after the decoder reports the loss: do not count these frames twice.
        self._unmatched = (self._unmatched if self.clock.recently_damaged else 0) + frame.lost
        unseen = max(tick.missing - self._unmatched, 0)
        self._unmatched -= min(tick.missing, self._unmatched)
        if unseen:
            self._count("missing", unseen)
        if not self._begun:
            self._begun = True
            lost += self._start(frame)
        shown_s = frame.duration_s or self.clock.period_s
        self.end_s = tick.at + shown_s
        if frame.raw_s is not None:
            self._raw_end_s = frame.raw_s + shown_s
        elif self._raw_end_s is not None:
            self._raw_end_s += shown_s
        self._frames += 1
        if self._placed is not None:
            self._placed(frame, tick.at)
        lost += frame.lost + unseen
        self._lost_total += lost
        return self.sampler.push(
            frame,
            tick.at,
            duration_s=shown_s,
            lost=lost,
            broken=broken or ("stamps-jumped" if tick.broken else None),
        )

    def _start(self, frame: P) -> int:
        """Undecodable frames before the first frame, without those that the frame already counts."""
        if self.base.first_s is None or frame.raw_s is None or self.clock.start_s is None:
            return 0
        first_s = max(self.base.first_s, self.clock.start_s)
        missing = round((frame.raw_s - first_s) / self.clock.period_s)
        if not 0 < missing * self.clock.period_s <= self.clock.max_jump_s:
            return 0
        self.lost_at_start_s = frame.raw_s - first_s
        self._count("missing-at-start", missing)
        return max(missing - frame.lost, 0)

    def _count(self, reason: str, count: int = 1) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + count

    def tallies(self) -> dict[str, int]:
        """Return all counters by reason."""
        return {**self.clock.counts, **self.counts}


def _longest_jump(base: TimeBase) -> float:
    """Return the longest plausible step between time stamps in seconds."""
    if base.discontinuous or base.start_s is None:
        return LIVE_JUMP_S
    if base.most_s is not None:
        return min(max(base.most_s - base.start_s, FILE_JUMP_S), MOST_JUMP_S)
    return FILE_JUMP_S

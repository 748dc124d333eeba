"""From stamped pictures to cells on the media clock: one rule for files, addresses and cameras. Sans I/O.

Media time 0 is where the container starts, so that times agree with what a player shows. Where its video starts up to
`hold_s` later, the first frame stands in from 0; where it starts later still, the grid begins with the first frame.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from ._frames import Gap
from ._time import TimeBase
from .clock import MediaClock, Tick
from .sampler import Cell, GridSampler

LIVE_JUMP_S = 60.0  # where stamps may jump at any place: a camera that sets its clock makes them jump by years
MOST_JUMP_S = 30 * 86400.0  # whatever a header claims
FAST = 100  # frames a second that no camera without time stamps sends
FILE_JUMP_S = 3600.0  # elsewhere, where the header does not tell how long the recording is


class Stamped(Protocol):
    """What a timeline needs to know about a picture; see `Picture`."""

    raw_s: float | None
    duration_s: float
    lost: int
    damaged: bool


P = TypeVar("P", bound=Stamped)


class Timeline(Generic[P]):
    """Pictures in, cells and gaps out. It outlives reconnects.

    period_s: of frames, nominal. hold_s: how long a picture stays on screen. rhythm: a hole in a steady rhythm of
    frames means that some were lost: for cameras. align_s: stretches begin at multiples of it; None: anywhere.
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
    ) -> None:
        self.base, self.hold_s = base, max(hold_s, 2 * period_s)
        self.sampler: GridSampler[P] = GridSampler(fps, max_hold_s=self.hold_s, align_s=align_s)
        jump_s = _longest_jump(base)
        self.clock = MediaClock(period_s=period_s, max_jump_s=jump_s, start_s=base.start_s, rhythm=rhythm)
        self.counts: dict[str, int] = {}
        self.lost_at_start_s = 0.0
        """Seconds of video at the start that could not be decoded."""
        self.end_s = 0.0
        """Media time at which the last picture leaves the screen."""
        self._raw_end_s: float | None = None
        self._held: tuple[P, str | None] | None = None  # a picture whose stamp is doubtful
        self._begun = False
        self._told = 0  # frames lost so far
        self._pictures = 0
        self._known = 0  # of those, frames that the decoder lost and no hole has shown yet

    def push(self, picture: P, *, lost: int = 0, broken: str | None = None) -> list[Cell[P] | Gap]:
        """Items that the next picture decides. lost: frames lost before it that it does not know of itself."""
        items: list[Cell[P] | Gap] = []
        if self._held is not None:
            held, reason = self._held
            self._held = None
            wild = self.clock.continues(picture.raw_s, self.hold_s)
            items += self._take(held, self.clock.wild() if wild else self._tell(held), 0, reason)
        if self.clock.doubtful(picture.raw_s, self.hold_s):
            self._held = (picture, broken)
            self.sampler.lost += lost
            return items
        return items + self._take(picture, self._tell(picture), lost, broken)

    def resume(self, lost_s: float) -> list[Cell[P] | Gap]:
        """The source reconnected after `lost_s` seconds; see `MediaClock.resume`."""
        items = self.settle()
        self.clock.resume(lost_s)
        return items

    def finish(self, *, lost: int = 0) -> list[Cell[P] | Gap]:
        """Items up to the end of the last picture."""
        return self.settle() + self.sampler.finish(lost=lost)

    @property
    def unplaced(self) -> int:
        """Lost frames that no item accounts for: after `finish`, those behind the last cell."""
        return self.sampler.lost

    def missing_at_end(self, *, announced: int, slack_s: float) -> tuple[int, int]:
        """Frames that the header announces after the last one: (derived from its duration, certainly lost).

        announced: frames in the header's count that were not decoded; 0 if it has no count. A duration alone is not
        proof of loss, because damaged headers contain any number.
        """
        if self.base.end_s is None or self._raw_end_s is None:
            return 0, 0
        short_s = self.base.end_s - self.base.early_s - self._raw_end_s
        if short_s <= max(slack_s, 2 * self.clock.period_s):
            return 0, 0
        by_time = round(short_s / self.clock.period_s)
        if not announced:
            return by_time, 0
        # The announced frames include those already counted as lost.
        certain = max(min(by_time, announced - self._told), 0)
        return certain, certain

    def disagreement(self, slack_s: float) -> str | None:
        """A warning if the media time of the frames and the header differ by more than `slack_s` seconds, else None."""
        if self.base.arrival and self._pictures > FAST * max(self.end_s, 1.0):
            return (
                f"{self._pictures} frames arrived within {self.end_s:.2f} s; if this is a recording, set its frame rate"
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
        """Items of a held picture if no other picture follows it."""
        if self._held is None:
            return []
        (held, reason), self._held = self._held, None
        return self._take(held, self._tell(held), 0, reason)

    def _tell(self, picture: P) -> Tick:
        return self.clock.tell(picture.raw_s, damaged=picture.damaged)

    def _take(self, picture: P, tick: Tick, lost: int, broken: str | None) -> list[Cell[P] | Gap]:
        # A hole often shows up some frames after the decoder reported the loss: do not count those frames twice.
        self._known = (self._known if self.clock.suspect else 0) + picture.lost
        unseen = max(tick.missing - self._known, 0)
        self._known -= min(tick.missing, self._known)
        if unseen:
            self._count("missing", unseen)
        if not self._begun:
            self._begun = True
            lost += self._start(picture)
        shown_s = picture.duration_s or self.clock.period_s
        self.end_s = tick.at + shown_s
        if picture.raw_s is not None:
            self._raw_end_s = picture.raw_s + shown_s
        elif self._raw_end_s is not None:
            self._raw_end_s += shown_s
        self._pictures += 1
        lost += picture.lost + unseen
        self._told += lost
        return self.sampler.push(
            picture,
            tick.at,
            duration_s=shown_s,
            lost=lost,
            broken=broken or ("stamps-jumped" if tick.broken else None),
        )

    def _start(self, picture: P) -> int:
        """Undecodable frames before the first picture, without those that the picture already counts."""
        if self.base.first_s is None or picture.raw_s is None or self.clock.start_s is None:
            return 0
        first_s = max(self.base.first_s, self.clock.start_s)
        missing = round((picture.raw_s - first_s) / self.clock.period_s)
        if not 0 < missing * self.clock.period_s <= self.clock.max_jump_s:
            return 0
        self.lost_at_start_s = picture.raw_s - first_s
        self._count("missing-at-start", missing)
        return max(missing - picture.lost, 0)

    def _count(self, reason: str, count: int = 1) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + count

    def tallies(self) -> dict[str, int]:
        """All counters by reason."""
        return {**self.clock.counts, **self.counts}


def _longest_jump(base: TimeBase) -> float:
    """How long a step of stamps may be to be believed."""
    if base.discontinuous or base.start_s is None:
        return LIVE_JUMP_S
    if base.most_s is not None:
        return min(max(base.most_s - base.start_s, FILE_JUMP_S), MOST_JUMP_S)
    return FILE_JUMP_S

"""Media clock: from the time stamps of a file or camera to seconds that start at 0 and never go backwards.

Sans I/O. Stamps may be missing, negative, go backwards, wrap, or jump; each of these is mended and counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Stamps of MPEG transport streams have 33 bits, those of RTP 32, both at 90 kHz.
WRAPS_S = (2**32 / 90_000, 2**33 / 90_000)
WRAP_SLACK_S = 10.0  # how far from an exact wrap a stamp may be to be taken for one
STEADY = 8  # equal steps in a row after which a longer one means lost frames
HOLE_S = 1.0  # a step longer than this is a pause rather than a loss, unless data are known to be damaged
_NEAR = 5  # a frame that comes no more than so many steps later follows the last one
DISORDER_S = 1.0  # after damaged data, decoders output the next few frames out of order
JITTER_S = 0.1  # a step back by no more than this is jitter of the sender: time stands still, the line is kept


@dataclass(frozen=True, slots=True)
class Tick:
    """at: media seconds. broken: it is unknown how much time passed since the frame before.

    missing: frames that should have come in between, by a rhythm that was steady until then.
    """

    at: float
    broken: bool = False
    missing: int = 0


class MediaClock:
    """Turns raw stamps (seconds, or None where there is none) into media time. One a source; it outlives reconnects.

    period_s: nominal time between frames, for missing stamps. max_jump_s: a longer step forward is not believed.
    start_s: the stamp that is media time 0; None: that of the first frame. rhythm: a hole in a steady rhythm counts as
    lost frames. That is right for cameras. A recording may omit frames in which nothing moves, so there a hole counts
    only if data were damaged.
    """

    def __init__(
        self, *, period_s: float, max_jump_s: float, start_s: float | None = None, rhythm: bool = True
    ) -> None:
        self.period_s, self.max_jump_s, self.start_s, self.rhythm = period_s, max_jump_s, start_s, rhythm
        self.counts: dict[str, int] = {}
        self._last: float | None = None
        self._offset: float | None = None  # media time minus raw stamp, once a stamp was seen
        self._guessed_s = 0.0  # media time since the last stamp that was there
        self._step_s, self._steady = 0.0, 0  # the usual step and how often it came in a row
        self._suspect = 0  # frames for which a hole is attributed to damage, which is often reported a few frames early

    @property
    def last(self) -> float:
        """Media time of the last frame, 0 before the first."""
        return 0.0 if self._last is None else self._last

    @property
    def suspect(self) -> bool:
        """Whether data were damaged within the last few frames."""
        return self._suspect > 0

    def tell(self, raw: float | None, *, damaged: bool = False) -> Tick:
        """Media time of the next frame. damaged: data before it were corrupt or missing."""
        broken, missing = False, 0
        self._suspect = STEADY if damaged else max(self._suspect - 1, 0)
        if raw is None or not math.isfinite(raw):
            self._count("stamp-missing")
            at = self._next()
            self._guessed_s += at - self.last
        else:
            if self._offset is None:
                self._offset = self._anchor(raw)
            at, broken = self._settle(raw, self._offset)
            if self._guessed_s or broken or self._last is None:
                self._steady = 0
            else:
                missing = self._missing(at - self._last)
            self._guessed_s = 0.0
        self._last = at
        return Tick(at, broken, missing)

    def doubtful(self, raw: float | None, hold_s: float) -> bool:
        """Whether a stamp is so far off that the next one should confirm it."""
        step = self._step(raw)
        return step is not None and not -self._back_s <= step <= hold_s and not self._wraps(step)

    def continues(self, raw: float | None, hold_s: float) -> bool:
        """Whether a stamp directly continues from the last accepted one."""
        step = self._step(raw)
        return step is not None and 0 <= step <= min(hold_s, _NEAR * self._usual_s)

    def wild(self) -> Tick:
        """Media time of a frame whose stamp is wrong: its neighbours continue without it."""
        self._count("stamp-jumped")
        at = self._next()
        self._guessed_s += at - self.last
        self._last = at
        return Tick(at)

    def resume(self, lost_s: float) -> None:
        """The sender was lost and is back: the next stamp, whatever it is, means `lost_s` seconds after the last."""
        if self._last is not None:
            self._last += max(lost_s - self.period_s, 0.0)
        self._offset, self._guessed_s, self._steady = None, 0.0, 0

    def _next(self) -> float:
        return 0.0 if self._last is None else self._last + self._usual_s

    @property
    def _back_s(self) -> float:
        """How far a stamp may go back before the time line counts as a new one."""
        return (DISORDER_S if self._suspect else JITTER_S) + self._guessed_s

    @property
    def _usual_s(self) -> float:
        """The time between two frames."""
        return self._step_s if self._steady >= STEADY and self._step_s > 0 else self.period_s

    def _anchor(self, raw: float) -> float:
        """Media time minus stamp for the first stamp, or for the first after a loss."""
        if self._last is None and self.start_s is not None and raw > self.start_s:
            if raw - self.start_s <= self.max_jump_s:
                return -self.start_s
            self._count("stamp-jumped")
        return self._next() - raw

    def _step(self, raw: float | None) -> float | None:
        if raw is None or not math.isfinite(raw) or self._offset is None or self._last is None:
            return None
        return raw + self._offset - self._last

    @staticmethod
    def _wraps(step: float) -> bool:
        return any(0 <= step + wrap <= WRAP_SLACK_S for wrap in WRAPS_S)

    def _settle(self, raw: float, offset: float) -> tuple[float, bool]:
        at = raw + offset
        step = at - self.last
        if self._last is None or 0 <= step <= self.max_jump_s:
            return at, False
        if step > 0:
            self._count("stamp-jumped")
            self._offset = self._next() - raw
            return self._next(), True
        for wrap in WRAPS_S:
            if 0 <= step + wrap <= WRAP_SLACK_S:
                self._count("stamp-wrapped")
                self._offset = offset + wrap
                return at + wrap, False
        self._count("stamp-backwards")
        if step >= -self._back_s:
            return self.last, False
        self._offset = self._next() - raw
        return self._next(), False

    def _missing(self, step_s: float) -> int:
        """Frames that a step skipped."""
        if abs(step_s - self._step_s) <= 0.25 * self._step_s:
            self._steady += 1
            self._step_s += (step_s - self._step_s) / STEADY  # containers round: the mean is the better guess
            return 0
        steady, self._steady = self._steady, 0
        lossy = self._suspect > 0 or (self.rhythm and step_s <= HOLE_S)
        if lossy and steady >= STEADY and self._step_s > 0 and 1.5 * self._step_s < step_s:  # 0: stamps stood still
            if self._suspect:
                self._steady = steady  # one damaged part can make several holes
            return round(step_s / self._step_s) - 1
        self._step_s = max(step_s, 0.0)
        return 0

    def _count(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1

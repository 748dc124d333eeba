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
HOLE_S = 1.0  # a step longer than this is a pause rather than a loss
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

    period_s: of frames, nominal; used where a stamp is missing. max_jump_s: a longer step forward is not believed.
    """

    def __init__(self, *, period_s: float, max_jump_s: float) -> None:
        self.period_s, self.max_jump_s = period_s, max_jump_s
        self.counts: dict[str, int] = {}
        self._last: float | None = None
        self._offset: float | None = None  # media time minus raw stamp, once a stamp was seen
        self._guessed_s = 0.0  # media time since the last stamp that was there
        self._step_s, self._steady = 0.0, 0  # the usual step and how often it came in a row

    @property
    def last(self) -> float:
        """Media time of the last frame, 0 before the first."""
        return 0.0 if self._last is None else self._last

    def tell(self, raw: float | None) -> Tick:
        """Media time of the next frame."""
        broken, missing = False, 0
        if raw is None or not math.isfinite(raw):
            self._count("stamp-missing")
            at = self._next()
            self._guessed_s += at - self.last
        else:
            if self._offset is None:
                self._offset = self._next() - raw
            at, broken = self._settle(raw, self._offset)
            if self._guessed_s or broken or self._last is None:
                self._steady = 0
            else:
                missing = self._missing(at - self._last)
            self._guessed_s = 0.0
        self._last = at
        return Tick(at, broken, missing)

    def resume(self, lost_s: float) -> None:
        """The sender was lost and is back: the next stamp, whatever it is, means `lost_s` seconds after the last."""
        if self._last is not None:
            self._last += max(lost_s - self.period_s, 0.0)
        self._offset, self._guessed_s, self._steady = None, 0.0, 0

    def _next(self) -> float:
        return 0.0 if self._last is None else self._last + self.period_s

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
        if step >= -JITTER_S - self._guessed_s:
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
        if steady >= STEADY and 1.5 * self._step_s < step_s <= HOLE_S:
            return round(step_s / self._step_s) - 1
        self._step_s = max(step_s, 0.0)
        return 0

    def _count(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1

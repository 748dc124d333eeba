"""Media clock: converts the time stamps of a file or camera into seconds that start at 0 and never go backwards.

Time stamps may be missing or negative, go backwards, wrap, or jump; each of these is corrected and counted. No I/O.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Stamps of MPEG transport streams have 33 bits, those of RTP 32, both at 90 kHz.
WRAPS_S = (2**32 / 90_000, 2**33 / 90_000)
WRAP_SLACK_S = 10.0  # tolerance for a step to count as a wrap
STEADY = 8  # consecutive equal steps after which a longer one means lost frames
PAUSE_S = 1.0  # a longer step is a pause rather than a loss, unless data is known to be damaged
_NEAR = 5  # a frame at most this many steps later directly follows the last one
DISORDER_S = 1.0  # after damaged data, decoders output the next few frames out of order
JITTER_S = 0.1  # a smaller step backwards is jitter of the sender: time stops until it catches up


@dataclass(frozen=True, slots=True)
class Tick:
    """Media time of one frame.

    Attributes:
        at: Media time in seconds.
        broken: Whether it is unknown how much time has passed since the previous frame.
        missing: Number of frames missing in between, judged by the regular steps before.
    """

    at: float
    broken: bool = False
    missing: int = 0


class MediaClock:
    """Converts raw time stamps into media time. There is one clock per source; it survives reconnections.

    Args:
        period_s: Nominal time between frames in seconds, used for missing time stamps.
        max_jump_s: A longer step forward, in seconds, is treated as an error.
        start_s: Time stamp that is media time 0. None: that of the first frame.
        rhythm: Whether a long step in a regular sequence counts as lost frames. This is right for cameras. A recording
            may omit frames in which nothing moves, so there a long step counts only if data was damaged.
    """

    def __init__(
        self, *, period_s: float, max_jump_s: float, start_s: float | None = None, rhythm: bool = True
    ) -> None:
        self.period_s, self.max_jump_s, self.start_s, self.rhythm = period_s, max_jump_s, start_s, rhythm
        self.counts: dict[str, int] = {}
        self._last: float | None = None
        self._offset: float | None = None  # media time minus raw time stamp; None before the first one
        self._estimated_s = 0.0  # media time since the last time stamp
        self._step_s, self._steady = 0.0, 0  # the usual step, and how many such steps came in a row
        self._damage_window = 0  # frames for which a long step counts as damage, often reported early

    @property
    def last(self) -> float:
        """Media time of the last frame, 0 before the first."""
        return 0.0 if self._last is None else self._last

    @property
    def recently_damaged(self) -> bool:
        """Whether data was damaged within the last few frames."""
        return self._damage_window > 0

    @property
    def shift(self) -> float | None:
        """Media time minus time stamp, as long as one follows the other; None where it does not."""
        return None if self._estimated_s or self._damage_window else self._offset

    def advance(self, raw: float | None, *, damaged: bool = False) -> Tick:
        """Return the media time of the next frame.

        Args:
            raw: Its time stamp in seconds; None if there is none.
            damaged: Whether data before it was corrupt or missing.
        """
        broken, missing = False, 0
        self._damage_window = STEADY if damaged else max(self._damage_window - 1, 0)
        if raw is None or not math.isfinite(raw):
            self._count("stamp-missing")
            at = self._next()
            self._estimated_s += at - self.last
        else:
            if self._offset is None:
                self._offset = self._anchor(raw)
            at, broken = self._settle(raw, self._offset)
            if self._estimated_s or broken or self._last is None:
                self._steady = 0
            else:
                missing = self._missing(at - self._last)
            self._estimated_s = 0.0
        self._last = at
        return Tick(at, broken, missing)

    def doubtful(self, raw: float | None, hold_s: float) -> bool:
        """Return whether a time stamp is so far off that the next one should confirm it."""
        step = self._step(raw)
        return step is not None and not -self._back_s <= step <= hold_s and not self._wraps(step)

    def continues(self, raw: float | None, hold_s: float) -> bool:
        """Return whether a time stamp directly follows the last accepted one."""
        step = self._step(raw)
        return step is not None and 0 <= step <= min(hold_s, _NEAR * self._usual_s)

    def ignore_stamp(self) -> Tick:
        """Return the media time of a frame whose time stamp is an outlier: the next one continues the sequence."""
        self._count("stamp-jumped")
        at = self._next()
        self._estimated_s += at - self.last
        self._last = at
        return Tick(at)

    def resume(self, lost_s: float) -> None:
        """Continue after a reconnection: the next time stamp, whatever it is, means `lost_s` seconds after the last."""
        if self._last is not None:
            self._last += max(lost_s - self.period_s, 0.0)
        self._offset, self._estimated_s, self._steady = None, 0.0, 0

    def _next(self) -> float:
        return 0.0 if self._last is None else self._last + self._usual_s

    @property
    def _back_s(self) -> float:
        """How far a time stamp may go back, in seconds, before a new time line begins."""
        return (DISORDER_S if self._damage_window else JITTER_S) + self._estimated_s

    @property
    def _usual_s(self) -> float:
        """Usual time between two frames in seconds."""
        return self._step_s if self._steady >= STEADY and self._step_s > 0 else self.period_s

    def _anchor(self, raw: float) -> float:
        """Return media time minus time stamp for the first time stamp, or for the first after a loss."""
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
        """Return the number of frames that a step skips."""
        if abs(step_s - self._step_s) <= 0.25 * self._step_s:
            self._steady += 1
            self._step_s += (step_s - self._step_s) / STEADY  # containers round time stamps: the mean is more exact
            return 0
        steady, self._steady = self._steady, 0
        lossy = self._damage_window > 0 or (self.rhythm and step_s <= PAUSE_S)
        if lossy and steady >= STEADY and self._step_s > 0 and 1.5 * self._step_s < step_s:  # 0: no advance
            if self._damage_window:
                self._steady = steady  # one damaged part can cause several long steps
            return round(step_s / self._step_s) - 1
        self._step_s = max(step_s, 0.0)
        return 0

    def _count(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1

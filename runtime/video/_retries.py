"""Attempts to reach a live source that was lost: how many, how far apart, and until when."""

from __future__ import annotations

import random
import time

from ._frames import VideoOptions

STEADY_S = 10.0  # if a connection lasted at least this long, its loss starts a new series of attempts


class Retries:
    """One series of attempts after another, each within `VideoOptions.reconnect_s`.

    Attributes:
        attempts: Number of attempts since the last connection that was steady.
    """

    def __init__(self, options: VideoOptions) -> None:
        self.attempts = 0
        self._options, self._since = options, time.monotonic()

    @property
    def exhausted(self) -> bool:
        """Whether the time for attempts is over."""
        return time.monotonic() - self._since >= self._options.reconnect_s

    def renew(self, *, lasted_s: float) -> None:
        """A connection that had delivered frames was lost after this many seconds: the time starts again."""
        self._since = time.monotonic()
        if lasted_s > STEADY_S:
            self.attempts = 0

    def next_pause(self) -> float:
        """Count an attempt and return the pause before it in seconds: doubled each time, with jitter, within the time
        limit."""
        self.attempts += 1
        base = min(self._options.backoff_s * 2 ** min(self.attempts - 1, 30), self._options.max_backoff_s)
        left = self._since + self._options.reconnect_s - time.monotonic()
        pause: float = min(base * random.uniform(0.75, 1.25), left)
        return max(0.0, pause)

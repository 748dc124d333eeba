"""Limits log lines about events that may happen a thousand times a minute."""

from __future__ import annotations

import time
from collections.abc import Callable


class Throttle:
    """Passes a limited number of messages in each time span, and states how many it suppressed.

    Args:
        most: Messages of a span.
        span_s: Its length in seconds.
        clock: Seconds.
    """

    def __init__(self, most: int = 10, span_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._span_s, self._clock = most, span_s, clock
        self._from, self._number = -span_s, 0

    def take(self) -> str | None:
        """What to add to the next message, often nothing; None: do not log it."""
        now, before = self._clock(), ""
        if now - self._from >= self._span_s:
            held = self._number - self._most
            before = f" ({held} earlier messages were not logged)" if held > 0 else ""
            self._from, self._number = now, 0
        self._number += 1
        if self._number > self._most:
            return None
        last = f"; further messages are not logged for {self._span_s:g} s" if self._number == self._most else ""
        return before + last

"""Pauses between the starts of a process that keeps failing."""

from __future__ import annotations

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SETTLED_S = 60.0  # a process that ran for so long was healthy: its next failure counts as the first


class Backoff:
    """Counts the failures of one process in a row."""

    def __init__(self) -> None:
        self.failures = 0

    def failed(self, ran_s: float) -> float:
        """Seconds until the next start. ran_s: seconds for which the process was running."""
        if ran_s >= SETTLED_S:
            self.failures = 0
        pause = PAUSES_S[min(self.failures, len(PAUSES_S) - 1)]
        self.failures += 1
        return pause

    def reset(self) -> None:
        """Somebody has changed something, so that the next start is worth an attempt at once."""
        self.failures = 0

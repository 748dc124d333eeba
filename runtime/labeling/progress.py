"""How far a round of training is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Progress:
    """The stage of a round, and the time left.

    Args:
        clock: Monotonic clock.
        usual: How many seconds a stage took in the last round; None if that is not known.
    """

    def __init__(self, clock: Callable[[], float], usual: Callable[[str], float | None] = lambda stage: None) -> None:
        self._clock, self._usual = clock, usual
        self.begin()

    def begin(self) -> None:
        """A round begins."""
        self._message: dict[str, Any] = {"stage": "start", "done": 0, "total": 0}
        self._began = self._clock()

    def take(self, message: dict[str, Any]) -> None:
        """Take over a message of the process: stage, done and total."""
        if message["stage"] != self._message.get("stage"):
            self._began = self._clock()
        self._message = message

    def to_record(self) -> dict[str, Any]:
        """For pages: stage, percent of it, and seconds left; None where that is not known yet."""
        done, total = self._message.get("done", 0), self._message.get("total", 0)
        took = self._clock() - self._began
        left = took * (total - done) / done if done else self._as_before(took)
        return {
            "stage": self._message.get("stage"),
            "percent": round(100 * done / total) if total else 0,
            "left_s": None if left is None else round(left),
        }

    def _as_before(self, took: float) -> float | None:
        """Seconds left before the first steps are done: as the stage took in the last round."""
        usual = self._usual(str(self._message.get("stage")))
        return None if usual is None or usual <= took else usual - took

"""Options of a live stream: whether, and how soon, it reports an action before the action's island has closed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .arguments import check_number
from .errors import InputError

SLACK_S = 1e-6
"""Media times closer than this count as equal."""
LEAST_RAW = 0.01
"""Raw score from which provisional events are reported without a minimum of their own: nearly all candidates."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How early a stream reports actions.

    Attributes:
        max_delay_s: Maximum reporting delay in seconds of media time: an action that has ended is first reported at
            most this long after its end, or one snippet after it where a snippet is longer. Actions whose score reaches
            `report_score` only later are left to the final event. None: final events only.
        report_score: An action is first reported when its score reaches this; updates of a reported action are also
            made below it, down to `open_score`. A score is that of an event: a probability where the bundle is
            calibrated, and otherwise the raw score. None: all whose raw score is at least `LEAST_RAW`.
        open_score: Actions that still run are not reported below this score, which is meant likewise.
        tick_s: Seconds of media between two rounds of provisional events; by default a third of `max_delay_s`.

    Raises:
        InputError: A value is out of range.

    Example:
        >>> from punctum.runtime.live import LiveOptions
        >>> LiveOptions(max_delay_s=1.0).open_score
        0.25
    """

    max_delay_s: float | None = None
    report_score: float | None = None
    open_score: float = 0.25
    tick_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_delay_s", "tick_s"):
            value = getattr(self, name)
            check_number(name, value, optional=True)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(
                    "live-options", f"`{name}` is {value}", "a positive number of seconds, or None", f"set `{name}`"
                )
        for name in ("report_score", "open_score"):
            value = getattr(self, name)
            check_number(name, value, optional=name == "report_score")
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError("live-options", f"`{name}` is {value}", "0 or more", f"set `{name}`")
        if self.tick_s is not None and self.max_delay_s is not None and self.tick_s > self.max_delay_s:
            raise InputError(
                "live-options",
                f"`tick_s` is {self.tick_s}",
                f"at most `max_delay_s`, {self.max_delay_s}",
                "set `tick_s`",
            )

    def tick(self, stride_s: float) -> int:
        """Snippets between two rounds of provisional events; 0 if only final events are wanted."""
        if self.max_delay_s is None:
            return 0
        interval = self.max_delay_s / 3 if self.tick_s is None else self.tick_s
        return max(math.floor(min(interval / stride_s + SLACK_S, 1e15)), 1)

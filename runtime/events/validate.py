"""The one check of events that come from outside: a file, another program, a caller of the library."""

from __future__ import annotations

import math
from typing import get_args

from ..text.display import short
from .event import Event, Phase

MAX_S = 1e10  # the largest time on the media clock
PHASES: tuple[str, ...] = get_args(Phase)


def check_numbers(event: Event, *, limit: float = MAX_S) -> None:
    """Check that the times and the score of an event are numbers of a plausible size.

    Args:
        event: An event from anywhere; `Event.check_types` checks the types of all fields.
        limit: The largest absolute value. Infinite: any finite number.

    Raises:
        ValueError: What is wrong, without a final period.
    """
    names = ["start", "end", "score", "emitted_at", "delay_s"]
    if event.raw_score is not None:
        names.append("raw_score")
    numbers = [getattr(event, name) for name in names]
    # Compared instead of converted: JSON's integers have no bound, and NaN lies within none.
    if not all(_is_number(x) and -limit <= x <= limit and not (x != x or abs(x) == math.inf) for x in numbers):
        listed = ", ".join(short(x)[:40] for x in numbers)
        within = f"within {limit:g} of 0" if math.isfinite(limit) else "finite"
        raise ValueError(f"{', '.join(names[:-1])} and {names[-1]} are {listed}; they must be {within}")


def check_segment(start: float, end: float, score: float) -> None:
    """Raises ValueError for numbers that are not finite, and for an end before its start."""
    if not (math.isfinite(start) and math.isfinite(end) and math.isfinite(score) and start <= end):
        raise ValueError(f"segment [{short(start)}, {short(end)}], score {short(score)}")


def check_phase(event: Event) -> None:
    """Raises ValueError for an unknown phase, one that contradicts `ended`, and a revision that is no whole number.

    Phase open means that the action is still running; a final or retracted event has an end.
    """
    if event.phase not in PHASES or not isinstance(event.ended, bool) or not isinstance(event.revision, int):
        raise ValueError(f"phase {event.phase!r}, ended {event.ended!r}, revision {event.revision!r}")
    if event.ended == (event.phase == "open") and event.phase != "update":
        raise ValueError(f"phase {event.phase} with ended {event.ended}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

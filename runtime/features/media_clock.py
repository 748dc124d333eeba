"""The range of the media clock."""

from __future__ import annotations

import math

from ..errors import InputError

MAX_MEDIA_S = 2.0**34
"""Media times lie within this many seconds of 0 (17,179,869,184 s, 544 years).

Neighboring float64 values are 1.9 microseconds apart there. That is finer than the 1e-4 s to which events of live and
offline runs agree, with room for the sums that lead to them. Beyond it the spacing doubles with every doubling of the
time, until the boundaries of an action become equal. Unix time in seconds (1.8e9) is within the range; milliseconds and
smaller units, the usual cause of larger values, are not.
"""


def check_media_time(value: float, what: str, *, code: str = "time-not-finite") -> None:
    """Raise InputError unless `value` is finite and in range. code: of the error for a value that is not finite."""
    if not math.isfinite(value):
        raise InputError(code, f"{what} at {value} s", "a finite media time", "check the source")
    if abs(value) > MAX_MEDIA_S:
        raise InputError(
            "time-out-of-range",
            f"{what} at {value:g} s",
            f"media times within {MAX_MEDIA_S:.0f} s of 0",
            "give seconds, not milliseconds or a smaller unit, or let media time begin at 0",
        )

"""Time of day of gaps."""

from __future__ import annotations

STILL_S = 120.0  # the clock of a sender may stand still for so long


def gap_times(
    start_s: float, end_s: float, before: float | None, after: float | None
) -> tuple[float | None, float | None]:
    """Unix time of both ends of a gap. The gap is never shorter than on the media clock.

    Both come from one anchor, as those of an event do. The anchor after the gap is used for the end only where it is
    somewhat later: media time then stood still for a while, for example because the clock of a sender did.

    Args:
        start_s: Start on the media clock.
        end_s: End on the media clock.
        before: Unix time minus media time before the gap; None: not known.
        after: The same, after the gap.

    Returns:
        Start and end; None where they are not known.
    """
    first = after if before is None else before
    if first is None:
        return None, None
    last = after if after is not None and first <= after <= first + STILL_S else first
    return start_s + first, end_s + last

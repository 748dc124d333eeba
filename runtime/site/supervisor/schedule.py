"""When a camera is used: periods of local time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..config.models import Period

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_active(schedule: Sequence[Period], now: datetime) -> bool:
    """Whether one of the periods holds now. now: local time. Without periods: always."""
    return not schedule or any(_holds(period, now) for period in schedule)


def _holds(period: Period, now: datetime) -> bool:
    minute = 60 * now.hour + now.minute
    start, end = _minutes(period.start), _minutes(period.end)
    today, yesterday = DAYS[now.weekday()] in period.days, DAYS[now.weekday() - 1] in period.days
    if start < end:
        return today and start <= minute < end
    return (today and minute >= start) or (yesterday and minute < end)  # over midnight


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)

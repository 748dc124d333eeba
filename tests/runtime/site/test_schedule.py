"""Periods of local time in which a camera is used."""

from __future__ import annotations

from datetime import datetime

import pytest
from punctum.runtime.site.config.models import Period
from punctum.runtime.site.supervisor.backoff import PAUSES_S, SETTLED_S, Backoff
from punctum.runtime.site.supervisor.schedule import is_active


@pytest.mark.parametrize(
    ("period", "moment", "active"),
    [
        (Period(start="08:00", end="18:00"), "2026-05-04 08:00", True),
        (Period(start="08:00", end="18:00"), "2026-05-04 17:59", True),
        (Period(start="08:00", end="18:00"), "2026-05-04 18:00", False),
        (Period(start="08:00", end="18:00"), "2026-05-04 07:59", False),
        (Period(days=("mon",), start="08:00", end="24:00"), "2026-05-04 23:59", True),  # a Monday
        (Period(days=("tue",), start="00:00", end="24:00"), "2026-05-04 12:00", False),
        (Period(days=("mon",), start="22:00", end="06:00"), "2026-05-05 05:59", True),
        (Period(days=("mon",), start="22:00", end="06:00"), "2026-05-04 05:59", False),
        (Period(days=("sun",), start="22:00", end="06:00"), "2026-05-04 05:59", True),
        (Period(days=("mon",), start="07:00", end="07:00"), "2026-05-04 07:00", True),
    ],
)
def test_periods(period: Period, moment: str, active: bool):
    assert is_active([period], datetime.fromisoformat(moment)) is active


def test_without_periods_always():
    assert is_active([], datetime(2026, 5, 4, 3, 0))


def test_one_of_several_periods_is_enough():
    night, noon = Period(start="22:00", end="06:00"), Period(start="12:00", end="13:00")
    assert is_active([night, noon], datetime(2026, 5, 4, 12, 30))
    assert not is_active([night, noon], datetime(2026, 5, 4, 14, 0))


def test_pauses_grow_and_start_again_after_a_healthy_run():
    backoff = Backoff()
    assert [backoff.failed(1.0) for _ in range(9)] == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    assert backoff.failed(SETTLED_S) == PAUSES_S[0]
    backoff.failed(1.0)
    backoff.reset()
    assert backoff.failed(1.0) == PAUSES_S[0]

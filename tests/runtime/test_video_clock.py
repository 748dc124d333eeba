"""Media clock: whatever the stamps, time starts at 0 and never goes backwards."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.video.clock import WRAPS_S, MediaClock

PERIOD = 0.04


def clock(**options: float) -> MediaClock:
    return MediaClock(**{"period_s": PERIOD, "max_jump_s": 60.0, **options})


def tell(stamps: list[float | None], **options: float) -> list[float]:
    made = clock(**options)
    return [made.advance(stamp).at for stamp in stamps]


STAMPS = st.lists(
    st.one_of(
        st.none(),
        st.floats(-1e5, 1e5),
        st.just(math.nan),
        st.just(math.inf),
        st.integers(-100, 100).map(lambda k: k * PERIOD),
    ),
    max_size=50,
)


@given(STAMPS)
def test_any_stamps_give_times_that_start_at_zero_and_never_go_back(stamps: list[float | None]) -> None:
    times = tell(stamps)
    assert all(math.isfinite(at) for at in times)
    assert not times or times[0] == 0
    assert all(after >= before for before, after in itertools.pairwise(times))


@given(STAMPS, st.integers(0, 50), st.floats(0, 1000))
def test_times_go_on_after_a_reconnect(stamps: list[float | None], where: int, lost_s: float) -> None:
    made, times = clock(), []
    for k, stamp in enumerate(stamps):
        if k == where:
            before = made.last
            made.resume(lost_s)
            times.append(made.advance(stamp).at)
            if k:
                assert times[-1] >= before + max(lost_s, PERIOD) - 1e-6
        else:
            times.append(made.advance(stamp).at)
    assert times == sorted(times)


@given(st.lists(st.floats(0.001, 30), min_size=1, max_size=30), st.floats(-1e5, 1e5))
def test_good_stamps_are_only_shifted(steps: list[float], first: float) -> None:
    stamps = [first]
    for step in steps:
        stamps.append(stamps[-1] + step)
    made = clock()
    times = [made.advance(stamp).at for stamp in stamps]
    assert times == pytest.approx([stamp - first for stamp in stamps], abs=1e-6)
    assert made.counts == {}


def test_missing_stamps_are_interpolated_by_the_nominal_rate() -> None:
    assert tell([5.0, None, None, 5.12]) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert tell([None, None, 7.0, 7.04]) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_interpolation_that_went_too_far_waits_for_the_stamps() -> None:
    times = tell([0.0, *[None] * 20, 0.5, 1.0])
    assert times[20] == pytest.approx(0.8)
    assert times[21:] == pytest.approx([0.8, 1.0])


@pytest.mark.parametrize("wrap", WRAPS_S)
def test_a_wrap_is_exact(wrap: float) -> None:
    made = clock()
    times = [made.advance(stamp).at for stamp in (wrap - 0.08, wrap - 0.04, 0.03, 0.07)]
    assert times == pytest.approx([0, 0.04, 0.11, 0.15], abs=1e-6)
    assert made.counts == {"stamp-wrapped": 1}


def test_stamps_that_start_again_go_on_from_where_they_were() -> None:
    made = clock()
    times = [made.advance(stamp).at for stamp in (10.0, 10.04, 10.08, 2.0, 2.04)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert made.counts == {"stamp-backwards": 1}


def test_jitter_does_not_shift_what_follows() -> None:
    assert tell([0.0, 0.04, 0.03, 0.08, 0.12]) == pytest.approx([0, 0.04, 0.04, 0.08, 0.12])


def test_a_jump_forward_is_believed_up_to_a_limit() -> None:
    made = clock()
    ticks = [made.advance(stamp) for stamp in (0.0, 50.0, 1e9, 1e9 + 0.04)]
    assert [tick.at for tick in ticks] == pytest.approx([0, 50, 50.04, 50.08])
    assert [tick.broken for tick in ticks] == [False, False, True, False]
    assert made.counts == {"stamp-jumped": 1}


@pytest.mark.parametrize(("skipped", "expected"), [(0, 0), (1, 1), (10, 10), (40, 0)])
def test_a_hole_in_a_steady_rhythm_counts_the_frames_it_lacks(skipped: int, expected: int) -> None:
    made = clock()
    ticks = [made.advance(round(k * PERIOD, 3)) for k in range(60) if not 20 <= k < 20 + skipped]
    assert sum(tick.missing for tick in ticks) == expected


@given(st.lists(st.sampled_from([0.03, 0.05, 0.08, 0.3]), min_size=5, max_size=40))
def test_no_frames_are_missed_without_a_rhythm(steps: list[float]) -> None:
    made, at, missing, run = clock(), 0.0, 0, 0
    for k, step in enumerate(steps):
        at += step
        missing += made.advance(at).missing
        run = run + 1 if k and step == steps[k - 1] else 0
        if run >= 7:
            return
    assert missing == 0


def test_media_time_0_is_where_the_container_starts() -> None:
    made = clock(start_s=10.0)
    assert [made.advance(stamp).at for stamp in (15.0, 15.04)] == pytest.approx([5.0, 5.04])
    made = clock(start_s=10.0)  # a start that is no start
    assert [made.advance(stamp).at for stamp in (9.0, 9.04)] == pytest.approx([0.0, 0.04])
    made = clock(start_s=0.0)
    assert [made.advance(stamp).at for stamp in (1e6, 1e6 + 0.04)] == pytest.approx([0.0, 0.04])
    assert made.counts == {"stamp-jumped": 1}


def test_the_start_of_the_container_counts_once() -> None:
    made = clock(start_s=0.0)
    times = [made.advance(2.0).at, made.advance(2.04).at]
    made.resume(3.0)
    times += [made.advance(7.0).at, made.advance(7.04).at]
    assert times == pytest.approx([2.0, 2.04, 5.04, 5.08])


@pytest.mark.parametrize(("damaged", "expected"), [(False, 0), (True, 10)])
def test_a_recording_may_leave_frames_out_unless_its_data_are_damaged(damaged: bool, expected: int) -> None:
    made = clock(rhythm=False)
    kept = [k for k in range(60) if not 20 <= k < 30]
    ticks = [made.advance(k * PERIOD, damaged=damaged and k == 19) for k in kept]
    assert sum(tick.missing for tick in ticks) == expected


def test_missing_stamps_follow_the_rhythm_that_there_is_rather_than_the_nominal_one() -> None:
    made = clock()
    times = [made.advance(stamp).at for stamp in [*(k * 0.1 for k in range(12)), None, None]]
    assert times[-2:] == pytest.approx([1.2, 1.3])


def test_frames_in_the_wrong_order_after_damage_keep_the_line() -> None:
    stamps = [k * PERIOD for k in range(20)] + [2.0, 1.8, 1.84, 1.88, 2.04]
    made = clock()
    times = [made.advance(stamp, damaged=k == 20).at for k, stamp in enumerate(stamps)]
    assert times[-1] == pytest.approx(2.04)


@pytest.mark.parametrize("still", [2, 5, 20])
def test_stamps_that_stand_still_have_no_rhythm(still: int) -> None:
    """As in a damaged .flv: many frames of one time, then a step."""
    made = clock()
    for _ in range(still):
        made.advance(3.0)
    made.advance(3.0, damaged=True)
    assert made.advance(4.0, damaged=True).missing == 0

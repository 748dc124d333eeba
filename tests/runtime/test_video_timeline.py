"""One rule for files, addresses and cameras: from stamps to cells. No video library."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.video import Gap
from punctum.runtime.video._time import TimeBase
from punctum.runtime.video.sampler import Cell
from punctum.runtime.video.timeline import FILE_JUMP_S, LIVE_JUMP_S, Timeline

PERIOD, FPS = 0.05, 10.0


@dataclass(frozen=True)
class Shot:
    raw_s: float | None
    duration_s: float = PERIOD
    lost: int = 0
    damaged: bool = False


FILE = TimeBase(start_s=0.0, first_s=0.0, end_s=3.0, most_s=3.0)
TRANSPORT = TimeBase(start_s=1.4, first_s=1.4, discontinuous=True)


def timeline(base: TimeBase = FILE, **options: object) -> Timeline[Shot]:
    return Timeline(FPS, base, period_s=PERIOD, hold_s=1.0, **options)  # type: ignore[arg-type]


def play(stamps: list[float | None], made: Timeline[Shot]) -> list[Cell[Shot] | Gap]:
    items: list[Cell[Shot] | Gap] = []
    for stamp in stamps:
        items += made.push(Shot(stamp))
    return items + made.finish()


def steady(count: int, first: float = 0.0) -> list[float | None]:
    return [first + k * PERIOD for k in range(count)]


def cells(items: list[Cell[Shot] | Gap]) -> list[float]:
    return [item.at for item in items if isinstance(item, Cell)]


def gaps(items: list[Cell[Shot] | Gap]) -> list[Gap]:
    return [item for item in items if isinstance(item, Gap)]


@pytest.mark.parametrize(("late_s", "first"), [(0.0, 0.0), (0.02, 0.0), (0.9, 0.0), (1.5, 1.5), (5.0, 5.0)])
def test_a_late_start(late_s: float, first: float) -> None:
    items = play(steady(40, late_s), timeline(TimeBase(start_s=0.0, first_s=late_s)))
    assert cells(items)[0] == pytest.approx(first)
    assert cells(items)[-1] == pytest.approx(late_s + 1.9, abs=0.1)
    assert sum(item.lost for item in items) == 0


def test_what_was_there_before_the_first_picture_is_lost() -> None:
    made = timeline(TimeBase(start_s=0.0, first_s=0.5))
    items = play(steady(40, 5.0), made)
    assert items[0].lost == 90
    assert made.lost_at_start_s == pytest.approx(4.5)
    assert made.tallies() == {"missing-at-start": 90}


@pytest.mark.parametrize(
    ("base", "jump_s", "believed"),
    [
        (TRANSPORT, LIVE_JUMP_S - 1, True),
        (TRANSPORT, LIVE_JUMP_S + 1, False),
        (TimeBase(), LIVE_JUMP_S + 1, False),
        (FILE, LIVE_JUMP_S + 1, True),
        (FILE, FILE_JUMP_S + 1, False),
        (TimeBase(start_s=0.0, first_s=0.0, most_s=9000.0), 8000.0, True),
        (TimeBase(start_s=0.0, first_s=0.0, most_s=1e12), 1e11, False),
    ],
)
def test_how_far_a_stamp_may_jump_depends_on_the_container(base: TimeBase, jump_s: float, believed: bool) -> None:
    first = base.start_s or 0.0
    stamps = [*steady(20, first), *steady(20, first + 1.0 + jump_s)]
    items = play(stamps, timeline(base))
    assert cells(items)[-1] == pytest.approx(1.9 + (jump_s if believed else 0.0), abs=0.11)
    assert len(gaps(items)) == 1


@pytest.mark.parametrize("wild", [30.0, 5000.0, -3.0])
def test_one_wild_stamp_is_passed_over(wild: float) -> None:
    stamps = [*steady(20), wild, *steady(19, 1.05)]
    made = timeline()
    items = play(stamps, made)
    assert cells(items) == pytest.approx([k / FPS for k in range(20)])
    assert not gaps(items)
    assert made.tallies() == {"stamp-jumped": 1}


def test_a_stamp_that_jumps_last_is_kept() -> None:
    items = play([*steady(20), 10.0], timeline())
    assert cells(items)[-1] == pytest.approx(10.0)


@given(
    st.lists(st.one_of(st.none(), st.floats(-100, 5000), st.integers(0, 200).map(lambda k: k * PERIOD)), max_size=40),
    st.sampled_from([FILE, TRANSPORT, TimeBase()]),
    st.sampled_from([None, 0.2]),
)
def test_times_never_go_back_and_stretches_begin_where_they_should(
    stamps: list[float | None], base: TimeBase, align_s: float | None
) -> None:
    items = play(stamps, timeline(base, align_s=align_s))
    at = [item.at for item in items]
    assert at == sorted(at)
    assert all(value >= 0 for value in at)
    assert bool(cells(items)) == bool(stamps)
    if align_s is not None:
        for gap in gaps(items):
            assert gap.at / align_s == pytest.approx(round(gap.at / align_s), abs=1e-6)


def test_a_header_that_disagrees() -> None:
    made = timeline(TimeBase(start_s=0.0, first_s=0.0, end_s=9.0))
    play(steady(40), made)
    assert made.disagreement(0.2) == "the header puts the end of the video at 9.00 s, but its frames end at 2.00 s"
    assert made.missing_at_end(announced=140, slack_s=0.1) == (140, 140)
    assert made.missing_at_end(announced=0, slack_s=0.1) == (140, 0)
    made = timeline(TimeBase(start_s=0.0, first_s=0.0, most_s=1.0))
    play(steady(40), made)
    assert made.disagreement(0.2) is not None
    made = timeline(TimeBase(start_s=0.0, first_s=0.0, end_s=2.05, most_s=60.0))
    play(steady(40), made)
    assert made.disagreement(0.2) is None
    assert made.missing_at_end(announced=0, slack_s=0.1) == (0, 0)


def test_frames_that_could_not_be_decoded_are_not_counted_again_in_the_hole_that_they_leave() -> None:
    made = timeline()
    items = [item for shot in steady(20) for item in made.push(Shot(shot))]
    items += made.push(Shot(1.0, lost=10, damaged=True))
    items += [item for shot in steady(20, 1.55) for item in made.push(Shot(shot))]
    items += made.finish()
    assert sum(item.lost for item in items) == 10

"""Sampling grid and the buffer behind it: one frame a cell, nothing lost in silence, chunking irrelevant."""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap
from punctum.runtime.video._cells import MIN_CELLS, CellBuffer
from punctum.runtime.video.sampler import Cell, GridSampler

Item = Cell[int] | Gap


@dataclass(frozen=True)
class Shot:
    """A picture of the tests: its time, how long it is shown, what was lost before it, why a stretch begins with it."""

    at: float
    duration_s: float
    lost: int = 0
    broken: str | None = None


@st.composite
def shots(draw: st.DrawFn) -> list[Shot]:
    at, made = 0.0, []
    for _ in range(draw(st.integers(0, 40))):
        made.append(
            Shot(
                at,
                draw(st.sampled_from([0.0, 0.01, 0.04, 0.2, 5.0])),
                draw(st.integers(0, 3)),
                draw(st.sampled_from([None] * 9 + ["reconnected"])),
            )
        )
        at += draw(st.one_of(st.sampled_from([0.0, 0.04, 0.05, 1 / 30, 0.1, 3.0]), st.floats(0, 2.5)))
    return made


FPS = st.sampled_from([0.5, 4.0, 10.0, 12.5, 25.0, 30.0, 29.97])


def sample(given_shots: list[Shot], fps: float, hold: float, lost_at_end: int = 0) -> tuple[list[Item], int]:
    sampler: GridSampler[int] = GridSampler(fps, max_hold_s=hold)
    items: list[Item] = []
    for number, shot in enumerate(given_shots):
        items += sampler.push(number, shot.at, duration_s=shot.duration_s, lost=shot.lost, broken=shot.broken)
    items += sampler.finish(lost=lost_at_end)
    return items, sampler.lost


def expected(given_shots: list[Shot], fps: float, hold: float) -> list[tuple[float, list[int]]]:
    """Start and pictures of the cells of every stretch, the slow way."""
    tie, hold = min(1e-3, 0.05 / fps), max(hold, 1 / fps)
    stretches: list[list[int]] = []
    for number, shot in enumerate(given_shots):
        if not number or shot.broken or shot.at - given_shots[number - 1].at > hold + tie:
            stretches.append([])
        stretches[-1].append(number)
    result: list[tuple[float, list[int]]] = []
    for stretch in stretches:
        start = given_shots[stretch[0]].at
        if result:
            before, cells = result[-1]
            start = max(start, before + len(cells) / fps)
        last = given_shots[stretch[-1]]
        covered = last.at + min(last.duration_s, hold) - start
        count = max(1, math.floor((covered + tie) * fps + 0.5))
        # A frame that comes decides every cell whose middle lies before it.
        decided = math.ceil((last.at - tie - start) * fps - 0.5)
        pictures = []
        for k in range(max(count, decided)):
            middle = start + (k + 0.5) / fps
            pictures.append(max(number for number in stretch if given_shots[number].at <= middle + tie))
        result.append((start, pictures))
    return result


@given(shots(), FPS, st.sampled_from([0.2, 1.0, 10.0]))
def test_every_cell_shows_the_frame_on_screen_at_its_middle(made: list[Shot], fps: float, hold: float) -> None:
    items, _ = sample(made, fps, hold)
    stretches: list[tuple[float, list[int]]] = []
    for item in items:
        if isinstance(item, Gap):
            stretches.append((item.at, []))
        else:
            if not stretches:
                stretches.append((item.at, []))
            start, pictures = stretches[-1]
            assert item.index == len(pictures)
            assert item.at == start + item.index / fps
            pictures.append(item.frame)
    assert stretches == expected(made, fps, hold)


@given(shots(), FPS)
def test_times_never_go_back_and_gaps_leave_room(made: list[Shot], fps: float) -> None:
    items, _ = sample(made, fps, 1.0)
    for before, item in itertools.pairwise(items):
        if isinstance(before, Gap):
            assert isinstance(item, Cell)
            assert item.at == before.at
        elif isinstance(item, Gap):
            assert item.at >= before.at + 1 / fps - 1e-9
        else:
            assert item.at > before.at


@given(shots(), FPS, st.integers(0, 5))
def test_every_lost_frame_is_told_of_once(made: list[Shot], fps: float, at_end: int) -> None:
    items, left = sample(made, fps, 1.0, at_end)
    assert sum(item.lost for item in items) + left == sum(shot.lost for shot in made) + at_end


@given(st.integers(1, 300), st.sampled_from([5, 12, 25, 30, 60]), FPS)
def test_a_file_has_its_duration_times_the_rate_in_cells_halves_up(frames: int, rate: int, fps: float) -> None:
    items, _ = sample([Shot(k / rate, 1 / rate) for k in range(frames)], fps, 1.0)
    exact = frames / rate * fps
    assert len(items) in {max(1, math.floor(exact + 0.5)), max(1, math.floor(exact + 0.5 + 0.05))}


def test_fewer_frames_than_cells_are_repeated_as_a_player_would() -> None:
    items, _ = sample([Shot(k / 4, 0.25) for k in range(4)], 10.0, 1.0)
    assert [item.frame for item in items if isinstance(item, Cell)] == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]


def test_a_long_silence_is_a_gap() -> None:
    items, _ = sample([Shot(0.0, 0.1), Shot(0.1, 0.1), Shot(9.0, 0.1, lost=7)], 10.0, 1.0)
    assert [(type(item).__name__, item.at, item.lost) for item in items] == [
        ("Cell", 0.0, 0),
        ("Cell", 0.1, 0),
        ("Gap", 9.0, 7),
        ("Cell", 9.0, 0),
    ]


@pytest.mark.parametrize("fps", [0, -1, math.nan, math.inf, 1e9])
def test_a_rate_that_makes_no_sense(fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        GridSampler(fps)


def grid(count: int, gaps: set[int], fps: float) -> list[Item]:
    """Cells with a gap before those in `gaps`, as a sampler would give them; each cell's picture is its number."""
    items: list[Item] = []
    start, index = 0.0, 0
    for number in range(count):
        if number in gaps and number:
            start, index = start + index / fps + 3.0, 0
            items.append(Gap(start, 1, "reconnected"))
        items.append(Cell(number, index, start + index / fps, number % 2))
        index += 1
    return items


@given(
    st.integers(1, 120),
    st.sets(st.integers(1, 119), max_size=8),
    st.integers(1, 20),
    st.lists(st.integers(0, 30), min_size=1, max_size=30),
)
def test_an_overflow_loses_whole_stretches_and_counts_them(
    count: int, gaps: set[int], limit: int, reads: list[int]
) -> None:
    fps = 10.0
    given_items = grid(count, gaps, fps)
    buffer: CellBuffer[int] = CellBuffer(limit, fps=fps, policy="drop_oldest")
    got: list[Item] = []
    pending, turn = list(given_items), 0
    while pending:  # the writer puts one, the reader takes what the example says
        buffer.put(pending.pop(0))
        if turn % 5 == 0:
            for _ in range(reads[(turn // 5) % len(reads)]):
                item = buffer.get(0)
                if item is not None:
                    got.append(item)
        turn += 1
    buffer.end()
    while not buffer.finished:
        item = buffer.get(0)
        if item is not None:
            got.append(item)
    times = {item.frame: item.at for item in given_items if isinstance(item, Cell)}
    seen = [item for item in got if isinstance(item, Cell)]
    assert [item.frame for item in seen] == sorted({item.frame for item in seen})
    assert buffer.overflowed == count - len(seen)
    assert sum(item.lost for item in got) == sum(item.lost for item in given_items) + buffer.overflowed
    index, start = 0, 0.0
    for item in got:
        if isinstance(item, Gap):
            index, start = 0, item.at
        else:
            assert item.index == index
            assert item.at == start + index / fps
            assert item.at == pytest.approx(times[item.frame], abs=1e-9)
            index += 1


def test_a_full_buffer_holds_the_writer_back_when_told_to() -> None:
    buffer: CellBuffer[int] = CellBuffer(1, fps=10.0, policy="wait")
    items = grid(50, {20}, 10.0)

    def write() -> None:
        for item in items:
            buffer.put(item)
        buffer.end()

    writer = threading.Thread(target=write)
    writer.start()
    got = []
    while not buffer.finished:
        assert len(buffer._items) <= MIN_CELLS
        item = buffer.get(1.0)
        if item is not None:
            got.append(item)
    writer.join()
    assert got == items
    assert buffer.overflowed == 0


def test_closing_releases_a_writer_that_waits() -> None:
    buffer: CellBuffer[int] = CellBuffer(1, fps=10.0, policy="wait")
    results: list[bool] = []
    writer = threading.Thread(target=lambda: results.extend(buffer.put(item) for item in grid(10, set(), 10.0)))
    writer.start()
    buffer.close()
    writer.join(5)
    assert not writer.is_alive()
    assert results[-1] is False
    assert buffer.get(0) is None
    assert buffer.finished

"""Time of day of events: anchored at arrival, steady within a stretch whatever the system clock does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.events.time_of_day import Arrival, FixedStart, parse_utc, stamped
from punctum.runtime.live import LiveOptions
from punctum.runtime.sources.items import Begin, Chunk

from tests.helpers import fakes

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC).timestamp()


class Clock:
    """A system clock that may be set, and a steady one."""

    def __init__(self, wall: float = NOON) -> None:
        self.steady, self.ahead = 1000.0, wall - 1000.0

    def arrival(self) -> Arrival:
        return Arrival(wall=lambda: self.steady + self.ahead, steady=lambda: self.steady)


def event(start: float, end: float) -> Event:
    return Event("s", "s/1", 0, "final", "a", 0.5, start, end, end, 0.0, "b")


def utc(arrival, start: float) -> float | None:
    (one,) = stamped([event(start, start + 1.5)], arrival)
    if one.start_utc is None:
        assert one.end_utc is None
        return None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one.start_utc)
    assert abs(parse_utc(one.end_utc) - parse_utc(one.start_utc) - 1.5) < 0.0011
    return parse_utc(one.start_utc)


def deliver(clock, arrival, begin: float, end: float, *, delay: float = 0.0, pace: float = 1.0, step: float = 0.5):
    """Chunks of live media as they come: each when its end has happened, `delay` late."""
    at = begin
    while at < end - 1e-9:
        clock.steady += step / pace
        arrival.arrived(at, at + step, slack_s=0.05)
        at += step
    return at


def test_the_first_chunk_anchors():
    clock = Clock()
    arrival = clock.arrival()
    arrival.arrived(0.0, 2.0, slack_s=0.05)  # its end is now
    assert abs(utc(arrival, 0.0) - (NOON - 2.0)) < 0.001
    deliver(clock, arrival, 2.0, 300.0)
    assert abs(utc(arrival, 290.0) - (NOON + 288.0)) < 0.001


def test_a_burst_at_the_start_is_corrected_until_something_was_said():
    clock = Clock()
    arrival = clock.arrival()
    for at in range(8):  # a server sends the last 8 s at once
        arrival.arrived(float(at), at + 1.0, slack_s=0.05)
    assert abs(utc(arrival, 7.0) - (NOON - 1.0)) < 0.001


def test_a_forward_step_is_followed_at_once_and_a_backward_one_slowly():
    clock = Clock(wall=0.0)  # a device without a battery starts in 1970
    arrival = clock.arrival()
    deliver(clock, arrival, 0.0, 10.0)
    before = utc(arrival, 5.0)
    clock.ahead += NOON  # the first synchronization
    deliver(clock, arrival, 10.0, 20.0)
    after = utc(arrival, 15.0)
    assert before < 100
    assert abs(after - (NOON + 15.0)) < 1.0
    clock.ahead -= 30.0
    deliver(clock, arrival, 20.0, 100.0)
    assert abs(utc(arrival, 90.0) - utc(arrival, 15.0) - 75.0) < 0.1  # goes on as if nothing had happened
    deliver(clock, arrival, 200.0, 210.0)  # a gap anchors anew
    clock_now = clock.steady + clock.ahead
    assert abs(utc(arrival, 205.0) - (clock_now - 5.0)) < 0.6


def test_a_reconnection_anchors_anew():
    clock = Clock()
    arrival = clock.arrival()
    deliver(clock, arrival, 0.0, 10.0)
    assert utc(arrival, 5.0) is not None
    clock.steady += 60.0  # media time continues from where it was
    arrival.restart()
    deliver(clock, arrival, 10.0, 20.0)
    assert abs(utc(arrival, 15.0) - utc(arrival, 5.0) - 70.0) < 0.6


def test_slow_drift_is_followed():
    clock = Clock()
    arrival = clock.arrival()
    deliver(clock, arrival, 0.0, 1.0)
    utc(arrival, 0.0)
    end = deliver(clock, arrival, 1.0, 86_400.0, pace=1.0001, step=10.0)  # the camera's clock runs fast by 1e-4
    assert abs(utc(arrival, end - 10.0) - (clock.steady + clock.ahead - 10.0)) < 0.2


def test_media_that_outruns_the_clock_gets_no_time_of_day():
    clock = Clock()
    arrival = clock.arrival()
    deliver(clock, arrival, 0.0, 5.0, pace=50.0)
    deliver(clock, arrival, 5.0, 120.0, pace=50.0)
    assert utc(arrival, 100.0) is None
    assert json.loads(event(1.0, 2.0).to_json())["start_utc"] is None


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.5, 3.0, 40.0]), st.floats(0.0, 2.0), st.floats(-3600, 3600)), min_size=2
    ),
    st.floats(0.999, 1.001),
)
def test_events_of_a_stretch_keep_their_order(parts, pace):
    """Whatever delay the media have and however the clock is set: a later event is never earlier by the clock."""
    clock = Clock()
    arrival = clock.arrival()
    at, last, truth = 0.0, None, clock.steady
    for length, delay, step in parts:
        truth += length / pace
        clock.steady = max(clock.steady, truth + delay)
        clock.ahead += step if abs(step) > 1800 else 0.0
        arrival.arrived(at, at + length, slack_s=0.05)
        at += length
        now = utc(arrival, at - length / 2)
        if now is not None and last is not None:
            assert now >= last - 0.002
        last = now if now is not None else last


class Live:
    """A camera whose media arrive as a made-up clock goes."""

    name, replayable = "cam", False

    def __init__(self, rows, clock) -> None:
        self.rows, self.clock = rows, clock

    def items(self, position=None):
        yield Begin("cam", 0.0)
        for first in range(0, len(self.rows), 5):
            self.clock.steady += 0.5
            yield Chunk(self.rows[first : first + 5], None, f"row {first}")


@pytest.mark.parametrize("how", ["loop", "stream"])
def test_a_live_source_stamps_all_that_is_said(how, monkeypatch):
    from punctum.runtime.service.loop import Loop
    from punctum.runtime.sources import stream as module

    clock, rows = Clock(), fakes.recording(3, 300)
    localizer, live = fakes.localizer(), LiveOptions(max_delay_s=0.6)
    if how == "stream":
        monkeypatch.setattr(module, "Arrival", clock.arrival)
        said = list(localizer.stream(Live(rows, clock), live=live))
    else:
        said = []

        class Sink:
            def write(self, events):
                said.extend(events)

            def close(self):
                return 0

        Loop(localizer, Live(rows, clock), [Sink()], live=live, time_of_day=clock.arrival()).run()
    assert {"open", "update", "final"} <= {e.phase for e in said}
    for one in said:
        assert abs(parse_utc(one.start_utc) - (NOON + one.start)) < 0.01
        assert Event.from_json(one.to_json()) == one
    recording = list(fakes.localizer().stream([rows], live=live))
    assert all(one.start_utc is None for one in recording)


def test_a_recording_may_have_a_start():
    rows = fakes.recording(3, 200)
    begun = datetime(2026, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    plain, dated = fakes.localizer().localize(rows), fakes.localizer().localize(rows, start_utc=begun)
    assert len(plain) == len(dated) > 0
    for a, b in zip(plain, dated, strict=True):
        assert (a.id, a.start, a.start_utc) == (b.id, b.start, None)
        assert abs(parse_utc(b.start_utc) - (NOON - 7200 + b.start)) < 0.001
    assert list(fakes.localizer().stream([rows], start_utc=begun)) == dated
    with pytest.raises(InputError) as error:
        fakes.localizer().localize(rows, start_utc=datetime(2026, 5, 1))
    assert error.value.code == "start-utc"


@pytest.mark.parametrize("text", ["", "noon", "2026-05-01T10:00:00", "2026-13-01T10:00:00Z", "10:00Z", "1" * 200])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(InputError) as error:
        parse_utc(text)
    assert error.value.code == "start-utc"


def test_times_that_no_calendar_has_are_left_out():
    for far in (1e12, -1e12):
        (one,) = stamped([event(1.0, 2.0)], FixedStart(far))
        assert one.start_utc is None


def test_rows_without_a_stamp_are_still_events():
    old = json.loads(event(1.0, 2.0).to_json())
    del old["start_utc"], old["end_utc"]
    assert Event.from_json(json.dumps(old)) == event(1.0, 2.0)
    assert np.isfinite(Event.from_json(json.dumps(old)).start)

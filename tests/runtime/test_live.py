"""Provisional reports: early, chunking-independent, each ended exactly once."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.live import LiveOptions

from tests.helpers import fakes


def run(localizer, features, sizes, live, **more):
    session, events, at = localizer.session(stream="s", live=live, **more), [], 0
    for size in sizes:
        events += session.push(features[at : at + size])
        at = min(at + size, len(features))
    events += session.push(features[at:])
    return events + session.flush()


def lives(events):
    by_id = defaultdict(list)
    for e in events:
        by_id[e.id].append(e)
    return by_id


@settings(max_examples=15)
@given(
    st.integers(0, 10_000),
    st.integers(0, 220),
    st.lists(st.integers(0, 40), max_size=20),
    st.sampled_from([0.1, 0.4, 1.0, 2.5]),
    st.booleans(),
)
def test_reports_do_not_depend_on_chunking(seed, length, sizes, delay, head):
    localizer = fakes.localizer(**({"fusion": fakes.WITH_HEAD} if head else {}))
    features, live = fakes.recording(seed, length), LiveOptions(max_delay_s=delay)
    a, b = run(localizer, features, [], live), run(localizer, features, sizes, live)
    assert [(e.id, e.phase, e.revision, e.label) for e in a] == [(e.id, e.phase, e.revision, e.label) for e in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.start - y.start) < 1e-4
        assert abs(x.end - y.end) < 1e-4
        assert abs(x.score - y.score) < 1e-4
    finals = [e for e in a if e.phase == "final"]
    offline = localizer.localize(features, stream="s")
    assert [(e.label, round(e.start, 5), round(e.end, 5)) for e in finals] == [
        (e.label, round(e.start, 5), round(e.end, 5)) for e in offline
    ]


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.4, 1.0, 2.5]))
def test_every_event_ends_once_and_revisions_count(seed, delay):
    events = run(fakes.localizer(), fakes.recording(seed, 400), [7] * 40, LiveOptions(max_delay_s=delay))
    for revisions in lives(events).values():
        assert [e.revision for e in revisions] == list(range(len(revisions)))
        assert [e.phase in ("final", "retracted") for e in revisions] == [False] * (len(revisions) - 1) + [True]
        assert all(e.phase != "open" for e in revisions[1:])
        assert all(not e.ended for e in revisions if e.phase == "open")
        assert len({e.label for e in revisions}) == 1
        emitted = [e.emitted_at for e in revisions]
        assert emitted == sorted(emitted)


@pytest.mark.parametrize("delay", [0.3, 1.0])
def test_an_event_that_ended_is_reported_in_time(delay):
    """What is not announced while it runs is first reported within the delay, or not before its island closes."""
    localizer = fakes.localizer()
    events = run(localizer, fakes.recording(4, 2000), [3] * 600, LiveOptions(max_delay_s=delay, report_score=0.0))
    first = [e for e in events if e.revision == 0 and e.ended]
    early = [e for e in first if e.phase == "update"]
    assert len(early) > 20
    assert all(e.delay_s <= delay + 1e-6 for e in early)


def test_a_long_action_is_announced_while_it_runs():
    features = np.zeros((200, fakes.DIM), np.float32)
    features[50:75, 1] = 2.0
    events = run(fakes.localizer(), features, [1] * 200, LiveOptions(max_delay_s=0.5))
    best = max((e for e in events if e.phase == "final"), key=lambda e: e.score)
    phases = [e.phase for e in lives(events)[best.id]]
    assert phases[0] == "open"
    assert phases[-1] == "final"
    opened = lives(events)[best.id][0]
    assert opened.emitted_at < 7.5
    assert abs(opened.start - best.start) < 0.2


@pytest.mark.parametrize("bad", [{"max_delay_s": 0.0}, {"max_delay_s": float("nan")}, {"report_score": -1.0}])
def test_bad_options_are_refused(bad):
    with pytest.raises(InputError):
        LiveOptions(**bad)


def test_a_gap_interrupts_instead_of_stretching():
    localizer = fakes.localizer()
    features = np.zeros((100, fakes.DIM), np.float32)
    features[80:, 0] = 2.0
    session = localizer.session(stream="s", live=LiveOptions(max_delay_s=0.5))
    events = session.push(features)
    after = np.zeros((100, fakes.DIM), np.float32)
    after[:20, 0] = 2.0
    events += session.push(after, at=60.0)
    events += session.flush()
    finals = [e for e in events if e.phase == "final"]
    assert {round(e.start) for e in finals} <= {8, 60}
    assert all(e.end <= 10.0 + 1e-9 or e.start >= 60.0 - 1e-9 for e in finals)
    assert all(e.interrupted and e.dropped == 500 for e in finals if e.score > 0.1)
    assert session.stats.gaps == 1
    assert session.stats.dropped == 500
    assert len({e.id for e in finals}) == len(finals)
    for revisions in lives(events).values():
        assert revisions[-1].phase in ("final", "retracted")


def test_time_must_not_run_backwards():
    localizer = fakes.localizer()
    session = localizer.session(start_s=5.0)
    features = fakes.recording(1, 120)
    events = session.push(features[:60], at=5.0)
    for again in (5.0, 8.0):
        with pytest.raises(InputError) as error:
            session.push(features[:60], at=again)
        assert error.value.code == "time-backwards"
    events += session.push(features[60:], at=11.02)  # jitter below half a snippet is not a gap
    events += session.flush()
    offline = localizer.localize(features, start_s=5.0)
    assert [(e.id, round(e.start, 6)) for e in events] == [(e.id, round(e.start, 6)) for e in offline]


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(0, 300), st.sampled_from([None, 0.4, 1.5]))
def test_a_restored_session_goes_on_with_the_same_events(seed, at, delay):
    localizer = fakes.localizer(fusion=fakes.WITH_HEAD)
    features, live = fakes.recording(seed, 300), LiveOptions(max_delay_s=delay)
    whole = localizer.session(stream="s", live=live)
    first = whole.push(features[:at])
    data = whole.snapshot()
    again = localizer.restore(data)
    assert again.snapshot() == data
    rest = whole.push(features[at:]) + whole.flush()
    assert again.push(features[at:]) + again.flush() == rest
    assert again.stats.snippets == 300
    assert first + rest == run(localizer, features, [at], live)


def test_a_damaged_or_foreign_snapshot_is_refused():
    localizer = fakes.localizer()
    session = localizer.session()
    session.push(fakes.recording(1, 50))
    data = session.snapshot()
    for bad in (b"", data[:-1], data[:40] + b"x" + data[41:], b"x" + data):
        with pytest.raises(InputError) as error:
            localizer.restore(bad)
        assert error.value.code == "snapshot-damaged"
    with pytest.raises(InputError) as error:
        fakes.localizer(sigma=0.5).restore(data)
    assert error.value.code == "snapshot-bundle"


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.lists(st.tuples(st.integers(0, 199), st.integers(1, 9)), max_size=6))
def test_lost_frames_are_counted_in_the_events_they_touch(seed, holes):
    localizer, features = fakes.localizer(), fakes.recording(seed, 200)
    live = LiveOptions(max_delay_s=0.5)

    def told(size):
        session, events = localizer.session(stream="s", live=live), []
        for at in range(0, 200, size):
            mine = [(row - at, n) for row, n in holes if at <= row < at + size]
            events += session.push(features[at : at + size], lost=mine)
            session = localizer.restore(session.snapshot())
        return events + session.flush()

    whole, parts = told(200), told(7)
    assert [(e.id, e.phase, e.dropped) for e in whole] == [(e.id, e.phase, e.dropped) for e in parts]
    for e in whole:
        if e.phase == "final":
            expected = sum(n for row, n in holes if row * 0.1 < e.end and e.start < (row + 1) * 0.1)
            assert e.dropped == expected


def test_features_that_look_ahead_do_not_break_the_delay():
    """A backbone whose clips reach beyond their snippet knows everything later; reports start earlier instead."""
    localizer = fakes.localizer(overhang_s=0.3)
    live = LiveOptions(max_delay_s=1.0, report_score=0.0)
    events = run(localizer, fakes.recording(4, 1500), [3] * 500, live)
    early = [e for e in events if e.revision == 0 and e.ended and e.phase == "update"]
    assert len(early) > 20
    assert all(e.delay_s <= 1.0 + 1e-6 for e in early)

"""An engine that fails: a session stays as it was, so that the call can be repeated; a pool declares what it loses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import EngineError
from punctum.runtime.live import LiveOptions

from tests.helpers import flaky

fakes, Flaky, KINDS, FAILURES, same = flaky.fakes, flaky.Flaky, flaky.KINDS, flaky.FAILURES, flaky.same

LIVE = (None, LiveOptions(max_delay_s=0.5))


def calls_of(session, features, sizes):
    """Pushes of these sizes with gaps and lost frames between them, then the flush."""
    at = 0
    for k, size in enumerate(sizes):
        rows = features[at : at + size]
        at += size
        yield lambda rows=rows, k=k: session.push(rows, lost=[(0, 2)] if k % 3 == 1 and len(rows) else ())
        if k % 4 == 3:
            later = 0.7 * (k + 1)
            yield lambda later=later: session.gap(session.now_s + later)
    yield session.flush


def persist(call, session, failed):
    for _ in range(100):
        before = session.snapshot()
        try:
            return call()
        except EngineError:
            assert session.snapshot() == before, "a failed call changed the session"
            failed.append(1)
    raise AssertionError("never answered")


@settings(max_examples=20)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(0, 30), min_size=1, max_size=10),
    FAILURES,
    st.sampled_from(LIVE),
    st.booleans(),
)
def test_a_call_that_failed_can_be_repeated_exactly(seed, sizes, failures, live, steps):
    features = fakes.recording(seed, sum(sizes))
    said = []
    for engine in (Flaky(steps=steps), Flaky(failures, steps=steps)):
        session = fakes.localizer(engine, fusion=fakes.WITH_HEAD).session(stream="s", live=live)
        failed: list[int] = []
        said.append([event for call in calls_of(session, features, sizes) for event in persist(call, session, failed)])
        assert bool(failed) == any(call < engine.calls for call in engine.failures)
    assert said[0] == said[1]


@pytest.mark.parametrize("live", LIVE)
def test_every_call_of_a_session_may_fail(live):
    sizes = [20, 7, 25, 1]
    features = fakes.recording(3, sum(sizes))
    session = fakes.localizer(Flaky(), fusion=fakes.WITH_HEAD).session(stream="s", live=live)
    expected = [event for call in calls_of(session, features, sizes) for event in call()]
    total = session.backend.calls
    for at in range(0, total, 1 if live is None else 2):
        engine = Flaky({at: KINDS[at % len(KINDS)]})
        session = fakes.localizer(engine, fusion=fakes.WITH_HEAD).session(stream="s", live=live)
        failed: list[int] = []
        got = [event for call in calls_of(session, features, sizes) for event in persist(call, session, failed)]
        assert len(failed) == 1, at
        assert got == expected, at


@pytest.mark.parametrize("skip", [1, 3, 5, 9])
def test_rows_that_are_not_pushed_again_are_a_declared_gap(skip):
    """Whoever goes on with the next rows after a failure loses the ones before, and nothing shifts."""
    data = fakes.recording(4, 100)
    engine = Flaky()
    session, events = fakes.localizer(engine).session(stream="s"), []
    for at in range(0, 100, 10):
        engine.failures = {engine.calls: "raise"} if at == 10 * skip else {}
        try:
            events += session.push(data[at : at + 10])
        except EngineError:
            assert at == 10 * skip
    events += session.flush()
    broken = fakes.localizer().session(stream="s")
    expected = broken.push(data[: 10 * skip])
    expected += broken.gap(skip + 1.0) if skip == 9 else broken.push(data[10 * skip + 10 :], at=skip + 1.0)
    assert events == expected + broken.flush()
    assert session.stats.dropped == 10


def test_several_pushes_that_fail_are_one_gap():
    data, engine = fakes.recording(4, 100), Flaky()
    session = fakes.localizer(engine).session(stream="s")
    events = session.push(data[:20])
    engine.failures = dict.fromkeys(range(engine.calls, engine.calls + 3), "raise")
    for at in (20, 30, 30):  # the second is tried twice, and given up as well
        with pytest.raises(EngineError):
            session.push(data[at : at + 10])
    events += session.push(data[40:70]) + session.push(data[70:]) + session.flush()
    broken = fakes.localizer().session(stream="s")
    assert events == broken.push(data[:20]) + broken.push(data[40:], at=4.0) + broken.flush()
    assert (session.stats.gaps, session.stats.dropped) == (1, 20)


def test_rows_may_be_pushed_again_in_other_chunks():
    data = fakes.recording(4, 100)
    engine = Flaky({2: "raise"})
    session, events, at, failed = fakes.localizer(engine).session(stream="s"), [], 0, 0
    sizes = iter([30, 30, 30, 4, 0, 50, 20])  # the third fails
    while at < 100:
        size = next(sizes)
        try:
            events += session.push(data[at : at + size])
            at += size
        except EngineError:
            failed += 1
    assert (failed, session.stats.dropped) == (1, 0)
    assert events + session.flush() == fakes.localizer().localize(data, stream="s")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [False, True])
def test_what_the_engine_did_is_named(kind, head):
    class Broken(Flaky):
        def _answer(self, run, *arguments):
            scoring = len(arguments) == 4
            self.failures = {self.calls: kind} if scoring == head else {}
            return super()._answer(run, *arguments)

    localizer = fakes.localizer(Broken(), fusion=fakes.WITH_HEAD)
    with pytest.raises(EngineError) as error:
        localizer.localize(fakes.recording(1, 200))
    what = "scores" if head else "tracks"
    expected = {"raise": "engine-failed", "memory": "engine-failed", "nan": f"{what}-not-finite"}
    expected |= dict.fromkeys(("above", "below", "huge"), f"{what}-out-of-range")
    assert error.value.code == expected.get(kind, "backend-shape")
    assert error.value.exit_code == 1


def test_an_interrupt_leaves_the_session_unchanged():
    class Interrupted(Flaky):
        def locate(self, features):
            if self.calls == 2:
                self.calls += 1
                raise KeyboardInterrupt
            return super().locate(features)

    session = fakes.localizer(Interrupted()).session(stream="s")
    data = fakes.recording(1, 60)
    events = session.push(data[:20])
    for at in (20, 40):
        before = session.snapshot()
        try:
            events += session.push(data[at : at + 20])
        except KeyboardInterrupt:
            assert session.snapshot() == before
            events += session.push(data[at : at + 20])
    assert session.backend.calls > 2
    assert events + session.flush() == fakes.localizer().localize(data, stream="s")

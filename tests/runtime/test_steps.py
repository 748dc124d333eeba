"""Sessions whose locator works in steps say what those say whose locator gets whole windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import EngineError
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.pool import PoolOptions

from tests.helpers import fakes, flaky

LIVE = (None, LiveOptions(max_delay_s=0.5), LiveOptions(max_delay_s=0.2))


def pushed(session, features, sizes, *, frozen=()):
    """Events of pushes of these sizes with gaps between some, through a snapshot before those in `frozen`."""
    events, at = [], 0
    for k, size in enumerate(sizes):
        if k in frozen:
            session = type(session).from_state(session.plan, session.backend, session.state())
        events += session.push(features[at : at + size])
        at += size
        if k % 7 == 6:
            events += session.gap(session.now_s + 0.9)
    return events + session.flush()


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(0, 30), min_size=1, max_size=20),
    st.sampled_from(LIVE),
    st.sets(st.integers(0, 20), max_size=4),
)
def test_any_chunks_gaps_and_snapshots(seed, sizes, live, frozen):
    features = fakes.recording(seed, sum(sizes))
    whole = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream="s", live=live)
    steps = fakes.localizer(fakes.SteppingBackend(), fusion=fakes.WITH_HEAD).session(stream="s", live=live)
    assert pushed(steps, features, sizes, frozen=frozen) == pushed(whole, features, sizes)


@pytest.mark.parametrize("live", LIVE)
def test_a_step_gets_new_snippets_only(live):
    engine = fakes.SteppingBackend()
    session = fakes.localizer(engine).session(live=live)
    for row in fakes.recording(1, 200):
        session.push(row[None])
    windows, steps = engine.shapes["locate"], engine.shapes["step"]
    assert len(windows) <= 5  # until the window has its whole context
    assert steps[0][1] == engine.left + engine.right + session.hop
    assert set(steps[1:]) == {(1, session.hop, fakes.DIM)}
    assert len(steps) > 150 / session.hop - 5


def test_long_chunks_are_cheaper_as_windows():
    engine = fakes.SteppingBackend()
    session = fakes.localizer(engine).session()
    for _ in range(5):
        session.push(fakes.recording(2, 60))
    assert not engine.shapes["step"]


@pytest.mark.parametrize("live", LIVE)
def test_streams_of_a_pool_share_steps(live):
    names = [f"cam-{k}" for k in range(40)]
    data = {name: fakes.recording(k, 90 + k % 5) for k, name in enumerate(names)}
    engine = fakes.SteppingBackend()
    pool = fakes.localizer(engine, fusion=fakes.WITH_HEAD).pool(PoolOptions(live=live, max_streams=40))
    events = []
    for at in range(0, 95, 2):
        for name, rows in data.items():
            pool.put(name, rows[at : at + 2])
        events += pool.step()
    events += pool.close()
    assert max(shape[0] for shape in engine.shapes["step"]) > 20
    for name, rows in list(data.items())[::4]:
        session = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream=name, live=live)
        alone = [e for at in range(0, 95, 2) for e in session.push(rows[at : at + 2])] + session.flush()
        flaky.same([event for event in events if event.stream == name], alone)


def test_an_engine_that_says_it_has_no_steps_gets_windows():
    class Unable(fakes.SteppingBackend):
        def stepper(self, *, ahead):
            return None

    rows = fakes.recording(4, 200)
    for live in LIVE:
        session = fakes.localizer(Unable()).session(stream="s", live=live)
        whole = fakes.localizer().session(stream="s", live=live)
        assert pushed(session, rows, [1] * 200) == pushed(whole, rows, [1] * 200)


@pytest.mark.parametrize("kind", ["state", "nan state", "short", "nan", "one", "none", "raise"])
def test_a_step_that_fails_changes_nothing(kind):
    class Broken(fakes.SteppingBackend):
        failing = False

        def run_step(self, features, states, ahead):
            answer = super().run_step(features, states, ahead)
            if not self.failing:
                return answer
            if kind == "raise":
                raise RuntimeError("transient")
            if kind == "state":
                return (*answer[:2], answer[2][:, :-1])
            if kind == "nan state":
                return (*answer[:2], answer[2] * np.float32("nan"))
            return flaky.wrong(kind, answer)

    engine, rows = Broken(), fakes.recording(5, 120)
    session = fakes.localizer(engine, fusion=fakes.WITH_HEAD).session(stream="s", live=LIVE[1])
    events = []
    for k, row in enumerate(rows):
        engine.failing = k in (20, 50, 51)
        before = session.snapshot()
        try:
            events += session.push(row[None])
        except EngineError:
            assert session.snapshot() == before
            engine.failing = False
            events += session.push(row[None])
    whole = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream="s", live=LIVE[1])
    assert events == [event for row in rows for event in whole.push(row[None])]


def test_the_state_counts_as_memory():
    session = fakes.localizer(fakes.SteppingBackend()).session()
    session.push(fakes.recording(6, 30))
    before = session.state_bytes
    for row in fakes.recording(6, 10):
        session.push(row[None])
    assert session.state_bytes > before

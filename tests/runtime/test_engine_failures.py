"""An engine that fails: a session stays as it was, so that the call can be repeated; a pool declares what it loses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import EngineError, Features, PunctumError
from punctum.runtime.live import LiveOptions
from punctum.runtime.pool import PoolOptions

_spec = importlib.util.spec_from_file_location("fakes", Path(__file__).with_name("fakes.py"))
fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fakes)

LIVE = (None, LiveOptions(max_delay_s=0.5))


def wrong(kind: str, answer):
    """An answer that no graph of a bundle may give."""
    first = np.array(answer[0], np.float32)
    if kind == "nan":
        first.flat[-1] = np.nan
    elif kind == "above":
        first.flat[-1] = 1.5
    elif kind == "below":
        first.flat[-1] = -0.25
    elif kind == "huge":
        first[:] = 3.4e38
    elif kind == "short":
        return tuple(np.asarray(part)[..., :-1, :] if np.ndim(part) > 1 else part[:-1] for part in answer)
    elif kind == "ragged":
        first = first[:-1]
    elif kind == "one":
        return first
    elif kind == "none":
        return None
    return (first, *answer[1:])


KINDS = ("raise", "memory", "nan", "above", "below", "huge", "short", "ragged", "one", "none")


class Flaky(fakes.SmoothingBackend):
    """Fails at some of its calls, counted from 0: {call: how}. many: it takes stacks of windows, too."""

    def __init__(self, failures=(), *, many=True):
        self.failures, self.calls = dict(failures), 0
        if many:
            self.locate_many = self._locate_many

    def _answer(self, run, *arguments):
        kind = self.failures.get(self.calls)
        self.calls += 1
        if kind == "raise":
            raise RuntimeError("transient CUDA error")
        if kind == "memory":
            raise MemoryError
        answer = run(*arguments)
        return answer if kind is None else wrong(kind, answer)

    def locate(self, features):
        return self._answer(super().locate, features)

    def _locate_many(self, windows):
        def run(stack):
            parts = [fakes.SmoothingBackend.locate(self, window) for window in stack]
            return np.stack([p for p, _ in parts]), np.stack([a for _, a in parts])

        return self._answer(run, windows)

    def score(self, features, tracks, segments, labels):
        return self._answer(super().score, features, tracks, segments, labels)


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


FAILURES = st.dictionaries(st.integers(0, 60), st.sampled_from(KINDS), max_size=8)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(0, 30), min_size=1, max_size=10), FAILURES, st.sampled_from(LIVE))
def test_a_call_that_failed_can_be_repeated_exactly(seed, sizes, failures, live):
    features = fakes.recording(seed, sum(sizes))
    said = []
    for engine in (Flaky(), Flaky(failures)):
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


def serve(pool, data, chunk=7):
    """All streams through a pool; a call that raises is repeated."""
    events, raised = [], 0

    def again(call):
        nonlocal raised
        for _ in range(50):
            try:
                return call()
            except PunctumError:
                raised += 1
        raise AssertionError("never answered")

    for at in range(0, max(map(len, data.values())), chunk):
        for name, rows in data.items():
            if len(rows[at : at + chunk]) and not pool.stats().get(name, pool_stats()).ended:
                again(lambda name=name, rows=rows, at=at: pool.put(name, rows[at : at + chunk]))
        events += again(pool.step)
    return events + again(pool.close), raised


def pool_stats():
    from punctum.runtime.pool import StreamStats

    return StreamStats()


def same(a, b):
    assert [(e.id, e.phase, e.revision) for e in a] == [(e.id, e.phase, e.revision) for e in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.start - y.start) < 1e-4
        assert abs(x.end - y.end) < 1e-4
        assert abs(x.score - y.score) < 1e-4


def concluded(events):
    """Every event is final or retracted exactly once, and nothing is said about it after that."""
    over: set[str] = set()
    for event in events:
        assert event.id not in over
        if event.phase in ("final", "retracted"):
            over.add(event.id)
    assert {event.id for event in events} == over


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), FAILURES, st.sampled_from(LIVE), st.booleans(), st.sampled_from(["wait", "drop_oldest"]))
def test_a_pool_loses_nothing_undeclared(seed, failures, live, many, policy):
    data = {f"s{k}": fakes.recording(seed + k, 60 + 11 * k) for k in range(3)}
    engine = Flaky(failures, many=many)
    pool = fakes.localizer(engine, fusion=fakes.WITH_HEAD).pool(PoolOptions(policy=policy, live=live, max_queue_s=2.0))
    events, _ = serve(pool, data)
    concluded(events)
    for name, rows in data.items():
        stats, mine = pool.stats()[name], [e for e in events if e.stream == name]
        session = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream=name, live=live)
        if stats.ended == "end of stream":
            assert stats.dropped_snippets == 0
            alone = [e for at in range(0, len(rows), 7) for e in session.push(rows[at : at + 7])] + session.flush()
            same(mine, alone)
        else:  # that stream alone ended; what it said until then is what it says alone
            assert stats.ended in ("engine-failed", "backend-shape") or stats.ended.startswith(("tracks-", "scores-"))
            assert stats.engine_failures >= 2
            alone = [e for at in range(0, len(rows), 7) for e in session.push(rows[at : at + 7])] + session.flush()
            finals = [e for e in mine if e.phase == "final"]
            same(finals, [e for e in alone if e.phase == "final"][: len(finals)])


@pytest.mark.parametrize("live", LIVE)
def test_one_failure_at_every_call_of_a_pool_costs_nothing(live):
    data = {f"s{k}": fakes.recording(k, 50) for k in range(3)}
    engine = Flaky()
    expected, _ = serve(fakes.localizer(engine, fusion=fakes.WITH_HEAD).pool(PoolOptions(live=live)), data)
    for at in range(0, engine.calls, 1 if live is None else 3):
        flaky = Flaky({at: KINDS[at % len(KINDS)]})
        pool = fakes.localizer(flaky, fusion=fakes.WITH_HEAD).pool(PoolOptions(live=live))
        events, raised = serve(pool, data)
        assert raised == 0
        assert {s.ended for s in pool.stats().values()} == {"end of stream"}
        for name in data:
            same([e for e in events if e.stream == name], [e for e in expected if e.stream == name])


def test_a_stream_that_the_engine_cannot_serve_ends_alone():
    class Allergic(Flaky):
        def locate(self, features):
            if (features == 7.5).any():
                raise RuntimeError("that input again")
            return super().locate(features)

        def _locate_many(self, windows):
            if (windows == 7.5).any():
                raise RuntimeError("that input again")
            return super()._locate_many(windows)

    data = {f"s{k}": fakes.recording(k, 140) for k in range(4)}
    data["s2"][70, 0] = 7.5
    pool = fakes.localizer(Allergic(), fusion=fakes.WITH_HEAD).pool(PoolOptions(live=LIVE[1]))
    events, raised = serve(pool, data)
    assert raised == 0
    concluded(events)
    assert {name: s.ended for name, s in pool.stats().items()} == {
        "s0": "end of stream",
        "s1": "end of stream",
        "s2": "engine-failed",
        "s3": "end of stream",
    }
    assert pool.stats()["s2"].dropped_snippets > 0
    assert [e for e in events if e.stream == "s2" and e.phase == "final" and e.end < 6.0]
    for name in ("s0", "s1", "s3"):
        session = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream=name, live=LIVE[1])
        rows = data[name]
        alone = [e for at in range(0, len(rows), 7) for e in session.push(rows[at : at + 7])] + session.flush()
        same([e for e in events if e.stream == name], alone)


def test_a_dead_engine_is_named_and_nothing_is_lost_when_it_comes_back():
    engine = Flaky()
    pool = fakes.localizer(engine).pool()
    data = fakes.recording(1, 100)
    pool.put("a", data[:50])
    pool.put("b", data[:50])
    working, engine.locate, engine.locate_many = engine.locate, broken, broken
    for _ in range(2):
        with pytest.raises(EngineError, match="out of memory"):
            pool.step()
    engine.locate, engine.locate_many = working, engine._locate_many
    events = pool.step()
    for name in ("a", "b"):
        pool.put(name, data[50:])
    events += pool.close()
    for name in ("a", "b"):
        same([e for e in events if e.stream == name], fakes.localizer().localize(data, stream=name))


def broken(*_):
    raise RuntimeError("out of memory")


def test_closing_a_pool_whose_engine_is_dead_ends_and_says_so():
    engine = Flaky()
    pool = fakes.localizer(engine).pool(PoolOptions(live=LIVE[1]))
    for name in ("a", "b"):
        pool.put(name, fakes.recording(5, 60))
    events = pool.step()
    engine.locate = engine.locate_many = broken
    events += pool.close()
    concluded(events)
    assert {s.ended for s in pool.stats().values()} == {"engine-failed"}
    assert all(s.dropped_snippets == 50 for s in pool.stats().values())


@pytest.mark.parametrize("how", ["localize", "chunks", "stream", "astream"])
def test_whole_recordings_survive_an_engine_that_fails_now_and_then(how):
    import asyncio

    from punctum.runtime.sources import Chunk

    data = fakes.recording(4, 200)
    parts = [data[at : at + 20] for at in range(0, 200, 20)]
    failures = {0: "raise"} if how == "localize" else {0: "raise", 9: "nan", 20: "memory"}  # one a call of the session
    localizer = fakes.localizer(Flaky(failures), fusion=fakes.WITH_HEAD)
    if how == "localize":
        events = localizer.localize(data, stream="s")
    elif how == "chunks":
        events = localizer.localize_chunks([Chunk(rows, None, "") for rows in parts], stream="s")
    elif how == "stream":
        events = list(localizer.stream(parts, stream="s"))
    else:

        async def pull():
            async def source():
                for rows in parts:
                    yield rows

            return [event async for event in localizer.astream(source(), stream="s")]

        events = asyncio.run(pull())
    assert events == fakes.localizer(fusion=fakes.WITH_HEAD).localize(data, stream="s")


def test_a_stream_that_asks_for_nothing_does_not_make_the_engine_alive():
    engine = Flaky()
    pool = fakes.localizer(engine).pool()
    engine.locate = engine.locate_many = broken
    pool.put("busy", fakes.recording(1, 50))
    pool.put("idle", fakes.recording(1, 1))  # too few rows for a look
    with pytest.raises(EngineError):
        pool.step()
    assert pool.stats()["busy"].ended == ""


def test_a_session_that_was_abandoned_can_be_kept_and_begun_anew():
    session = fakes.localizer().session(stream="s", live=LIVE[1])
    session.push(fakes.recording(1, 57))
    session.abandon()
    again = fakes.localizer().restore(session.snapshot())
    with pytest.raises(PunctumError, match="flush"):
        again.push(fakes.recording(1, 5))
    again.reset()
    fresh = fakes.localizer().session(stream="s", live=LIVE[1])
    said = [[(e.phase, e.start, e.score) for e in one.push(fakes.recording(1, 57))] for one in (again, fresh)]
    assert said[0] == said[1] != []


def test_recordings_of_an_archive_are_run_again_alone():
    from punctum.runtime.archive._together import Whole, localize_together

    data = {f"r{k}": fakes.recording(k, 60 + 20 * k) for k in range(3)}

    def run(engine):
        wholes = [Whole(name, Features(rows, 0.1)) for name, rows in data.items()]
        localize_together(fakes.localizer(engine, fusion=fakes.WITH_HEAD), wholes)
        return wholes

    steady = Flaky()
    expected = run(steady)
    for at in range(steady.calls):
        for whole, wanted in zip(run(Flaky({at: KINDS[at % len(KINDS)]})), expected, strict=True):
            assert whole.error is None
            same(whole.events, wanted.events)

    class Allergic(Flaky):
        def _answer(self, run, *arguments):
            if (arguments[0] == 7.5).any():
                raise RuntimeError("that input again")
            return super()._answer(run, *arguments)

    data["r1"][40, 0] = 7.5
    for whole, wanted in zip(run(Allergic()), expected, strict=True):
        if whole.stream == "r1":
            assert whole.error.code == "engine-failed"
            assert whole.events == []
        else:
            assert whole.error is None
            same(whole.events, wanted.events)

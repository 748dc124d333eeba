"""An engine that fails under many streams or recordings: nothing is lost that is not declared, nobody else suffers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import EngineError, Features, PunctumError
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.pool import PoolOptions

from tests.helpers import flaky
from tests.helpers.exhaustive import examples

pytestmark = pytest.mark.slow

fakes, Flaky, KINDS, FAILURES, same = flaky.fakes, flaky.Flaky, flaky.KINDS, flaky.FAILURES, flaky.same

LIVE = (None, LiveOptions(max_delay_s=0.5))


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
    from punctum.runtime.session.pool import StreamStats

    return StreamStats()


def concluded(events):
    """Every event is final or retracted exactly once, and never reported again after that."""
    over: set[str] = set()
    for event in events:
        assert event.id not in over
        if event.phase in ("final", "retracted"):
            over.add(event.id)
    assert {event.id for event in events} == over


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000),
    FAILURES,
    st.sampled_from(LIVE),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["wait", "drop_oldest"]),
    st.sampled_from([1, 1, 2]),
)
def test_a_pool_loses_nothing_undeclared(seed, failures, live, many, steps, policy, workers):
    data = {f"s{k}": fakes.recording(seed + k, 60 + 11 * k) for k in range(3)}
    engine = Flaky(failures, many=many, steps=steps)
    options = PoolOptions(policy=policy, live=live, max_queue_s=2.0, workers=workers)
    pool = fakes.localizer(engine, fusion=fakes.WITH_HEAD).pool(options)
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


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("live", LIVE)
def test_one_failure_at_every_call_of_a_pool_costs_nothing(live, steps):
    data = {f"s{k}": fakes.recording(k, 50) for k in range(3)}
    engine = Flaky(steps=steps)
    expected, _ = serve(fakes.localizer(engine, fusion=fakes.WITH_HEAD).pool(PoolOptions(live=live)), data)
    # With deadlines there are many calls: every ninth, and so every kind of failure, since there are ten kinds.
    for at in range(0, engine.calls, 1 if live is None else examples(9, 3)):
        flaky = Flaky({at: KINDS[at % len(KINDS)]}, steps=steps)
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

    from punctum.runtime.sources.items import Chunk

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
    from punctum.runtime.session.batch import BatchItem, localize_together

    data = {f"r{k}": fakes.recording(k, 60 + 20 * k) for k in range(3)}

    def run(engine):
        items = [BatchItem(name, Features(rows, 0.1)) for name, rows in data.items()]
        localizer = fakes.localizer(engine, fusion=fakes.WITH_HEAD)
        localize_together(localizer.plan, localizer.backend, items)
        return items

    steady = Flaky()
    expected = run(steady)
    for at in range(steady.calls):
        for item, wanted in zip(run(Flaky({at: KINDS[at % len(KINDS)]})), expected, strict=True):
            assert item.error is None
            same(item.events, wanted.events)

    class Allergic(Flaky):
        def _answer(self, run, *arguments):
            if (arguments[0] == 7.5).any():
                raise RuntimeError("that input again")
            return super()._answer(run, *arguments)

    data["r1"][40, 0] = 7.5
    for item, wanted in zip(run(Allergic()), expected, strict=True):
        if item.stream == "r1":
            assert item.error.code == "engine-failed"
            assert item.events == []
        else:
            assert item.error is None
            same(item.events, wanted.events)


@pytest.mark.parametrize("live", LIVE)
def test_a_turn_that_failed_is_repeated_with_the_same_thoroughness(live):
    """A degraded turn stays one when it is repeated, although part of the queue has been processed by then."""
    data = {name: fakes.recording(seed, 300) for name, seed in (("a", 14), ("b", 15))}

    def serve_in_bursts(engine):
        pool = fakes.localizer(engine).pool(PoolOptions(policy="degrade", max_queue_s=4.0, turn_s=2.0, live=live))
        events, at, burst = [], 0, 0
        while at < 300:
            burst = burst % 31 + 6  # from few to nearly as many as the bound
            for name, rows in data.items():
                for first in range(at, min(at + burst, 300), 5):
                    pool.put(name, rows[first : min(first + 5, at + burst)])
            at += burst
            for _ in range(5):
                try:
                    events += pool.step()
                    break
                except PunctumError:
                    pass
        return events + pool.close(), pool.stats()

    steady = Flaky()
    wanted, plain = serve_in_bursts(steady)
    assert any(event.degraded for event in wanted)
    assert not all(event.degraded for event in wanted)
    for call in range(0, steady.calls, 1 + steady.calls // examples(10, 40)):
        got, stats = serve_in_bursts(Flaky({call: "raise"}))
        for name in data:
            one, two = ([e for e in events if e.stream == name] for events in (wanted, got))
            same(one, two)
            assert [e.degraded for e in one] == [e.degraded for e in two]
            assert stats[name].degraded_turns == plain[name].degraded_turns

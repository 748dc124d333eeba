"""Many streams on one engine: the same events as alone, fair, bounded; one stream's trouble stays its own."""

from __future__ import annotations

import numpy as np
import pytest
from punctum.runtime import InputError, PunctumError
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.pool import Pool, PoolOptions

from tests.helpers import fakes


class Stacking(fakes.SmoothingBackend):
    """The fake engine with stacks of windows; counts its runs."""

    def __init__(self):
        self.runs = 0  # may miss some if several threads count

    def locate(self, features):
        self.runs += 1
        return super().locate(features)

    def locate_many(self, windows):
        self.runs += 1
        parts = [super(Stacking, self).locate(w) for w in windows]
        return np.stack([p for p, _ in parts]), np.stack([a for _, a in parts])

    def score(self, features, tracks, segments, labels):
        self.runs += 1
        return super().score(features, tracks, segments, labels)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def same(a, b):
    assert [(e.id, e.phase, e.revision) for e in a] == [(e.id, e.phase, e.revision) for e in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.start - y.start) < 1e-4
        assert abs(x.end - y.end) < 1e-4
        assert abs(x.score - y.score) < 1e-4


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("delay", [None, 0.5])
def test_together_each_stream_says_what_it_says_alone_in_fewer_runs(delay, workers):
    live = LiveOptions(max_delay_s=delay)
    names = [f"cam-{k}" for k in range(12)]
    data = {name: fakes.recording(k, 100 + 7 * k) for k, name in enumerate(names)}
    rng = np.random.default_rng(0)
    alone, together = Stacking(), Stacking()
    expected = {}
    for name in names:
        session = fakes.localizer(alone, fusion=fakes.WITH_HEAD).session(stream=name, live=live)
        expected[name] = [e for t in range(0, len(data[name]), 5) for e in session.push(data[name][t : t + 5])]
        expected[name] += session.flush()
    pool = fakes.localizer(together, fusion=fakes.WITH_HEAD).pool(PoolOptions(live=live, turn_s=2.0, workers=workers))
    events, at = [], dict.fromkeys(names, 0)
    while any(at[n] < len(data[n]) for n in names):
        for name in names:
            size = 5 if delay is None else int(rng.integers(1, 9))
            if at[name] < len(data[name]):
                assert pool.put(name, data[name][at[name] : at[name] + size])
                at[name] += size
        events += pool.step()
    events += pool.close()
    for name in names:
        same([e for e in events if e.stream == name], expected[name])
    if delay is None and workers == 1:
        assert together.runs < alone.runs / 3
    assert all(s.ended == "end of stream" and s.queue_depth == 0 for s in pool.stats().values())


def test_one_bad_stream_ends_alone():
    pool = fakes.localizer().pool()
    good, bad = fakes.recording(1, 300), fakes.recording(2, 300)
    for t in range(0, 300, 50):
        pool.put("good", good[t : t + 50])
        chunk = bad[t : t + 50].copy()
        if t == 200:
            chunk[3, 1] = np.nan
        if t <= 200:
            assert pool.put("bad", chunk) == (t < 200)
        else:
            with pytest.raises(InputError, match="features-not-finite"):
                pool.put("bad", chunk)
    events = pool.close()
    same([e for e in events if e.stream == "good"], fakes.localizer().localize(good, stream="good"))
    assert pool.stats()["bad"].ended == "features-not-finite"
    before = fakes.localizer().localize(bad[:200], stream="bad")
    same([e for e in events if e.stream == "bad"], before)


def test_no_stream_starves_another():
    pool = fakes.localizer().pool(PoolOptions(turn_s=1.0, max_queue_s=100.0))
    pool.put("long", fakes.recording(1, 500))
    pool.put("short", fakes.recording(2, 10))
    pool.step()
    stats = pool.stats()
    assert stats["short"].queue_depth == 0
    assert stats["long"].queue_depth == 490


def overload(policy, steps=300):
    """An engine ten times too slow for the first third: seconds of a made-up clock pass in its runs."""
    clock = Clock()

    class Slow(fakes.SmoothingBackend):
        cost = 1.0

        def locate(self, features):
            clock.now += self.cost
            return super().locate(features)

    engine = Slow()
    options = PoolOptions(policy=policy, max_queue_s=2.0, turn_s=0.5, deadline_s=1.0)
    localizer = fakes.localizer(engine)
    pool = Pool(localizer.plan, localizer.backend, options, clock=clock)
    data, events, lag = fakes.recording(3, steps), [], []
    for t in range(steps):  # one snippet each 0.1 s, when it is due or as soon as the source is let go on
        engine.cost = 1.0 if t < steps // 3 else 0.001
        clock.now = max(clock.now, t * 0.1)
        pool.put("cam", data[t : t + 1], at=t * 0.1)
        while clock.now <= (t + 1) * 0.1 and pool.stats()["cam"].queue_depth:
            events += pool.step()
        lag.append(pool.stats()["cam"].queue_depth)
    events += pool.drain()
    recovered = pool.stats()["cam"].lag_s
    events += pool.close()
    return data, events, pool.stats()["cam"], lag, recovered


def test_wait_loses_nothing():
    data, events, stats, depth, _ = overload("wait")
    assert max(depth) <= 20
    assert stats.dropped_snippets == 0
    assert stats.snippets == 300
    assert stats.deadline_missed > 0
    same(events, fakes.localizer().localize(data, stream="cam"))


def test_drop_oldest_stays_in_bounds_and_counts_every_drop():
    _, events, stats, depth, recovered = overload("drop_oldest")
    assert max(depth) <= 20
    assert stats.dropped_snippets > 0
    assert stats.snippets + stats.dropped_snippets == 300
    assert recovered == 0.0
    assert sum(1 for e in events if e.interrupted) > 0
    assert {e.dropped for e in events} != {0}
    assert all(0.0 <= e.start < e.end <= 30.0 + 1e-9 for e in events)


def test_degrade_says_so_and_recovers():
    _, events, stats, depth, _ = overload("degrade")
    assert max(depth) <= 20
    assert stats.degraded_turns > 0
    late = [e for e in events if e.start > 20.0]
    assert late
    assert not any(e.degraded for e in late)


def test_a_failing_engine_is_named():
    class Broken(fakes.SmoothingBackend):
        def locate(self, features):
            raise RuntimeError("out of memory")

    pool = fakes.localizer(Broken()).pool()
    pool.put("a", fakes.recording(1, 50))
    with pytest.raises(PunctumError, match="out of memory"):
        pool.step()


@pytest.mark.parametrize("bad", [{"policy": "hope"}, {"max_queue_s": 0}, {"deadline_s": float("nan")}, {"workers": 0}])
def test_bad_options_are_refused(bad):
    with pytest.raises(InputError):
        PoolOptions(**bad)


def test_names_limits_and_time():
    pool = fakes.localizer().pool(PoolOptions(max_streams=1))
    pool.open("a")
    with pytest.raises(InputError, match="already open"):
        pool.open("a")
    with pytest.raises(InputError, match="max_streams"):
        pool.put("b", fakes.recording(1, 5))
    with pytest.raises(InputError, match="'c'"):
        pool.end("c")
    pool.put("a", fakes.recording(1, 10), at=5.0)
    with pytest.raises(InputError) as error:
        pool.put("a", fakes.recording(1, 10), at=5.0)
    assert error.value.code == "time-backwards"
    assert pool.stats()["a"].ended == ""


@pytest.mark.parametrize(("run_id", "resets"), [("door", 0), ("door", 2), ("door.4", 0)])
def test_a_name_that_is_opened_again_after_it_was_restored_has_ids_of_its_own(run_id, resets):
    """Ids of the session that another process began must not come again."""
    localizer, rows = fakes.localizer(), fakes.recording(5, 200)
    session = localizer.session(stream="cam", run_id=run_id)
    for _ in range(resets):
        session.reset()
    pool = localizer.pool(PoolOptions(run_id="door"))
    pool.open("cam", restored=localizer.restore(session.snapshot()))
    ids: set[str] = set()
    for _ in range(4):
        pool.put("cam", rows)
        events = pool.end("cam")
        assert events
        assert not ids & {event.id for event in events}
        ids |= {event.id for event in events}
        pool.open("cam")


def test_lost_frames_count_as_in_a_session_however_the_turns_cut_the_chunk():
    rows = fakes.recording(3, 120)
    lost = [(5, 2), (47, 1), (90, 3)]
    session = fakes.localizer(Stacking(), fusion=fakes.WITH_HEAD).session(stream="a")
    expected = session.push(rows, at=0.0, lost=lost) + session.flush()
    assert any(event.dropped for event in expected)
    for turn_s in (0.5, 3.0, 1000.0):
        pool = fakes.localizer(Stacking(), fusion=fakes.WITH_HEAD).pool(PoolOptions(turn_s=turn_s, max_queue_s=1e6))
        pool.put("a", rows, at=0.0, lost=lost)
        found = pool.end("a")
        same(found, expected)
        assert [event.dropped for event in found] == [event.dropped for event in expected]


def test_lost_frames_outside_a_chunk_end_the_stream_as_other_unusable_chunks_do():
    pool = fakes.localizer(Stacking(), fusion=fakes.WITH_HEAD).pool()
    assert pool.put("a", fakes.recording(3, 10), lost=[(10, 1)]) is False
    assert pool.stats()["a"].ended == "lost"


def test_a_stream_continues_from_its_snapshot_in_another_pool():
    rows = fakes.recording(5, 150)
    localizer = fakes.localizer(Stacking(), fusion=fakes.WITH_HEAD)
    expected = localizer.session(stream="a")
    expected = expected.push(rows) + expected.flush()
    pool = localizer.pool(PoolOptions(max_queue_s=1e6))
    pool.put("a", rows[:70])
    assert pool.waiting("a") and pool.snapshot("a") is None and not pool.waiting("b")
    found = pool.drain()
    data = pool.snapshot("a")
    assert pool.session("a").now_s == pytest.approx(70 * localizer.plan.stride_s) and pool.session("b") is None
    other = localizer.pool(PoolOptions(max_queue_s=1e6))
    other.open("a", restored=localizer.restore(data))
    other.put("a", rows[70:])
    same(found + other.end("a"), expected)
    with pytest.raises(InputError, match="no stream"):
        other.snapshot("a")


def test_a_stream_can_be_abandoned_alone():
    pool = fakes.localizer(Stacking(), fusion=fakes.WITH_HEAD).pool(PoolOptions(live=LiveOptions(max_delay_s=0.5)))
    for name in ("a", "b"):
        pool.put(name, fakes.recording(5, 60))
    reported = {event.id for event in pool.drain() if event.phase in ("open", "update")}
    ended = pool.abandon("a", reason="test")
    assert {event.phase for event in ended} <= {"retracted"} and {event.id for event in ended} <= reported
    assert pool.stats()["a"].ended == "test" and pool.stats()["b"].ended == ""
    with pytest.raises(InputError, match="no stream"):
        pool.abandon("a", reason="again")


@pytest.mark.parametrize(
    "call",
    [
        lambda pool, rows: pool.put(["cam"], rows),
        lambda pool, rows: pool.put(None, rows),
        lambda pool, rows: pool.put("cam", rows, at="1"),
        lambda pool, rows: pool.put("cam", rows, at=1j),
        lambda pool, rows: pool.put("cam", rows, at=np.arange(2)),
        lambda pool, rows: pool.put("new", rows, at=np.arange(2)),
        lambda pool, rows: pool.open(["cam"]),
        lambda pool, rows: pool.open("new", restored=5),
        lambda pool, rows: pool.open("new", start_s="1"),
        lambda pool, rows: pool.end(["cam"]),
        lambda pool, rows: pool.abandon(["cam"], reason="test"),
        lambda pool, rows: pool.snapshot({"cam"}),
        lambda pool, rows: pool.session(["cam"]),
        lambda pool, rows: pool.waiting(["cam"]),
    ],
)
def test_arguments_of_another_type_are_refused_and_change_nothing(call):
    localizer, rows = fakes.localizer(), fakes.recording(0, 40)
    pool = localizer.pool()
    pool.put("cam", rows[:20])
    with pytest.raises(InputError) as caught:
        call(pool, rows)
    assert caught.value.code == "argument-type"
    assert list(pool.stats()) == ["cam"]
    pool.put("cam", rows[20:])
    same(pool.close(), localizer.localize(rows, stream="cam"))


def test_options_of_another_type_are_refused():
    with pytest.raises(InputError, match="PoolOptions"):
        fakes.localizer().pool(5)


@pytest.mark.parametrize("name", ["max_queue_s", "turn_s", "deadline_s"])
def test_seconds_beyond_media_time_are_refused(name):
    with pytest.raises(InputError, match=f"`{name}` is 1e.308"):
        PoolOptions(**{name: 1e308})
    fakes.localizer().pool(PoolOptions(**{name: 1e10}))

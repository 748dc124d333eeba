"""Islands of many sessions are settled together: the same events as alone, in fewer runs of the scorer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from punctum.runtime import EngineError
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.pool import PoolOptions

from tests.helpers import fakes

LIVE = (None, LiveOptions(max_delay_s=0.5))


class WindowBackend(fakes.SmoothingBackend):
    """The engine whose scorer takes any windows. runs: number of runs by method. bad: replaces the center scores."""

    def __init__(self):
        self.runs, self.bad = Counter(), None

    def score(self, features, tracks, segments, labels):
        self.runs["score"] += 1
        return super().score(features, tracks, segments, labels)

    def window_scorer(self):
        return self

    def score_windows(self, features, ends, segments, offsets):
        self.runs["windows"] += 1
        assert ends[-1] == len(features)
        assert offsets[-1] == len(segments)
        probability, attention, center = super().score(features, None, segments, np.zeros(len(segments), np.int64))
        return probability, attention, center if self.bad is None else np.full_like(center, self.bad)


@pytest.mark.parametrize("live", LIVE)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_pool_says_what_each_stream_says_alone(live, workers):
    names = [f"cam-{k}" for k in range(12)]
    data = {name: fakes.recording(k, 80 + k % 5) for k, name in enumerate(names)}
    engine = WindowBackend()
    pool = fakes.localizer(engine, fusion=fakes.WITH_HEAD).pool(PoolOptions(live=live, workers=workers))
    events = []
    for at in range(0, 85, 4):
        for name, rows in data.items():
            pool.put(name, rows[at : at + 4])
        events += pool.step()
    events += pool.close()
    alone = fakes.SmoothingBackend()
    for name, rows in data.items():
        session = fakes.localizer(alone, fusion=fakes.WITH_HEAD).session(stream=name, live=live)
        said = [e for at in range(0, 85, 4) for e in session.push(rows[at : at + 4])] + session.flush()
        assert [event for event in events if event.stream == name] == said
    assert not engine.runs["score"]
    if workers == 1:
        assert engine.runs["windows"] < 85 * 4  # with 12 streams and up to 85 ticks


@pytest.mark.parametrize("live", LIVE)
@pytest.mark.parametrize(("bad", "code"), [(np.nan, "scores-not-finite"), (1.5, "scores-out-of-range")])
def test_scores_that_are_none_are_refused_and_nothing_changes(live, bad, code):
    engine = WindowBackend()
    session = fakes.localizer(engine, fusion=fakes.WITH_HEAD).session(stream="s", live=live)
    events, failed = [], 0
    for row in fakes.recording(5, 120):
        before, engine.bad = session.snapshot(), bad
        try:
            events += session.push(row[None])
        except EngineError as error:
            assert error.code == code
            assert session.snapshot() == before
            failed += 1
            engine.bad = None
            events += session.push(row[None])
    engine.bad = None
    events += session.flush()
    whole = fakes.localizer(fusion=fakes.WITH_HEAD).session(stream="s", live=live)
    assert events == [e for row in fakes.recording(5, 120) for e in whole.push(row[None])] + whole.flush()
    assert failed

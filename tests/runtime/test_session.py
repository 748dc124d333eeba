"""The contract: for any chunking the final events are the same, memory is bounded, time stamps are exact."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Features, InputError, PunctumError

_spec = importlib.util.spec_from_file_location("fakes", Path(__file__).with_name("fakes.py"))
fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fakes)


def same(a, b) -> None:
    assert [(e.label, e.id, e.phase) for e in a] == [(e.label, e.id, e.phase) for e in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.start - y.start) < 1e-4
        assert abs(x.end - y.end) < 1e-4
        assert abs(x.score - y.score) < 1e-4
        assert abs(x.emitted_at - y.emitted_at) < 1e-9


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.integers(0, 260),
    st.lists(st.integers(0, 40), max_size=30),
    st.booleans(),
)
def test_chunking_does_not_matter(seed, length, sizes, head):
    localizer = fakes.localizer(**({"fusion": fakes.WITH_HEAD} if head else {}))
    features = fakes.recording(seed, length)
    offline = localizer.localize(features, stream="s")
    session = localizer.session(stream="s")
    live, at = [], 0
    for size in sizes:
        live += session.push(features[at : at + size])
        at = min(at + size, length)
    live += session.push(features[at:])
    same(live + session.flush(), offline)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 6, 500])
def test_one_snippet_at_a_time(length):
    localizer = fakes.localizer()
    features = fakes.recording(length, length)
    live = list(localizer.stream((features[t : t + 1] for t in range(length)), stream="s"))
    same(live, localizer.localize(features, stream="s"))


def test_events_are_sane_and_found():
    localizer = fakes.localizer()
    events = localizer.localize(fakes.recording(5, 800), start_s=100.0)
    assert len(events) > 20
    assert len({e.id for e in events}) == len(events)
    for e in events:
        assert e.phase == "final"
        assert 100.0 <= e.start < e.end <= 180.0 + 1e-9
        assert e.score > 0
        assert e.end - e.start <= 3.0 + 1e-6  # nothing crosses a cut
        assert e.delay_s >= -1e-9


def test_an_island_that_never_ends_is_cut_and_reported():
    localizer = fakes.localizer()
    features = np.full((400, fakes.DIM), 2.0, np.float32)
    session = localizer.session()
    early = session.push(features)
    assert early, "a running action must be reported before the stream ends"
    offline = localizer.localize(features)
    same(early + session.flush(), offline)
    covered = sorted({(round(e.start, 3), round(e.end, 3)) for e in offline if e.label == "a"})
    assert covered[0][0] == 0.0
    assert covered[-1][1] == 40.0


def test_a_window_is_as_good_as_the_whole_stream():
    """Each island scored from its own window equals the same island scored with everything before it pushed at once."""
    localizer = fakes.localizer(fusion=fakes.WITH_HEAD)
    quiet = np.zeros((300, fakes.DIM), np.float32)
    tail = fakes.recording(3, 200)
    alone = localizer.localize(np.concatenate([quiet[:50], tail]))
    shifted = localizer.localize(np.concatenate([quiet, tail]))
    assert len(alone) == len(shifted) > 0
    for a, b in zip(alone, shifted, strict=True):
        assert abs(a.start + 25.0 - b.start) < 1e-6
        assert abs(a.score - b.score) < 1e-5


def test_memory_is_bounded_by_the_configuration():
    session = fakes.localizer().session()
    sizes = []
    for k in range(60):
        session.push(fakes.recording(k, 500))
        sizes.append(len(session._features.rows) + len(session._tracks.rows))
    assert max(sizes[10:]) <= 1500
    assert session.stats.snippets == 30_000


def test_time_stamps_stay_exact_after_days():
    session = fakes.localizer().session()
    pulse = np.zeros((400, fakes.DIM), np.float32)
    pulse[200:220, 0] = 2.0
    first = session.push(pulse)
    session._features.base += 10**9  # as if three years had passed: only indices move
    session._tracks.base += 10**9
    later = session.push(pulse)
    assert len(first) == len(later) > 0
    for a, b in zip(first, later, strict=True):
        assert abs((b.start - a.start) - (10**9 + 400) * 0.1) < 1e-6


def test_bad_features_are_refused_and_the_session_goes_on():
    localizer = fakes.localizer()
    session = localizer.session()
    features = fakes.recording(1, 200)
    events = session.push(features[:100])
    for bad, code in (
        (np.zeros((3, 9), np.float32), "features-dimension"),
        (np.zeros(4, np.float32), "features-shape"),
        (np.full((2, 4), np.nan, np.float32), "features-not-finite"),
        (np.array([["x"] * 4]), "features-dtype"),
        (Features(np.zeros((1, 4), np.float32), stride_s=0.2), "features-stride"),
    ):
        with pytest.raises(InputError) as error:
            session.push(bad)
        assert error.value.code == code
    events += session.push(features[100:]) + session.flush()
    same(events, localizer.localize(features))
    with pytest.raises(InputError, match="flush"):
        session.push(features)


def test_a_broken_graph_is_named():
    class Broken(fakes.SmoothingBackend):
        def locate(self, features):
            track, actionness = super().locate(features)
            track[0] = np.nan
            return track, actionness

    with pytest.raises(PunctumError, match="NaN"):
        fakes.localizer(Broken()).localize(fakes.recording(0, 50))


def test_the_video_gate_is_for_whole_recordings_only():
    localizer = fakes.localizer(gate="video", gate_threshold=0.999)
    with pytest.raises(InputError, match="gate"):
        localizer.session()
    events = localizer.localize(fakes.recording(2, 300))
    assert len({e.label for e in events}) == 1  # none passes, so the best class stays


def test_iterators_say_what_a_session_says():
    import asyncio

    localizer, features = fakes.localizer(), fakes.recording(5, 200)
    chunks = [features[at : at + 30] for at in range(0, 200, 30)]
    expected = localizer.localize(features, stream="s")
    assert list(localizer.stream(iter(chunks), stream="s")) == expected

    async def pull():
        async def source():
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk

        return [event async for event in localizer.astream(source(), stream="s")]

    assert asyncio.run(pull()) == expected

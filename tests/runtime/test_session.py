"""The contract: for any chunking the final events are the same, memory is bounded, time stamps are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Features, InputError, PunctumError, Session, new_run_id
from punctum.runtime.live import LiveOptions

from tests.helpers import fakes


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
        state = session.state()
        sizes.append(len(state.features.values) + len(state.tracks.values))
    assert max(sizes[10:]) <= 1500
    assert session.stats.snippets == 30_000


def test_time_stamps_stay_exact_after_days():
    localizer = fakes.localizer()
    session = localizer.session()
    pulse = np.zeros((400, fakes.DIM), np.float32)
    pulse[200:220, 0] = 2.0
    first = session.push(pulse)
    state = session.state()  # as if three years had passed: only indices move
    state = replace(
        state,
        features=replace(state.features, base=state.features.base + 10**9),
        tracks=replace(state.tracks, base=state.tracks.base + 10**9),
    )
    session = Session.from_state(localizer.plan, localizer.backend, state)
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


class Passing:
    """The features are the tracks; a head that likes short actions."""

    requested = actual = "passing"

    def locate(self, features):
        return features[:, :3], features[:, 3]

    score = fakes.SmoothingBackend.score


def passing(**post):
    levels = {"class_thresholds": (0.25, 0.5, 0.75), "fusion": fakes.WITH_HEAD}
    return fakes.localizer(Passing(), **(levels | post))


def half_way(seed: int, length: int) -> np.ndarray:
    """Tracks in steps of one half: they often cross 0.25 exactly half-way between two snippets."""
    tracks = 1 / (1 + np.exp(-4 * (fakes.recording(seed, length) - 0.5)))
    tracks = np.round(2 * tracks) / 2
    tracks[:, 3] = tracks[:, :3].max(axis=1) if length else 0
    return tracks.astype(np.float32)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 200))
def test_a_crossing_half_way_is_no_edge(seed, length):
    """Tracks that cross just beside the middle give almost the same: an edge has no surroundings, so a crossing that is
    taken for one shows in the score and in when it is known."""
    tracks = half_way(seed, length)
    said = []
    for shift in (0.0, 1e-5):  # of what lies below the threshold, so that runs hardly change
        shifted = np.where(tracks == 0, np.float32(shift), tracks).astype(np.float32)
        session = passing(suppression="none", adapt=False).session(stream="s")
        events = session.push(shifted) + session.flush()
        said.append(
            sorted((e.label, int(40 * e.start + 0.3), int(40 * e.end + 0.3), e.emitted_at, e.score) for e in events)
        )
    assert [one[:4] for one in said[0]] == [one[:4] for one in said[1]]
    for a, b in zip(*said, strict=True):
        assert abs(a[4] - b[4]) < 1e-3


def test_surroundings_of_an_action_that_ends_half_way_count():
    tracks = np.zeros((60, 4), np.float32)
    tracks[20:30, [0, 3]] = 0.5  # 0.25 is crossed exactly half-way, on both sides
    session = passing().session(stream="s")
    (event,) = session.push(tracks) + session.flush()
    assert (event.start, event.end) == (2.0, 3.0)
    assert event.emitted_at >= 3.0 + 0.5  # only then are the surroundings known


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 200), st.lists(st.integers(0, 40), max_size=20))
def test_chunking_does_not_matter_where_tracks_cross_half_way(seed, length, sizes):
    tracks, at, said = half_way(seed, length), 0, []
    session = passing().session(stream="s")
    for size in sizes:
        said += session.push(tracks[at : at + size])
        at = min(at + size, length)
    said += session.push(tracks[at:])
    same(said + session.flush(), passing().localize(tracks, stream="s"))


@pytest.mark.parametrize("bad", [1e11, -1e11, 1.7e12, 1e300, np.float64(1e12)])
def test_times_beyond_the_media_clock_are_refused(bad):
    localizer, rows = fakes.localizer(), fakes.recording(1, 20)
    session = localizer.session()
    session.push(rows)
    before = session.snapshot()
    pool = localizer.pool()
    pool.put("cam", rows)
    for call in (
        lambda: localizer.session(start_s=bad),
        lambda: localizer.localize(rows, start_s=bad),
        lambda: session.push(rows, at=bad),
        lambda: session.gap(bad),
        lambda: session.reset(start_s=bad),
        lambda: Features(rows, 0.1, start_s=bad),
        lambda: pool.open("b", start_s=bad),
        lambda: pool.put("b", rows, at=bad),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert error.value.code in ("time-out-of-range", "time-backwards")
    assert session.snapshot() == before
    assert not pool.put("cam", rows, at=abs(bad))
    assert pool.stats()["cam"].ended == "time-out-of-range"


def test_times_of_centuries_are_exact():
    features = fakes.recording(5, 300)
    near = fakes.localizer().localize(features)
    for start in (1e10, -1e10, 1.7e9):
        far = fakes.localizer().localize(features, start_s=start)
        assert len(far) == len(near) > 10
        assert max(abs(b.start - start - a.start) for a, b in zip(near, far, strict=True)) < 1e-5


def test_ids_carry_the_run_and_differ_after_a_restart():
    localizer, features, live = fakes.localizer(), fakes.recording(5, 300), LiveOptions(max_delay_s=0.5)

    def run(session):
        return [e.id for e in session.push(features) + session.flush()]

    plain = run(localizer.session(stream="s", live=live))
    assert plain == run(localizer.session(stream="s", live=live))
    first, second = (run(localizer.session(stream="s", live=live, run_id=new_run_id())) for _ in range(2))
    assert not set(first) & set(second)
    assert [i.split("/", 2)[2] for i in first] == [i.split("/", 1)[1] for i in plain]
    session = localizer.session(stream="s", live=live, run_id="night.1")
    half = session.push(features[:150])
    restored = localizer.restore(session.snapshot())
    rest = restored.push(features[150:]) + restored.flush()
    ids = [e.id for e in half + rest]
    assert ids == run(localizer.session(stream="s", live=live, run_id="night.1"))
    assert all(i.startswith("s/night.1/") for i in ids)
    restored.reset()
    again = localizer.restore(restored.snapshot())
    assert all(i.startswith("s/night.1.1/") for i in run(again))
    for bad in ("a/b", "ä", " ", "x" * 65, "a\n", 7):
        with pytest.raises(InputError) as error:
            localizer.session(run_id=bad)
        assert error.value.code == "run-id"


def test_both_ways_to_a_localizer_make_the_same_plan():
    from importlib import resources

    from punctum.runtime import Bundle, Localizer

    pytest.importorskip("onnxruntime", reason="opening a bundle needs onnxruntime")
    with resources.as_file(resources.files("punctum.runtime") / "assets" / "default") as folder:
        bundle = Bundle.load(folder)
    opened, m = Localizer(bundle), bundle.manifest
    assert m.backbone is not None
    made = Localizer.from_parts(
        opened.backend,
        labels=m.labels,
        dim=m.features.dim,
        stride_s=m.features.stride_s,
        post=m.post,
        receptive_field=(m.locator.left, m.locator.right),
        bundle_id=m.id,
        overhang_s=m.backbone.overhang_s,
        calibration=m.calibration,
    )
    assert made.plan == opened.plan
    plan = fakes.localizer().plan
    parts = {"labels": plan.labels, "dim": plan.dim, "stride_s": plan.stride_s, "post": plan.post}
    ahead = Localizer.from_parts(opened.backend, **parts, receptive_field=(3, 2), overhang_s=0.25)
    assert ahead.look_ahead_s == fakes.localizer().look_ahead_s + 0.25


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


def test_a_push_that_only_buffers_saves_nothing(monkeypatch):
    """Between two advances of the session nothing can fail that would have to be undone."""
    from punctum.runtime.session.section import Section

    marks = []
    real = Section.mark
    monkeypatch.setattr(Section, "mark", lambda section: marks.append(section) or real(section))
    session, rows = fakes.localizer().session(stream="s"), fakes.recording(1, 100)
    for row in rows:
        session.push(row[None])
    assert len(marks) == 1 + 100 // session.hop  # the first, which fixes where the stream begins, and the advances


LOST = [[(100, 1)], [(-1, 1)], [(10**9, 1)], [(0, -1)], [(0, 2**60)], [(0, 1.5)], [("a", 1)], [(0,)], [5]]


@pytest.mark.parametrize("lost", LOST, ids=str)
def test_lost_frames_outside_the_chunk_are_refused(lost):
    """A row that never comes would be kept for ever, and a count without a bound makes a snapshot unreadable."""
    session, rows = fakes.localizer().session(stream="s"), fakes.recording(1, 200)
    with pytest.raises(InputError) as error:
        session.push(rows[:100], lost=lost)
    assert error.value.code == "lost"
    wanted = fakes.localizer().session(stream="s")
    same(session.push(rows, lost=[(3, 2)]) + session.flush(), wanted.push(rows, lost=[(3, 2)]) + wanted.flush())


@pytest.mark.parametrize("at", ["x", [1.0], b"\xff", None.__class__, {}], ids=str)
def test_a_time_that_is_no_number_is_refused(at):
    session = fakes.localizer().session(stream="s")
    with pytest.raises(InputError, match="finite media time"):
        session.push(fakes.recording(1, 5), at=at)

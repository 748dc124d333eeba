"""Every kernel against its NumPy twin, on random input of every awkward kind."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from punctum import kernels
from punctum.kernels import reference

pytestmark = pytest.mark.usefixtures("kernel_form")

GRID = st.integers(-8, 40).map(lambda k: k / 4)


@st.composite
def scored(draw, most=30):
    """Segments on a coarse grid (many touch or coincide, some have no length), and scores with ties and zeros."""
    count = draw(st.integers(0, most))
    a = np.array(draw(st.lists(GRID, min_size=count, max_size=count)), float)
    length = np.array(draw(st.lists(st.sampled_from([0, 0.25, 1, 2.5, 7]), min_size=count, max_size=count)), float)
    scores = np.array(
        draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), min_size=count, max_size=count)), float
    )
    return np.stack([a, a + length], 1).reshape(-1, 2), scores


TRACK = hnp.arrays(np.float32, st.integers(1, 25), elements=st.integers(0, 20).map(lambda k: k / 20))


@given(scored(), scored(), st.sampled_from([0.0, 1.0]))
def test_iou(a, b, offset):
    got = kernels.segment_iou(a[0], b[0], length_offset=offset)
    np.testing.assert_allclose(got, reference.segment_iou(a[0], b[0], length_offset=offset), atol=1e-12)


@given(scored(), st.sampled_from([0.1, 0.5, 0.7, 1.0]), st.sampled_from([0.0, 1.0]))
def test_nms(case, threshold, offset):
    got = kernels.nms(*case, iou_threshold=threshold, length_offset=offset)
    np.testing.assert_array_equal(got, reference.nms(*case, iou_threshold=threshold, length_offset=offset))


@given(scored(), st.sampled_from([0.1, 0.3, 0.9]), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.2]))
def test_soft_nms(case, sigma, offset, floor):
    index, value = kernels.soft_nms(*case, sigma=sigma, min_score=floor, length_offset=offset)
    expected = reference.soft_nms(*case, sigma=sigma, min_score=floor, length_offset=offset)
    np.testing.assert_allclose(value, expected[1], rtol=1e-9, atol=1e-15)
    assert (np.diff(value) <= 1e-15).all()
    assert len(set(index)) == len(index)


@given(scored(), st.sampled_from([0.1, 0.4, 0.7]))
def test_adapt_boundaries(case, threshold):
    got = kernels.adapt_boundaries(*case, iou_threshold=threshold)
    np.testing.assert_allclose(got, reference.adapt_boundaries(*case, iou_threshold=threshold), atol=1e-9)
    if len(got):  # a weighted mean of segments stays within them
        assert got[:, 0].min() >= case[0][:, 0].min() - 1e-9
        assert got[:, 1].max() <= case[0][:, 1].max() + 1e-9
        assert (got[:, 1] >= got[:, 0] - 1e-9).all()


SETTINGS = {"sigma": 0.3, "min_score": 0.0, "length_offset": 0.0, "adapt_iou": 0.4}


def by_class(segments, scores, *, adapt_iou, **settings):
    """`settle_classes` by the kernels of single classes."""
    parts = []
    for own in scores.T:
        moved = segments if adapt_iou is None else kernels.adapt_boundaries(segments, own, iou_threshold=adapt_iou)
        index, value = kernels.soft_nms(moved, own, **settings)
        parts.append((moved[index], value, index))
    ends = np.cumsum([0, *(len(part[1]) for part in parts)])
    return (*(np.concatenate(column) for column in zip(*parts, strict=True)), ends)


@given(
    scored(),
    st.integers(0, 1 << 30),
    st.sampled_from([None, 0.0, 0.4, 0.7]),
    st.sampled_from([0.01, 0.3]),
    st.sampled_from([0.0, 0.2, 0.95, -1.0]),
    st.sampled_from([0.0, 1.0, -0.25]),
)
def test_classes_are_the_single_calls(case, seed, adapt_iou, sigma, floor, offset):
    segments = case[0]
    scores = np.round(np.random.default_rng(seed).random((len(segments), 3)) ** 3, 1)
    settings = {"adapt_iou": adapt_iou, "sigma": sigma, "min_score": floor, "length_offset": offset}
    got = kernels.settle_classes(segments, scores, **settings)
    for mine, wanted in zip(got, by_class(segments, scores, **settings), strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_classes_against_the_twin():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 200, 300)
    segments, scores = np.stack([start, start + rng.lognormal(1, 0.6, 300)], 1), rng.random((300, 4))
    for floor in (0.0, 0.3):
        got = kernels.settle_classes(segments, scores, min_score=floor)
        expected = reference.settle_classes(segments, scores, min_score=floor)
        np.testing.assert_array_equal(got[2], expected[2])
        np.testing.assert_array_equal(got[3], expected[3])
        np.testing.assert_allclose(got[0], expected[0], atol=1e-9)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-9)


@pytest.mark.parametrize(
    "case", ["negative scores", "too many pairs", "one start", "far from 0", "no class", "nothing"]
)
def test_classes_in_special_cases(case, monkeypatch):
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 40, 120)
    segments, scores = np.stack([start, start + rng.lognormal(1, 1, 120)], 1), rng.random((120, 3))
    if case == "negative scores":
        scores -= 0.3
    elif case == "too many pairs":
        monkeypatch.setattr("punctum.kernels._classes.MOST_PAIRS", 10)
    elif case == "one start":
        segments[:, 0] = 0.0
    elif case == "far from 0":
        segments += 1e9
    elif case == "no class":
        scores = scores[:, :0]
    else:
        segments, scores = segments[:0], scores[:0]
    settings = SETTINGS | {"min_score": -1.0 if case == "negative scores" else 0.0}
    got = kernels.settle_classes(segments, scores, **settings)
    if scores.size:
        for mine, wanted in zip(got, by_class(segments, scores, **settings), strict=True):
            np.testing.assert_array_equal(mine, wanted)
    else:
        assert [part.shape for part in got] == [(0, 2), (0,), (0,), (scores.shape[1] + 1,)]
        assert not got[3].any()


@given(st.lists(scored(most=12), max_size=5))
def test_groups_are_the_single_calls(cases):
    offsets = np.cumsum([0, *(len(s) for _, s in cases)])
    segments = np.concatenate([np.zeros((0, 2)), *(c[0] for c in cases)])
    scores = np.concatenate([np.zeros(0), *(c[1] for c in cases)])
    adapted = kernels.adapt_groups(segments, scores, offsets)
    index, value, ends = kernels.suppress_groups(segments, scores, offsets)
    for g, case in enumerate(cases):
        np.testing.assert_array_equal(adapted[offsets[g] : offsets[g + 1]], kernels.adapt_boundaries(*case))
        alone = kernels.soft_nms(*case)
        np.testing.assert_array_equal(index[ends[g] : ends[g + 1]] - offsets[g], alone[0])
        np.testing.assert_array_equal(value[ends[g] : ends[g + 1]], alone[1])


@given(TRACK, st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.95]), unique=True, min_size=1))
def test_find_runs(track, thresholds):
    segments, which = kernels.find_runs(track, thresholds)
    expected, levels = reference.find_runs(track, thresholds)
    np.testing.assert_allclose(segments, expected, atol=1e-6)
    np.testing.assert_array_equal(which, levels)
    assert (segments[:, 0] >= -0.5).all() and (segments[:, 1] <= len(track) - 0.5).all()


@given(TRACK, scored(most=8), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([np.inf, 0.4]))
def test_contrast_and_mean(track, case, margin, cap):
    segments = case[0]
    got = kernels.outer_inner_contrast(track, segments, margin=margin, max_margin=cap)
    expected = reference.outer_inner_contrast(track, segments, margin=margin, max_margin=cap)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    mean = kernels.segment_mean(track, segments)
    np.testing.assert_allclose(mean, reference.segment_mean(track, segments), atol=1e-6)
    assert (mean >= track.min() - 1e-6).all() and (mean <= track.max() + 1e-6).all()


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(-9, 9)),
    scored(most=6),
    st.sampled_from([6, 12]),
    st.sampled_from([np.inf, 0.5]),
)
def test_pooling(features, case, bins, cap):
    got = kernels.pool_segments(features, case[0], bins=bins, max_context=cap)
    expected = reference.pool_segments(features, case[0], bins=bins, max_context=cap)
    np.testing.assert_allclose(got, expected, atol=2e-4)  # float32, bins as narrow as 0.01


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=4), st.integers(0, 99))
def test_pooling_of_windows(sizes, seed):
    rng = np.random.default_rng(seed)
    ends, offsets = (np.cumsum([0, *part]) for part in zip(*sizes, strict=True))
    rows = rng.integers(-9, 9, (ends[-1], 2)).astype(np.float32)
    segments = np.sort(np.round(rng.uniform(-3, 12, (offsets[-1], 2)), 1), 1)
    got = kernels.pool_windows(rows, ends, segments, offsets, max_context=2)
    np.testing.assert_allclose(got, reference.pool_windows(rows, ends, segments, offsets, max_context=2), atol=2e-4)
    for (a, b), (c, d) in zip(pairwise(ends), pairwise(offsets), strict=True):
        alone = kernels.pool_segments(rows[a:b], segments[c:d], max_context=2)
        np.testing.assert_array_equal(got[c:d], alone)


@settings(max_examples=30)
@given(scored(), scored(most=10), st.data())
def test_average_precision(detections, truth, data):
    pick = lambda n, k: np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)), int)  # noqa: E731
    n, g = len(detections[1]), len(truth[1])
    arguments = (pick(g, 2), pick(g, 3), truth[0], pick(n, 2), pick(n, 3), *detections, [0.1, 0.5, 1.0])
    got = kernels.average_precision(*arguments, videos=2, classes=3)
    expected = reference.average_precision(*arguments, videos=2, classes=3)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_a_time_shift_changes_nothing_but_time():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 100, 200)
    segments = np.stack([start, start + rng.uniform(0.5, 9, 200)], 1)
    scores = rng.random(200)
    far = 1e6  # eleven days of seconds
    np.testing.assert_array_equal(kernels.soft_nms(segments, scores)[0], kernels.soft_nms(segments + far, scores)[0])
    np.testing.assert_allclose(
        kernels.adapt_boundaries(segments + far, scores) - far, kernels.adapt_boundaries(segments, scores), atol=1e-8
    )


def test_negative_scores_sink_last():
    index, value = kernels.soft_nms([[0, 2], [0, 2], [5, 6]], [-0.5, 0.9, -0.1], min_score=-np.inf)
    assert list(index) == [1, 0, 2] or value[1] >= value[2]
    assert (np.diff(value) <= 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.nms([[2, 1]], [1.0], iou_threshold=0.5), "before it starts"),
        (lambda: kernels.nms([[0, 1]], [1.0, 2.0], iou_threshold=0.5), "one per segment"),
        (lambda: kernels.soft_nms([[0, np.nan]], [1.0]), "NaN"),
        (lambda: kernels.soft_nms([[0, 1]], [1.0], sigma=0), "sigma"),
        (lambda: kernels.settle_classes([[0, 1]], [1.0]), r"scores has shape \(1,\)"),
        (lambda: kernels.settle_classes([[0, 1]], [[1.0], [0.5]]), r"\[1, C\]"),
        (lambda: kernels.settle_classes([[0, 1]], [[np.nan]]), "NaN"),
        (lambda: kernels.settle_classes([[0, 1]], [[1.0]], sigma=0), "sigma"),
        (lambda: kernels.find_runs([[["a"]]], [0.5]), "numeric"),
        (lambda: kernels.pool_segments(np.zeros((3, 2)), [[0, 1]], bins=7), "multiple of 6"),
        (lambda: kernels.pool_windows(np.zeros((3, 2)), [0, 2], [[0, 1]], [0, 1]), "partition"),
        (lambda: kernels.pool_windows(np.zeros((3, 2)), [0, 3], [[0, 1]], [0, 1, 1]), "in both"),
        (lambda: kernels.segment_iou([[0, 1, 2]], [[0, 1]]), "start, end"),
        (lambda: kernels.fuse_confidence(np.ones((2, 3)), [1.0], [1.0, 1.0]), "one per proposal"),
        (lambda: kernels.adapt_groups([[0, 1]], [1.0], [0, 2]), "partition"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(kernels.KernelInputError, match=message):
        call()


def test_empty_input_gives_empty_output():
    none = np.zeros((0, 2))
    assert len(kernels.nms(none, [], iou_threshold=0.5)) == 0
    assert len(kernels.soft_nms(none, [])[0]) == 0
    assert kernels.adapt_boundaries(none, []).shape == (0, 2)
    assert kernels.pool_segments(np.zeros((4, 3)), none).shape == (0, 12, 3)
    assert kernels.find_runs([], [0.5])[0].shape == (0, 2)


@st.composite
def islands_of_tracks(draw):
    """Tracks with actionness, and islands in windows of them, some cut by their bounds."""
    length, classes = draw(st.integers(1, 30)), draw(st.integers(1, 3))
    values = hnp.arrays(np.float32, (length, classes + 1), elements=st.integers(0, 20).map(lambda k: k / 20))
    islands, bounds = [], []
    for _ in range(draw(st.integers(0, 5))):
        low = draw(st.integers(0, length - 1))
        high = draw(st.integers(low + 1, length))
        start = draw(st.sampled_from([-0.5, 0.25, 2.0]))
        islands.append((draw(st.integers(0, classes - 1)), low, high))
        bounds.append((start, start + draw(st.sampled_from([0.0, 1.5, 40.0]))))
    return draw(values), islands, bounds


@given(
    islands_of_tracks(),
    st.sampled_from([(0.05,), (0.1, 0.3, 0.5, 0.9)]),
    st.sampled_from([(), (0.2, 0.6)]),
    st.sampled_from([1, 3, 500]),
)
def test_proposals_of_islands_are_those_of_the_single_calls(case, levels, actions, most):
    tracks, islands, bounds = case
    settings = {"thresholds": levels, "action_thresholds": actions, "margin": 0.25, "max_margin": 3.0, "most": most}
    got = kernels.propose_islands(tracks, islands, bounds, **settings)
    assert len(got.offsets) == len(islands) + 1
    for g, ((label, low, high), cut) in enumerate(zip(islands, bounds, strict=True)):
        column, action = tracks[low:high, label], tracks[low:high, -1]
        runs = [kernels.find_runs(column, levels)[0], *([kernels.find_runs(action, actions)[0]] if actions else [])]
        segments = np.clip(np.concatenate(runs), *cut)
        segments = segments[segments[:, 1] - segments[:, 0] > 1e-6]
        contrast = kernels.outer_inner_contrast(column, segments, margin=0.25, max_margin=3.0)
        twin = reference.outer_inner_contrast(column, segments, margin=0.25, max_margin=3.0)
        np.testing.assert_allclose(contrast, twin, atol=1e-9)
        best = np.sort(np.argsort(-contrast, kind="stable")[:most])
        own = slice(got.offsets[g], got.offsets[g + 1])
        np.testing.assert_array_equal(got.segments[own], segments[best])
        np.testing.assert_array_equal(got.contrast[own], contrast[best])
        np.testing.assert_array_equal(got.inner[own], kernels.segment_mean(column, segments)[best])


@pytest.mark.parametrize("island", [(2, 0, 3), (-1, 0, 3), (0, -1, 3), (0, 0, 5), (0, 2, 2)])
def test_islands_outside_the_tracks_are_refused(island):
    with pytest.raises(kernels.KernelInputError, match="island"):
        kernels.propose_islands(np.zeros((4, 2), np.float32), [island], [(0.0, 1.0)], thresholds=[0.5])
    with pytest.raises(kernels.KernelInputError, match="float32"):
        kernels.propose_islands(np.zeros((4, 2)), [(0, 0, 3)], [(0.0, 1.0)], thresholds=[0.5])


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=st.integers(0, 20).map(lambda k: k / 20)
    ),
    st.sampled_from([0.05, 0.5]),
    st.sampled_from([2, 3, 7, 100]),
    st.lists(st.integers(0, 9), max_size=8),
    st.booleans(),
)
def test_islands_of_growing_tracks(tracks, threshold, longest, sizes, final):
    """In any parts, of which the kernel keeps no more than it needs."""
    classes = tracks.shape[1]
    islands, found, known = kernels.OpenIslands.none(classes), [[] for _ in range(classes)], 0
    for size in [*sizes, len(tracks)]:
        stop = min(known + size, len(tracks))
        oldest = min([known - 1, *(k for k in islands.snippet.tolist() if k >= 0)])
        base, ends = max(oldest, 0), final and stop == len(tracks) and size == len(tracks)
        got = kernels.find_islands(
            tracks[base:stop].copy(), islands, base=base, first=known, threshold=threshold, longest=longest, final=ends
        )
        for (c, start, near_edge, end, far_edge, closed), (near, far) in zip(*got, strict=True):
            found[c].append(((start, near, bool(near_edge)), (end, far, bool(far_edge)), closed))
        known = stop
    for c in range(classes):
        assert found[c] == reference.find_islands(tracks[:, c], threshold, longest, final=final)


def test_many_islands_at_once():
    """More than there is room for at first: the call is repeated, from the state before it."""
    tracks = np.tile(np.array([[0.0, 1.0], [1.0, 0.0]], np.float32), (3000, 1))
    got = kernels.find_islands(
        tracks, kernels.OpenIslands.none(2), base=0, first=0, threshold=0.5, longest=9, final=True
    )
    assert len(got.places) == len(reference.find_islands(tracks[:, 0], 0.5, 9, final=True)) + 3000


def test_tracks_that_do_not_reach_back_are_refused():
    islands = kernels.OpenIslands.none(1)
    islands.snippet[0] = 3
    tracks = np.ones((4, 1), np.float32)
    settings = {"threshold": 0.5, "longest": 9}
    with pytest.raises(kernels.KernelInputError, match="reach back"):
        kernels.find_islands(tracks, islands, base=4, first=6, **settings)
    with pytest.raises(kernels.KernelInputError, match="reach back"):
        kernels.find_islands(tracks, kernels.OpenIslands.none(1), base=4, first=4, **settings)
    with pytest.raises(kernels.KernelInputError, match="float32"):
        kernels.find_islands(np.ones((4, 1)), islands, base=0, first=0, **settings)


@given(st.lists(scored(most=12), max_size=5), st.sampled_from([None, 0.4]), st.sampled_from([0.0, 0.2]))
def test_settling_is_adaptation_and_suppression(cases, adapt_iou, floor):
    offsets = np.cumsum([0, *(len(s) for _, s in cases)])
    segments = np.concatenate([np.zeros((0, 2)), *(c[0] for c in cases)])
    scores = np.concatenate([np.zeros(0), *(c[1] for c in cases)])
    got = kernels.settle_islands(segments, scores, offsets, adapt_iou=adapt_iou, sigma=0.3, min_score=floor)
    moved = segments if adapt_iou is None else kernels.adapt_groups(segments, scores, offsets, iou_threshold=adapt_iou)
    kept, value, ends = kernels.suppress_groups(moved, scores, offsets, sigma=0.3, min_score=floor)
    for a, b in zip(got, (moved[kept], value, ends), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wrong", ["segments", "scores", "offsets", "partition"])
def test_settling_refuses_other_arrays(wrong):
    arrays = {"segments": np.zeros((2, 2)), "scores": np.zeros(2), "offsets": np.array([0, 2])}
    if wrong == "scores":
        arrays["scores"] = np.array([0.5, np.nan])
    elif wrong == "partition":
        arrays["offsets"] = np.array([0, 3])
    else:
        arrays[wrong] = arrays[wrong].astype(np.float32)
    with pytest.raises(kernels.KernelInputError):
        kernels.settle_islands(**arrays, adapt_iou=0.4, sigma=0.3, min_score=0.0)

"""The kernels of libpunctum: against the NumPy twins, and to the last bit against the compiled Python kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from punctum import kernels
from punctum.kernels import reference

from tests.native.native_kernels import Kernels

pytestmark = pytest.mark.filterwarnings("error")
MANY = settings(max_examples=60, suppress_health_check=list(HealthCheck))
GRID = st.integers(-8, 40).map(lambda k: k / 4)
TRACKS = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 20), st.integers(1, 3)), elements=st.integers(0, 20).map(lambda k: k / 20)
)


@pytest.fixture(scope="module")
def native(library):
    return Kernels(library)


@st.composite
def scored(draw, most=30):
    """Segments on a coarse grid (many touch or coincide, some have no length), and scores with ties and zeros."""
    count = draw(st.integers(0, most))
    a = np.array(draw(st.lists(GRID, min_size=count, max_size=count)), float)
    length = np.array(draw(st.lists(st.sampled_from([0, 0.25, 1, 2.5, 7]), min_size=count, max_size=count)), float)
    values = st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), st.integers(0, 997).map(lambda k: k / 997))
    scores = np.array(draw(st.lists(values, min_size=count, max_size=count)), float)
    return np.stack([a, a + length], 1).reshape(-1, 2), scores


@MANY
@given(scored(), scored(), st.sampled_from([0.0, 1.0]))
def test_iou(native, a, b, offset):
    got = native.segment_iou(a[0], b[0], length_offset=offset)
    np.testing.assert_allclose(got, reference.segment_iou(a[0], b[0], length_offset=offset), atol=1e-12)
    np.testing.assert_array_equal(got, kernels.segment_iou(a[0], b[0], length_offset=offset))


@MANY
@given(scored(), st.sampled_from([0.1, 0.5, 0.7, 1.0]), st.sampled_from([0.0, 1.0]))
def test_nms(native, case, threshold, offset):
    got = native.nms(*case, iou_threshold=threshold, length_offset=offset)
    np.testing.assert_array_equal(got, reference.nms(*case, iou_threshold=threshold, length_offset=offset))


@MANY
@given(scored(), st.sampled_from([0.1, 0.3, 0.9]), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.2]))
def test_soft_nms(native, case, sigma, offset, floor):
    options = {"sigma": sigma, "min_score": floor, "length_offset": offset}
    index, value = native.soft_nms(*case, **options)
    np.testing.assert_allclose(value, reference.soft_nms(*case, **options)[1], rtol=1e-9, atol=1e-15)
    same_index, same_value = kernels.soft_nms(*case, **options)
    np.testing.assert_array_equal(index, same_index)
    np.testing.assert_array_equal(value, same_value)


@MANY
@given(scored(), st.sampled_from([0.1, 0.4, 0.7]))
def test_adapt_boundaries(native, case, threshold):
    got = native.adapt_boundaries(*case, iou_threshold=threshold)
    np.testing.assert_allclose(got, reference.adapt_boundaries(*case, iou_threshold=threshold), atol=1e-9)
    np.testing.assert_array_equal(got, kernels.adapt_boundaries(*case, iou_threshold=threshold))


@MANY
@given(st.lists(scored(most=12), max_size=5))
def test_groups(native, cases):
    offsets = np.cumsum([0, *(len(s) for _, s in cases)])
    segments = np.concatenate([np.zeros((0, 2)), *(c[0] for c in cases)])
    scores = np.concatenate([np.zeros(0), *(c[1] for c in cases)])
    adapted = native.adapt_groups(segments, scores, offsets, iou_threshold=0.4)
    np.testing.assert_array_equal(adapted, kernels.adapt_groups(segments, scores, offsets, iou_threshold=0.4))
    for got, same in zip(
        native.suppress_groups(segments, scores, offsets, sigma=0.3, min_score=0.01),
        kernels.suppress_groups(segments, scores, offsets, sigma=0.3, min_score=0.01),
        strict=True,
    ):
        np.testing.assert_array_equal(got, same)


def test_many_segments(native):
    """Blocks and clusters of soft-NMS, which small cases never fill."""
    rng = np.random.default_rng(3)
    start = rng.uniform(0, 300, 4000)
    segments, scores = np.stack([start, start + rng.exponential(3, 4000)], 1), rng.uniform(0, 1, 4000)
    for got, same in zip(native.soft_nms(segments, scores), kernels.soft_nms(segments, scores), strict=True):
        np.testing.assert_array_equal(got, same)
    np.testing.assert_array_equal(
        native.adapt_boundaries(segments, scores), kernels.adapt_boundaries(segments, scores, iou_threshold=0.4)
    )


@MANY
@given(TRACKS, st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.95]), unique=True, min_size=1).map(sorted))
def test_find_runs(native, tracks, thresholds):
    segments, column, level = native.find_runs_many(tracks, thresholds)
    for c in range(tracks.shape[1]):
        expected, which = reference.find_runs(tracks[:, c], thresholds)
        np.testing.assert_allclose(segments[column == c], expected, atol=1e-6)
        np.testing.assert_array_equal(level[column == c], which)
    for got, same in zip((segments, column, level), kernels.find_runs_many(tracks, thresholds), strict=True):
        np.testing.assert_allclose(got, same, atol=1e-12)


@MANY
@given(TRACKS, scored(most=8), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([np.inf, 0.4]))
def test_contrast_and_mean(native, tracks, case, margin, cap):
    labels = np.arange(len(case[1])) % tracks.shape[1]
    contrast, mean = native.contrast_and_mean(tracks, case[0], margin=margin, max_margin=cap, labels=labels)
    options = {"margin": margin, "max_margin": cap, "labels": labels}
    np.testing.assert_allclose(contrast, reference.outer_inner_contrast(tracks, case[0], **options), atol=1e-6)
    np.testing.assert_allclose(mean, reference.segment_mean(tracks, case[0], labels=labels), atol=1e-6)
    wide = tracks.astype(np.float64)
    np.testing.assert_allclose(contrast, kernels.outer_inner_contrast(wide, case[0], **options), atol=1e-12)


@MANY
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(-9, 9)),
    scored(most=6),
    st.sampled_from([6, 12]),
    st.sampled_from([np.inf, 0.5]),
)
def test_pooling(native, features, case, bins, cap):
    got = native.pool_segments(features, case[0], bins=bins, max_context=cap)
    expected = reference.pool_segments(features, case[0], bins=bins, max_context=cap)
    np.testing.assert_allclose(got, expected, atol=2e-4)  # float32, bins as narrow as 0.01
    np.testing.assert_allclose(got, kernels.pool_segments(features, case[0], bins=bins, max_context=cap), atol=1e-5)


@MANY
@given(st.integers(0, 12), st.integers(1, 4), st.integers(0, 99))
def test_fuse_confidence(native, count, classes, seed):
    rng = np.random.default_rng(seed)
    parts = rng.random((count, classes)), rng.random(count), rng.random(count)
    np.testing.assert_allclose(native.fuse_confidence(*parts), reference.fuse_confidence(*parts), rtol=1e-14)

"""Suppression where clusters hold many blocks, and the sort under it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum import kernels
from punctum.kernels import reference
from punctum.kernels._order import argsort_stable
from punctum.kernels._soft import BLOCK, block_size

pytestmark = pytest.mark.usefixtures("kernel_form")

VALUES = st.one_of(
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e300]),
    st.floats(0.5, 0.5 + 1e-12),  # differ in their last bits only
)


@given(st.lists(VALUES, max_size=80), st.integers(1, 20))
def test_the_sort_is_stable_both_ways(values, repeat):
    values = np.tile(np.array(values, float), repeat)
    np.testing.assert_array_equal(argsort_stable(values, False), np.argsort(values, kind="stable"))
    np.testing.assert_array_equal(argsort_stable(values, True), np.argsort(-values, kind="stable"))


@pytest.mark.parametrize("count", [31, 33, 511, 513, 3000])
def test_the_sort_with_an_outlier_among_near_equals(count):
    """All but one fall into one bucket, which is more than the fix-up of last bits is for."""
    values = 1.0 + 1e-12 * np.random.default_rng(0).random(count)
    values[3] = 1e300
    np.testing.assert_array_equal(argsort_stable(values, False), np.argsort(values, kind="stable"))


def crowd(count, span, seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, span, count)
    return np.stack([start, start + rng.lognormal(0.5, 0.8, count)], 1), rng.random(count) ** 2


@pytest.mark.parametrize(("count", "span"), [(70, 1), (400, 5), (400, 60), (400, 2000), (1500, 40)])
@pytest.mark.parametrize(("sigma", "floor", "offset"), [(0.3, 0.0, 0.0), (0.3, 0.02, 1.0), (0.01, 0.0, 0.0)])
def test_soft_nms_of_many(count, span, sigma, floor, offset):
    case = crowd(count, span, seed=count + span)
    index, value = kernels.soft_nms(*case, sigma=sigma, min_score=floor, length_offset=offset)
    expected = reference.soft_nms(*case, sigma=sigma, min_score=floor, length_offset=offset)
    np.testing.assert_allclose(value, expected[1], rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(index, expected[0])


def test_soft_nms_where_blocks_grow():
    count = BLOCK * BLOCK + 900
    assert block_size(count) > BLOCK
    case = crowd(count, 400, seed=1)
    index, value = kernels.soft_nms(*case, min_score=0.3)
    expected = reference.soft_nms(*case, min_score=0.3)
    np.testing.assert_array_equal(index, expected[0])
    np.testing.assert_allclose(value, expected[1], rtol=1e-12)


def test_equal_scores_go_to_the_earlier_over_blocks_and_clusters():
    start = np.random.default_rng(0).permutation(np.arange(300) * 0.5)
    segments = np.stack([start, start + 0.5], 1)  # they touch, which is no overlap
    segments[::7, 1] += 3.0
    segments[::50] += 1000.0
    apart = np.stack([start, start + 0.25], 1)
    assert kernels.soft_nms(apart, np.full(300, 0.5))[0].tolist() == list(range(300))
    np.testing.assert_array_equal(
        kernels.soft_nms(segments, np.full(300, 0.5))[0], reference.soft_nms(segments, np.full(300, 0.5))[0]
    )


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.4, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("span", [5, 60, 2000])
def test_adapt_boundaries_of_many(span, threshold):
    case = crowd(400, span, seed=span)
    np.testing.assert_allclose(
        kernels.adapt_boundaries(*case, iou_threshold=threshold),
        reference.adapt_boundaries(*case, iou_threshold=threshold),
        atol=1e-9,
    )


def test_negative_scores_below_the_floor_do_not_count():
    segments = [[0, 2], [0.5, 2], [0, 2]]
    index, value = kernels.soft_nms(segments, [0.4, -0.5, 0.9])
    assert index.tolist() == [2, 0]
    assert value[1] == pytest.approx(0.4 * np.exp(-1 / 0.3), rel=1e-12)
    lifted, rising = kernels.soft_nms(segments, [0.4, -0.5, 0.9], min_score=-1.0)
    expected = reference.soft_nms(segments, [0.4, -0.5, 0.9], min_score=-1.0)
    assert lifted.tolist() == expected[0].tolist()
    np.testing.assert_allclose(rising, expected[1], rtol=1e-12)

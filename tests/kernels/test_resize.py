"""Area resampling against its twin, and what must hold for any image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from punctum import kernels
from punctum.kernels import KernelInputError, reference

pytestmark = pytest.mark.usefixtures("kernel_form")

SIZE = st.integers(1, 40)


@st.composite
def cases(draw):
    """An image, a size, and a window of it (None: all) that may be a sliver of one pixel."""
    rows, columns = draw(SIZE), draw(SIZE)
    image = draw(hnp.arrays(np.uint8, (rows, columns, draw(st.sampled_from([1, 3])))))
    crop = None
    if draw(st.booleans()):
        unit = st.floats(0, 1, width=32)
        top, left = draw(unit) * (rows - 0.125), draw(unit) * (columns - 0.125)
        crop = (top, left, 0.125 + draw(unit) * (rows - 0.125 - top), 0.125 + draw(unit) * (columns - 0.125 - left))
    return image, draw(SIZE), draw(SIZE), crop


@settings(max_examples=300)
@given(cases())
def test_twin(case):
    image, height, width, crop = case
    got = kernels.resize_area(image, height, width, crop=crop)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, reference.resize_area(image, height, width, crop=crop), atol=1e-4)


@given(hnp.arrays(np.uint8, st.tuples(SIZE, SIZE, st.just(3))))
def test_mean_and_identity(image):
    np.testing.assert_allclose(kernels.resize_area(image, 1, 1)[0, 0], image.mean(axis=(0, 1)), atol=1e-4)
    np.testing.assert_allclose(kernels.resize_area(image, *image.shape[:2]), image, atol=1e-4)
    shrunk = kernels.resize_area(image, 5, 7)
    np.testing.assert_allclose(
        shrunk.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=1e-3
    )  # nothing lost, nothing twice


def test_large_frames_views_and_reuse():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (1080, 1920, 3), np.uint8)
    crop = (0.0, 420.0, 1080.0, 1080.0)
    expected = reference.resize_area(frame, 96, 96, crop=crop)
    out = np.full((96, 96, 3), np.nan, np.float32)
    assert kernels.resize_area(frame, 96, 96, crop=crop, out=out) is out
    np.testing.assert_allclose(out, expected, atol=1e-4)
    turned = frame.transpose(1, 0, 2)[::-1]
    np.testing.assert_allclose(kernels.resize_area(turned, 33, 20), reference.resize_area(turned, 33, 20), atol=1e-4)


@pytest.mark.parametrize(
    ("image", "size", "options"),
    [
        (np.zeros((4, 4), np.uint8), (2, 2), {}),
        (np.zeros((4, 4, 3), np.float32), (2, 2), {}),
        (np.zeros((0, 4, 3), np.uint8), (2, 2), {}),
        (np.zeros((4, 4, 3), np.uint8), (0, 2), {}),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), {"crop": (0, 0, 5, 4)}),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), {"crop": (1, 1, 0, 1)}),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), {"crop": (float("nan"), 0, 1, 1)}),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), {"out": np.zeros((3, 2, 3), np.float32)}),
    ],
)
def test_bad_input_is_named(image, size, options):
    with pytest.raises(KernelInputError) as error:
        kernels.resize_area(image, *size, **options)
    assert error.value.next_step

"""Examples in the docstrings of the kernels are run."""

from __future__ import annotations

import doctest
import pkgutil

import pytest
from punctum import kernels

pytestmark = pytest.mark.usefixtures("kernel_form")

MODULES = [
    f"{kernels.__name__}.{module.name}" for module in pkgutil.iter_modules(kernels.__path__) if module.name[0] == "_"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    results = doctest.testmod(pytest.importorskip(name, reason="this part needs Numba"))
    assert results.failed == 0


def test_the_most_used_kernels_have_an_example():
    used = ["adapt_boundaries", "average_precision", "find_runs", "fuse_confidence", "nms", "outer_inner_contrast"]
    used += ["pool_segments", "resize_area", "segment_iou", "soft_nms"]
    assert [name for name in used if ">>>" not in getattr(kernels, name).__doc__] == []

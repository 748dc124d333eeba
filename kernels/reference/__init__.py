"""NumPy twins of the kernels: simple and slow; the reference of the tests and the baseline of the benchmarks.

`published` holds what the released code of LACP and TSPNet computes where our kernels differ on purpose.
"""

from . import published
from .islands import find_islands
from .resize import resize_area
from .twins import (
    adapt_boundaries,
    average_precision,
    find_runs,
    fuse_confidence,
    nms,
    outer_inner_contrast,
    pool_segments,
    pool_windows,
    segment_iou,
    segment_mean,
    settle_classes,
    soft_nms,
)

__all__ = [
    "adapt_boundaries",
    "average_precision",
    "find_islands",
    "find_runs",
    "fuse_confidence",
    "nms",
    "outer_inner_contrast",
    "pool_segments",
    "pool_windows",
    "published",
    "resize_area",
    "segment_iou",
    "segment_mean",
    "settle_classes",
    "soft_nms",
]

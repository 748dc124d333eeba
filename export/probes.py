"""Sizes and random inputs that graphs are compared on."""

from __future__ import annotations

import numpy as np
from punctum.training.arrays import F32

LENGTHS = (1, 2, 97, 1000)
"""Lengths of windows, in snippets."""
COUNTS = (0, 1, 3000)
"""Numbers of proposals."""


def random_segments(rng: np.random.Generator, length: int, count: int) -> F32:
    """Proposals [count, 2] in a window of `length` snippets, each at least 0.05 snippets long."""
    segments = np.sort(rng.uniform(-0.5, length - 0.5, (count, 2)), axis=1).astype(np.float32)
    segments[:, 1] = np.maximum(segments[:, 1], segments[:, 0] + 0.05)
    return segments

"""Aligned confidence: TSPNet's fusion of what the head says about a proposal."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cuda
from ._validate import F64, KernelInputError, matrix_of, vector_of


def fuse_confidence(class_probability: Any, attention: Any, center: Any) -> F64:
    """class probability x attention x center score (TSPNet, test-time score).

    class_probability [M, C], attention [M], center [M], each in 0..1. Returns float64 [M, C].
    Arrays that are on a CUDA device stay there: see `kernels.cuda.fuse_confidence`.
    """
    if cuda.on_device(class_probability):
        return cuda.fuse_confidence(class_probability, attention, center)  # type: ignore[no-any-return]
    probability = matrix_of(class_probability, "class_probability")
    for name, value in (("attention", attention), ("center", center)):
        if np.size(value) != len(probability):
            raise KernelInputError(
                f"{name} has {np.size(value)} entries",
                f"{len(probability)}, one per proposal",
                f"check {name}",
            )
    weight = vector_of(np.ravel(attention), "attention") * vector_of(np.ravel(center), "center")
    return np.asarray(probability * weight[:, None])

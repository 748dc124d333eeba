"""Aligned confidence: the fusion of the center scorer's outputs in TSPNet."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import cuda
from ._validate import F64, KernelInputError, matrix_of, vector_of


def fuse_confidence(class_probability: ArrayLike, attention: ArrayLike, center: ArrayLike) -> F64:
    """Aligned confidence of proposals: class probability x attention x center score.

    Args:
        class_probability: [M, C] in 0..1; or an array on a CUDA device (see `kernels.cuda.fuse_confidence`).
        attention: [M] in 0..1.
        center: [M], the center score, in 0..1.

    Returns:
        float64 [M, C].

    Raises:
        KernelInputError: the arrays do not belong to the same proposals, or contain NaN.

    Source:
        TSPNet (Xia et al., CVPR 2024), the score of a proposal at test time.

    Example:
        >>> from punctum import kernels
        >>> kernels.fuse_confidence([[0.5, 1.0]], [0.8], [0.5]).tolist()
        [[0.2, 0.4]]
    """
    if cuda.on_device(class_probability):
        on_device: F64 = cuda.fuse_confidence(class_probability, attention, center)
        return on_device
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

"""Features to run where no recording is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..bundle.reader import Bundle

F32 = npt.NDArray[np.float32]


def noise_features(bundle: Bundle, rows: int) -> F32:
    """Smooth noise float32 [rows, D] with the statistics of the bundle's features; the same on every call."""
    spec = bundle.manifest.features
    noise = np.random.default_rng(0).standard_normal((rows + 4, spec.dim))
    smooth = sum(noise[k : k + rows] for k in range(5)) / np.sqrt(5.0)
    mean, std = (0.0, 1.0) if spec.fingerprint is None else (spec.fingerprint.mean, spec.fingerprint.std)
    return np.asarray(mean + std * smooth, np.float32)

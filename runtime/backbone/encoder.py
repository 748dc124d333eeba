"""What clips are run through: the part of a backbone that extraction and fingerprints use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..bundle.backbone_spec import BackboneSpec
    from .preprocess import Preprocessor

F32 = npt.NDArray[np.float32]


class ClipEncoder(Protocol):
    """Turns clips into features.

    Attributes:
        spec: What the network expects.
        dim: Feature dimension D.
        name: The backbone, for messages.
    """

    spec: BackboneSpec
    dim: int
    name: str

    def preprocessor(self) -> Preprocessor:
        """A new preprocessor. Each thread that prepares frames needs its own."""
        ...

    def embed(self, clips: F32) -> F32:
        """Clips [N, *spec.clip_shape] -> features float32 [N, D]."""
        ...

"""The modules behind the runtime's backend protocol: training evaluates with the code that runs in the field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from .center import CenterHead
from .modules import LocatorNet

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class TorchBackend:
    """`Backend` around a locator and, if there is one, a center head."""

    requested = actual = "torch"

    def __init__(self, locator: LocatorNet, center: CenterHead | None = None) -> None:
        self._locator, self._center = locator.eval(), center.eval() if center else None

    @torch.no_grad()
    def locate(self, features: F32) -> tuple[F32, F32]:
        track, actionness = self._locator(torch.from_numpy(np.ascontiguousarray(features)))
        return track.numpy(), actionness.numpy()

    @torch.no_grad()
    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        if self._center is None:
            one = np.ones(len(labels), np.float32)
            return np.ones((len(labels), tracks.shape[1] - 1), np.float32), one, one
        parts = (torch.from_numpy(np.ascontiguousarray(a)) for a in (features, tracks, segments, labels))
        probability, attention, center = self._center(*parts)
        return probability.numpy(), attention.numpy(), center.numpy()

"""The modules behind the runtime's Backend protocol, so that training is judged by the code that runs in the field."""

from __future__ import annotations

import numpy as np
import torch
from punctum.runtime.errors import InputError
from punctum.runtime.localizer import Localizer

from ..arrays import F32, I64
from .center import ProposalHead
from .checkpoint import Run
from .ensemble import Locator


class TorchBackend:
    """`locate` and `score` with torch. Without a head every proposal scores 1."""

    def __init__(self, locator: Locator, center: ProposalHead | None = None, *, device: str = "cpu") -> None:
        self.requested = device
        self._place = torch_device(device)
        self.actual: str = self._place.type
        self.locator = locator.to(self._place).eval()
        self.center = None if center is None else center.to(self._place).eval()

    def locate(self, features: F32) -> tuple[F32, F32]:
        with torch.inference_mode():
            p, a = self.locator(self._tensor(features))
        return p.cpu().numpy(), a.cpu().numpy()

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] -> (class tracks [B, T, C], actionness [B, T])."""
        return self.locate(windows)

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        if self.center is None:
            ones = np.ones(len(segments), np.float32)
            return np.ones((len(segments), self.locator.classes), np.float32), ones, ones.copy()
        with torch.inference_mode():
            parts = self.center(*(self._tensor(x) for x in (features, tracks, segments, labels)))
        probability, attention, center = (part.cpu().numpy() for part in parts)
        return probability, attention, center

    def _tensor(self, array: F32 | I64) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._place)


def torch_device(name: str) -> torch.device:
    """ "cpu" or "cuda"; what is asked for is there or this raises InputError, never a silent fallback."""
    if name not in ("cpu", "cuda"):
        raise InputError("device-unknown", f"device {name!r}", "cpu, cuda", "choose one of them")
    if name == "cuda" and not torch.cuda.is_available():
        reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no NVIDIA GPU"
        raise InputError(
            "device-missing", f"device cuda, but {reason}", "cpu", "use --device cpu or install a CUDA torch"
        )
    return torch.device(name)


def localizer_of(run: Run, *, device: str = "cpu") -> Localizer:
    """The runtime's Localizer around a run, without a bundle."""
    return Localizer.from_parts(
        TorchBackend(run.locator, run.center, device=device),
        labels=run.labels,
        dim=run.feature_spec.dim,
        stride_s=run.feature_spec.stride_s,
        post=run.post,
        receptive_field=run.receptive_field,
    )

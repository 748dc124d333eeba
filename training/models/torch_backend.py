"""Trained modules as a backend of the runtime, so that evaluation runs the same code as deployment."""

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
    """Runs the locator and the center scorer with torch. Without a center scorer every output is 1."""

    def __init__(self, locator: Locator, center: ProposalHead | None = None, *, device: str = "cpu") -> None:
        self.requested = device
        self._place = torch_device(device)
        self.actual: str = self._place.type
        self.locator = locator.to(self._place).eval()
        self.center = None if center is None else center.to(self._place).eval()

    def locate(self, features: F32) -> tuple[F32, F32]:
        """Features [T, D] -> class track [T, C] and actionness [T]."""
        with torch.inference_mode():
            p, a = self.locator(self._tensor(features))
        return p.cpu().numpy(), a.cpu().numpy()

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] -> class tracks [B, T, C] and actionness [B, T]."""
        return self.locate(windows)

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Score proposals; see `punctum.runtime.session.engine.Backend`."""
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
    """The torch device "cpu" or "cuda". Raises InputError if it is not available: there is no silent fallback."""
    if name not in ("cpu", "cuda"):
        raise InputError("device-unknown", f"{name!r} is not a device for training", "cpu, cuda", "choose one of them")
    if name == "cuda" and not torch.cuda.is_available():
        reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no NVIDIA GPU"
        raise InputError(
            "device-missing",
            f"Device cuda is not available: {reason}",
            "cpu",
            "use cpu, or install a CUDA build of torch",
        )
    return torch.device(name)


def localizer_of(run: Run, *, device: str = "cpu") -> Localizer:
    """A localizer that runs a training run with torch, without a bundle. device: "cpu" or "cuda"."""
    return Localizer.from_parts(
        TorchBackend(run.locator, run.center, device=device),
        labels=run.labels,
        dim=run.feature_spec.dim,
        stride_s=run.feature_spec.stride_s,
        post=run.post,
        receptive_field=run.receptive_field,
        calibration=run.calibration,
    )

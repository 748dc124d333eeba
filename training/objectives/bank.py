"""All training videos in one padded tensor, so a batch of windows is one gather."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..arrays import F32, I64
from ..data.videos import Sample
from ..models.locator import LocatorNet


class WindowBank:
    """Normalized videos with zeros between them, which is what `LocatorNet` takes beyond the ends of a video."""

    def __init__(self, net: LocatorNet, samples: Sequence[Sample], *, window: int, device: torch.device) -> None:
        self.length = np.array([len(s.features) for s in samples], np.int64)
        gap = net.left + net.right + window
        self.offset = gap + np.concatenate([[0], np.cumsum(self.length + gap)[:-1]]).astype(np.int64)
        self._bank = torch.zeros(int((self.length + gap).sum()) + gap, net.dim, device=device)
        for sample, offset in zip(samples, self.offset, strict=True):
            self._bank[int(offset) : int(offset) + len(sample.features)] = net.normalise.normalized(sample.features)
        self._reach = torch.arange(-net.left, window + net.right, device=device)
        self.window = window

    def gather(self, video: I64, first: I64) -> Tensor:
        """Windows [B, left + window + right, D] of the videos `video` [B] with first output snippets `first` [B]."""
        start = torch.from_numpy(self.offset[video] + first).to(self._reach.device)
        return self._bank[start[:, None] + self._reach]

    def scatter(self, rows: Sequence[F32]) -> Tensor:
        """Rows [T_i, K] per snippet of every video, in the layout that `gather_rows` reads; zero between videos."""
        out = torch.zeros(len(self._bank), rows[0].shape[1], device=self._bank.device)
        for row, offset in zip(rows, self.offset, strict=True):
            out[int(offset) : int(offset) + len(row)] = torch.from_numpy(row)
        return out

    def gather_rows(self, scattered: Tensor, video: I64, first: I64) -> Tensor:
        """Rows [B, window, K] at the output snippets of the windows that `gather` returns for the same arguments."""
        start = torch.from_numpy(self.offset[video] + first).to(scattered.device)
        return scattered[start[:, None] + torch.arange(self.window, device=scattered.device)]

    def anywhere(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        """Draw windows uniformly over all snippets: videos, and first snippets up to half a window outside of them."""
        video = rng.choice(len(self.length), count, p=self.length / self.length.sum())
        half = self.window // 2
        return video, rng.integers(-half, np.maximum(self.length[video] - half, 1 - half))

    def place(self, video: I64, site: I64, rng: np.random.Generator) -> I64:
        """First output snippets of windows that contain `site` at a random place, inside the video if it is long."""
        first = site - rng.integers(0, self.window, len(site))
        placed: I64 = np.clip(first, 0, np.maximum(self.length[video] - self.window, 0))
        return placed

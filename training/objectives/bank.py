"""All training videos as one padded tensor, so that a batch of windows is one gather."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..arrays import F32, I64
from ..data.videos import Sample
from ..models.locator import LocatorNet


class WindowBank:
    """Normalised videos, each between zeros: what the network sees beyond a video's ends (see LocatorNet)."""

    def __init__(self, net: LocatorNet, samples: Sequence[Sample], *, window: int, device: torch.device) -> None:
        self.length = np.array([len(s.features) for s in samples], np.int64)
        gap = net.left + net.right + window
        self.offset = gap + np.concatenate([[0], np.cumsum(self.length + gap)[:-1]]).astype(np.int64)
        self._bank = torch.zeros(int((self.length + gap).sum()) + gap, net.dim, device=device)
        for sample, offset in zip(samples, self.offset, strict=True):
            self._bank[int(offset) : int(offset) + len(sample.features)] = net.normalise.normalised(sample.features)
        self._reach = torch.arange(-net.left, window + net.right, device=device)
        self.window = window

    def gather(self, video: I64, first: I64) -> Tensor:
        """Windows [B, left + window + right, D] whose first output snippet is `first` of `video`."""
        start = torch.from_numpy(self.offset[video] + first).to(self._reach.device)
        return self._bank[start[:, None] + self._reach]

    def scatter(self, rows: Sequence[F32]) -> Tensor:
        """Per-snippet rows [T_i, K] of every video in the layout of `gather_rows`; zero between videos."""
        out = torch.zeros(len(self._bank), rows[0].shape[1], device=self._bank.device)
        for row, offset in zip(rows, self.offset, strict=True):
            out[int(offset) : int(offset) + len(row)] = torch.from_numpy(row)
        return out

    def gather_rows(self, scattered: Tensor, video: I64, first: I64) -> Tensor:
        """[B, window, K] at the output snippets of the windows that `gather` makes for the same arguments."""
        start = torch.from_numpy(self.offset[video] + first).to(scattered.device)
        return scattered[start[:, None] + torch.arange(self.window, device=scattered.device)]

    def anywhere(self, count: int, rng: np.random.Generator) -> tuple[I64, I64]:
        """Windows drawn evenly over all snippets: video, and first snippet up to half a window outside of it."""
        video = rng.choice(len(self.length), count, p=self.length / self.length.sum())
        half = self.window // 2
        return video, rng.integers(-half, np.maximum(self.length[video] - half, 1 - half))

    def place(self, video: I64, site: I64, rng: np.random.Generator) -> I64:
        """First output snippets of windows that hold `site` at a random place, inside the video if it fits."""
        first = site - rng.integers(0, self.window, len(site))
        placed: I64 = np.clip(first, 0, np.maximum(self.length[video] - self.window, 0))
        return placed

"""Pooled features of all training candidates within a bound on memory.

Twelve bins of 1,024 values for 18,000 candidates take almost a gigabyte, from 70 MB of features. If the running
integrals of the videos are smaller than that, only they are stored, and each batch pools its own rows; the values are
the same. Pooling runs in parts, so intermediate results stay small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..arrays import F32, F64, I64
from ..models.center import Pooled, ProposalHead
from ..models.pooling import IntegralBank

KEEP_BYTES = 1 << 28  # pooled features up to this size are always stored
PART_BYTES = 1 << 20  # of an intermediate result, small enough for a CPU cache


class PooledSegments:
    """Candidate segments of several videos, numbered consecutively, video by video."""

    def __init__(
        self,
        head: ProposalHead,
        features: Sequence[F32],
        tracks: Sequence[F32],
        segments: Sequence[F64],
        labels: Sequence[I64],
    ) -> None:
        """Prepare pooling.

        Args:
            head: the center scorer.
            features: [T_i, D] of each video.
            tracks: float32 [T_i, C + 1] of each video.
            segments: [M_i, 2] of each video.
            labels: [M_i] of each video.
        """
        self._head = head
        device = next(head.parameters()).device
        counts = [len(s) for s in segments]
        self.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._video = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device)
        joined = np.concatenate([*segments, np.zeros((0, 2))])
        self._segments = torch.from_numpy(joined.astype(np.float32)).to(device)
        self._labels = torch.from_numpy(np.concatenate([*labels, np.zeros(0, np.int64)])).to(device)
        self._bank: IntegralBank | None = None
        self._pooled: Pooled | None = None
        if not len(self):
            return
        columns = head.dim + tracks[0].shape[1]
        double = 8 if head.config.accumulate == "float64" else 4
        self._part = max(PART_BYTES // ((head.config.bins + 1) * columns * double), 1)
        pooled_bytes = len(self) * head.config.bins * (head.dim + 2) * 4
        integral_bytes = sum(len(t) for t in tracks) * columns * (4 + double)
        with torch.no_grad():
            columns_of = (_columns(head, x, t) for x, t in zip(features, tracks, strict=True))
            self._bank = IntegralBank(head.pooling, columns_of, lengths=[len(t) for t in tracks], columns=columns)
            if pooled_bytes <= max(KEEP_BYTES, integral_bytes):
                self._pooled = self._in_parts(torch.arange(len(self), device=device))
                self._bank = None

    def __len__(self) -> int:
        return int(self.first[-1])

    def rows(self, index: Tensor) -> Pooled:
        """The input of the head for the candidates `index` [N]."""
        if self._pooled is not None:
            return self._pooled.rows(index)
        with torch.no_grad():
            return self._in_parts(index)

    def parts(self, begin: int, end: int) -> list[Pooled]:
        """Candidates `begin` to `end`, in parts of bounded size."""
        device = self._segments.device
        steps = range(begin, end, self._part) if end > begin else ()
        return [self.rows(torch.arange(at, min(at + self._part, end), device=device)) for at in steps]

    def _in_parts(self, index: Tensor) -> Pooled:
        head, size = self._head, self._part
        if self._bank is None:
            raise RuntimeError("there are no candidates")
        result = Pooled(
            index.new_empty((len(index), head.config.bins, head.dim), dtype=torch.float32),
            index.new_empty((len(index), head.config.bins, 2), dtype=torch.float32),
            index.new_empty((len(index), 1), dtype=torch.float32),
        )
        for at in range(0, len(index), size):
            some = index[at : at + size]
            segments = self._segments[some]
            both = self._bank.means(self._video[some], segments)
            part = head.split(both, segments, self._labels[some])
            for whole, piece in zip(result, part, strict=True):
                whole[at : at + size] = piece
        return result


def _columns(head: ProposalHead, features: F32, tracks: F32) -> Tensor:
    """Prepared features and tracks side by side [T, D + C + 1]. Preparation works row by row, so it runs in parts."""
    device = next(head.parameters()).device
    both = torch.empty(len(features), features.shape[1] + tracks.shape[1], device=device)
    size = max(PART_BYTES // (4 * features.shape[1]), 1)
    for at in range(0, len(features), size):
        both[at : at + size, : features.shape[1]] = head.prepare(torch.from_numpy(features[at : at + size]).to(device))
    both[:, features.shape[1] :] = torch.from_numpy(tracks).to(device)
    return both

"""Pooled features of all training candidates, within a bound on memory.

Twelve bins of 1,024 numbers for 18,000 candidates are close to a gigabyte, from 70 MB of features. Where the running
integrals of the videos are smaller than that, only they are kept, and each batch pools its own rows: the same numbers
either way. What is kept is pooled in parts, so that intermediate results stay small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..arrays import F32, F64, I64
from ..models.center import Pooled, ProposalHead
from ..models.pooling import IntegralBank

KEEP_BYTES = 1 << 28  # pooled features up to this size are kept in any case
PART_BYTES = 1 << 20  # of an intermediate result: small enough for a cache


class PooledSegments:
    """Candidate segments of several videos. `rows` gives what the head sees of some of them.

    features [T_i, D], tracks float32 [T_i, C+1] and segments [M_i, 2] of each video, labels [M_i]; candidates are
    numbered through, video by video.
    """

    def __init__(
        self,
        head: ProposalHead,
        features: Sequence[F32],
        tracks: Sequence[F32],
        segments: Sequence[F64],
        labels: Sequence[I64],
    ) -> None:
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
        kept = len(self) * head.config.bins * (head.dim + 2) * 4
        integrals = sum(len(t) for t in tracks) * columns * (4 + double)
        with torch.no_grad():
            joint = (_both(head, x, t) for x, t in zip(features, tracks, strict=True))
            self._bank = IntegralBank(head.pooling, joint, lengths=[len(t) for t in tracks], columns=columns)
            if kept <= max(KEEP_BYTES, integrals):
                self._pooled = self._in_parts(torch.arange(len(self), device=device))
                self._bank = None

    def __len__(self) -> int:
        return int(self.first[-1])

    def rows(self, index: Tensor) -> Pooled:
        """What the head sees of the candidates `index` [N]."""
        if self._pooled is not None:
            return self._pooled.rows(index)
        with torch.no_grad():
            return self._in_parts(index)

    def parts(self, begin: int, end: int) -> list[Pooled]:
        """Candidates `begin` to `end` in order, in parts of bounded size."""
        device = self._segments.device
        steps = range(begin, end, self._part) if end > begin else ()
        return [self.rows(torch.arange(at, min(at + self._part, end), device=device)) for at in steps]

    def _in_parts(self, index: Tensor) -> Pooled:
        head, size = self._head, self._part
        if self._bank is None:
            raise RuntimeError("there is no candidate to pool")
        found = Pooled(
            index.new_empty((len(index), head.config.bins, head.dim), dtype=torch.float32),
            index.new_empty((len(index), head.config.bins, 2), dtype=torch.float32),
            index.new_empty((len(index), 1), dtype=torch.float32),
        )
        for at in range(0, len(index), size):
            some = index[at : at + size]
            segments = self._segments[some]
            both = self._bank.means(self._video[some], segments)
            part = head.split(both, segments, self._labels[some])
            for whole, piece in zip(found, part, strict=True):
                whole[at : at + size] = piece
        return found


def _both(head: ProposalHead, features: F32, tracks: F32) -> Tensor:
    """Prepared features and tracks side by side [T, D + C + 1], prepared in parts: it is done row by row anyway."""
    device = next(head.parameters()).device
    both = torch.empty(len(features), features.shape[1] + tracks.shape[1], device=device)
    size = max(PART_BYTES // (4 * features.shape[1]), 1)
    for at in range(0, len(features), size):
        both[at : at + size, : features.shape[1]] = head.prepare(torch.from_numpy(features[at : at + size]).to(device))
    both[:, features.shape[1] :] = torch.from_numpy(tracks).to(device)
    return both

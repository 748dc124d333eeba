"""Integral pooling in torch: the same numbers as `kernels.pool_segments`, as CumSum and Gather for ONNX.

The mean of the linear interpolant over a bin is a difference of its running integral, so the cost does not grow
with the proposal, and no RoIAlign operator is needed (engine builders refuse it). The running integral is a
difference of large numbers for a short bin late in a long window: in float32 its error reaches 1e-4, hence the
float64 default; float32 is for engines that have no doubles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class SegmentPool(nn.Module):  # type: ignore[misc]
    """(features [T, D], segments [M, 2]) -> [M, bins, D]; segments in snippet-centre coordinates.

    A sixth of the bins lies in the left context, four sixths inside, a sixth in the right one; a context is
    min(context * length, max_context) snippets wide. Outside [-0.5, T - 0.5] features count as zero, and a bin
    without width is zero. T and M may be dynamic, M = 0 included.
    """

    def __init__(
        self, *, bins: int = 12, context: float = 0.25, max_context: float = math.inf, double: bool = True
    ) -> None:
        super().__init__()
        self.bins, self.context, self.double = bins, context, double
        dtype = torch.float64 if double else torch.float32
        side = bins // 6
        # Edge k is  start or end + length * length_part + wide * wide_part, summed in the kernel's order, so that
        # a segment without length has bins of exactly no width.
        outside = torch.arange(1, side + 1, dtype=dtype) / side
        none = torch.zeros(side, dtype=dtype)
        inside = torch.arange(4 * side + 1, dtype=dtype) / (4 * side)
        self.register_buffer("length_part", torch.cat([none, inside, none]), persistent=False)
        self.register_buffer("wide_part", torch.cat([-outside.flip(0), 0 * inside, outside]), persistent=False)
        # float32 has no use for infinity in a graph; 1e6 snippets are a week at 0.64 s.
        self.register_buffer("max_context", torch.tensor(min(max_context, 1e6), dtype=dtype), persistent=False)

    def edges(self, segments: Tensor) -> Tensor:
        """Bin borders [M, bins + 1]."""
        start, end = segments[:, 0:1], segments[:, 1:2]
        length = end - start
        wide = torch.minimum(self.context * length, self.max_context)
        side = self.bins // 6
        base = torch.cat([start.expand(-1, 5 * side + 1), end.expand(-1, side)], dim=1)
        return base + length * self.length_part + wide * self.wide_part

    def forward(self, features: Tensor, segments: Tensor) -> Tensor:
        dtype = self.length_part.dtype
        x = features.to(dtype)
        edges = self.edges(segments.to(dtype))
        # Tracing must keep the length symbolic: sizes come from a tensor, never from a Python number.
        following = torch.cat([x[1:], x[-1:]])
        total = torch.cumsum(torch.cat([0.5 * x[:1], 0.5 * (x[:-1] + x[1:])]), dim=0)
        position = torch.clamp(edges, -0.5, x.shape[0] - 0.5)
        cell = torch.clamp(torch.floor(position), min=0.0)
        index = cell.to(torch.int64)
        # [M, bins + 1, D] by indexing with a matrix: a reshape could not name M = 0.
        return _means(edges, position - cell, total[index], x[index], following[index]).to(features.dtype)


def _means(edges: Tensor, part: Tensor, total: Tensor, here: Tensor, following: Tensor) -> Tensor:
    """Means [M, bins, D] between edges [M, bins + 1].

    part [M, bins + 1]: how far each edge lies beyond a snippet's centre (negative left of the first centre, where the
    track is flat). total, here, following [M, bins + 1, D]: the running integral up to that centre, the features
    there, and those of the next snippet.
    """
    part = part[..., None]
    half = 0.5 * torch.clamp(part, min=0.0) ** 2
    integral = total + (part - half) * here + half * following
    span = (edges[:, 1:] - edges[:, :-1])[..., None]
    wide = span > 0
    mean = (integral[:, 1:] - integral[:, :-1]) / torch.where(wide, span, torch.ones_like(span))
    return mean * wide


class IntegralBank:
    """Features of several videos [T_i, D] and their running integrals, from which segments of any of them are pooled.

    The same numbers as `SegmentPool.forward` gives video by video. Takes 12 bytes a value in float64.
    """

    def __init__(self, pooling: SegmentPool, videos: Iterable[Tensor], *, lengths: Sequence[int], columns: int) -> None:
        """videos: float32 [T_i, columns], taken one at a time; lengths: T_i."""
        self._pooling = pooling
        place, self._dtype = pooling.length_part.device, pooling.length_part.dtype
        self._first = torch.tensor([0, *lengths[:-1]], device=place).cumsum(0)
        self._length = torch.tensor(lengths, device=place)
        self._x = torch.empty(sum(lengths), columns, device=place)
        self._total = torch.empty(sum(lengths), columns, dtype=self._dtype, device=place)
        for x, first, length in zip(videos, self._first.tolist(), lengths, strict=True):
            self._x[first : first + length] = x
            total = self._total[first : first + length]
            total.copy_(x)
            total[1:] += x[:-1]
            total *= 0.5
            total.cumsum_(0)

    def means(self, video: Tensor, segments: Tensor) -> Tensor:
        """Means [M, bins, D] of segments [M, 2] of the videos `video` [M]."""
        edges = self._pooling.edges(segments.to(self._dtype))
        first, length = self._first[video][:, None], self._length[video][:, None]
        position = torch.minimum(torch.clamp(edges, min=-0.5), length - 0.5)
        cell = torch.clamp(torch.floor(position), min=0.0)
        index = cell.to(torch.int64)
        here, following = first + index, first + torch.minimum(index + 1, length - 1)
        x = (self._x[at].to(self._dtype) for at in (here, following))
        return _means(edges, position - cell, self._total[here], *x).to(self._x.dtype)

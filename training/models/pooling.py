"""Integral pooling in torch: the values of `kernels.pool_segments`, from CumSum and Gather for ONNX.

The mean of the linear interpolant over a bin is a difference of its running integral, so the cost does not grow with
the length of a proposal, and no RoIAlign operator is needed, which engine builders reject. For a short bin late in a
long window this is a difference of large numbers: in float32 the error reaches 1e-4. Hence float64 is the default;
float32 is for engines without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class SegmentPool(nn.Module):
    """Features [T, D] and segments [M, 2] in snippet-center coordinates -> means over bins [M, bins, D].

    One sixth of the bins covers the left context, four sixths the segment, one sixth the right context. A context is
    min(context * length, max_context) snippets wide. Features outside [-0.5, T - 0.5] are 0, and so is a bin without
    width. T and M may be dynamic, including M = 0.
    """

    def __init__(
        self, *, bins: int = 12, context: float = 0.25, max_context: float = math.inf, double: bool = True
    ) -> None:
        super().__init__()
        self.bins, self.context, self.double = bins, context, double
        dtype = torch.float64 if double else torch.float32
        side = bins // 6
        # Edge k is (start or end) + length * length_part + context * wide_part, summed in the kernel's order, so the
        # bins of a segment without length have exactly no width.
        outside = torch.arange(1, side + 1, dtype=dtype) / side
        none = torch.zeros(side, dtype=dtype)
        inside = torch.arange(4 * side + 1, dtype=dtype) / (4 * side)
        self.register_buffer("length_part", torch.cat([none, inside, none]), persistent=False)
        self.register_buffer("wide_part", torch.cat([-outside.flip(0), 0 * inside, outside]), persistent=False)
        # A graph should not hold infinity; 1e6 snippets of 0.64 s are a week.
        self.register_buffer("max_context", torch.tensor(min(max_context, 1e6), dtype=dtype), persistent=False)

    def edges(self, segments: Tensor) -> Tensor:
        """Edges of the bins [M, bins + 1]."""
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
        # Sizes come from tensors, not from Python numbers, so that the exported length stays symbolic.
        following = torch.cat([x[1:], x[-1:]])
        total = torch.cumsum(torch.cat([0.5 * x[:1], 0.5 * (x[:-1] + x[1:])]), dim=0)
        position = torch.clamp(edges, -0.5, x.shape[0] - 0.5)
        cell = torch.clamp(torch.floor(position), min=0.0)
        index = cell.to(torch.int64)
        # Indexing with a matrix gives [M, bins + 1, D]; a reshape would fail for M = 0.
        return _means(edges, position - cell, total[index], x[index], following[index]).to(features.dtype)


def _means(edges: Tensor, part: Tensor, total: Tensor, here: Tensor, following: Tensor) -> Tensor:
    """Means over the bins.

    Args:
        edges: of the bins [M, bins + 1].
        part: distance of each edge beyond a snippet's center [M, bins + 1]; negative before the first center, where the
            interpolant is constant.
        total: running integral up to that center [M, bins + 1, D].
        here: features at that center [M, bins + 1, D].
        following: features of the next snippet [M, bins + 1, D].

    Returns:
        [M, bins, D].
    """
    part = part[..., None]
    half = 0.5 * torch.clamp(part, min=0.0) ** 2
    integral = total + (part - half) * here + half * following
    span = (edges[:, 1:] - edges[:, :-1])[..., None]
    wide = span > 0
    mean = (integral[:, 1:] - integral[:, :-1]) / torch.where(wide, span, torch.ones_like(span))
    return mean * wide


class IntegralBank:
    """Features of several videos and their running integrals, from which segments of any of them are pooled.

    Gives the values of `SegmentPool.forward` for each video. Takes 12 bytes per value in float64.
    """

    def __init__(self, pooling: SegmentPool, videos: Iterable[Tensor], *, lengths: Sequence[int], columns: int) -> None:
        """videos: float32 [T_i, columns], consumed one at a time; lengths: the T_i."""
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
        """Means [M, bins, D] of segments [M, 2] in the videos with indices `video` [M]."""
        edges = self._pooling.edges(segments.to(self._dtype))
        first, length = self._first[video][:, None], self._length[video][:, None]
        position = torch.minimum(torch.clamp(edges, min=-0.5), length - 0.5)
        cell = torch.clamp(torch.floor(position), min=0.0)
        index = cell.to(torch.int64)
        here, following = first + index, first + torch.minimum(index + 1, length - 1)
        x = (self._x[at].to(self._dtype) for at in (here, following))
        return _means(edges, position - cell, self._total[here], *x).to(self._x.dtype)

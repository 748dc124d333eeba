"""Integral pooling in torch: the same numbers as `kernels.pool_segments`, as CumSum and Gather for ONNX.

The mean of the linear interpolant over a bin is a difference of its running integral, so the cost does not grow
with the proposal, and no RoIAlign operator is needed (engine builders refuse it). The running integral is a
difference of large numbers for a short bin late in a long window: in float32 its error reaches 1e-4, hence the
float64 default; float32 is for engines that have no doubles.
"""

from __future__ import annotations

import math

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
        part = (position - cell)[..., None]  # negative left of the first centre, where the track is flat
        half = 0.5 * torch.clamp(part, min=0.0) ** 2
        # [M, bins + 1, D] by indexing with a matrix: a reshape could not name M = 0.
        integral = total[index] + (part - half) * x[index] + half * following[index]
        span = (edges[:, 1:] - edges[:, :-1])[..., None]
        wide = span > 0
        mean = (integral[:, 1:] - integral[:, :-1]) / torch.where(wide, span, torch.ones_like(span))
        return (mean * wide).to(features.dtype)

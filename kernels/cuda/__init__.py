"""Fusion, ABA and soft-NMS for data that is already on an NVIDIA GPU (Numba-CUDA).

Inputs and outputs are arrays with `__cuda_array_interface__` (CuPy, PyTorch, Numba). Only group offsets, counts and one
word with the result of validation are copied to the host. All (video, class) groups of a batch are processed in one
launch, one block per group. The picks and locks are those of the CPU kernels.

Importing this module imports no CUDA library. Both `numba.cuda` of Numba and its successor, the package `numba-cuda`,
work. Kernels run on the legacy default stream of the current device, after the stream of an input array, and have
finished when a function returns.
"""

from __future__ import annotations

from ._api import adapt_groups, fuse_confidence, fuse_scores, suppress_groups
from ._interface import on_device

__all__ = ["adapt_groups", "fuse_confidence", "fuse_scores", "on_device", "suppress_groups"]

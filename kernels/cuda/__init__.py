"""The kernels that finish a batch, for data that is on an NVIDIA GPU already: fusion, ABA and soft-NMS (Numba-CUDA).

Arrays go in and come out by `__cuda_array_interface__` (CuPy, PyTorch, Numba, anything that has it); nothing is copied
to the host but group offsets, counts, and one word that says whether the input is sound. All (video, class) groups of
a batch are worked off in one launch, a block each. Decisions are those of the CPU kernels: same picks, same locks.

Importing this module imports no CUDA. Numba's own `numba.cuda` serves, and so does the package `numba-cuda`, which
replaces it. Work runs on the legacy default stream of the current device, after the stream that an array names, and is
finished when a function returns.
"""

from __future__ import annotations

from ._api import adapt_groups, fuse_confidence, fuse_scores, suppress_groups
from ._interface import on_device

__all__ = ["adapt_groups", "fuse_confidence", "fuse_scores", "on_device", "suppress_groups"]

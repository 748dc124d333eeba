"""Pure array kernels of temporal action localization (Numba), each with a NumPy twin in `kernels.reference`.

Coordinates: "snippet-center coordinates" have x = t at the center of snippet t, which covers
[t - 0.5, t + 0.5); seconds = start_s + (x + 0.5) * stride_s. Kernels that only compare segments accept any unit.
The wheels for a platform hold the kernels compiled; elsewhere Numba compiles them on first use, and `warm_up` all that
are needed for a purpose at once. `form()` tells which of the two runs. Nothing is compiled on import.
`cuda` contains the kernels for arrays that are already on a GPU; importing it loads no CUDA library.
"""

from . import cuda
from ._adapt import adapt_boundaries, adapt_groups
from ._classes import settle_classes
from ._contrast import outer_inner_contrast, segment_mean
from ._form import KernelForm, form, use
from ._fuse import fuse_confidence
from ._islands import Islands, OpenIslands, find_islands
from ._match import average_precision, match_detections
from ._overlap import segment_iou
from ._pool import bin_edges, pool_segments, pool_windows
from ._propose import IslandProposals, propose_islands
from ._resize import resize_area
from ._runs import find_runs, find_runs_many
from ._sequence import search_sequence, select_seeds
from ._settle import settle_islands
from ._suppress import nms, soft_nms, suppress_groups
from ._validate import KernelInputError, KernelsUnavailableError
from ._warmup import ROLES, warm_up

__all__ = [
    "ROLES",
    "IslandProposals",
    "Islands",
    "KernelForm",
    "KernelInputError",
    "KernelsUnavailableError",
    "OpenIslands",
    "adapt_boundaries",
    "adapt_groups",
    "average_precision",
    "bin_edges",
    "cuda",
    "find_islands",
    "find_runs",
    "find_runs_many",
    "form",
    "fuse_confidence",
    "match_detections",
    "nms",
    "outer_inner_contrast",
    "pool_segments",
    "pool_windows",
    "propose_islands",
    "resize_area",
    "search_sequence",
    "segment_iou",
    "segment_mean",
    "select_seeds",
    "settle_classes",
    "settle_islands",
    "soft_nms",
    "suppress_groups",
    "use",
    "warm_up",
]

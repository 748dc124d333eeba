"""Make kernels ready before the first real input: explicit, never on import."""

from __future__ import annotations

import importlib
from pathlib import Path

from ._form import JIT, form
from ._jit import KERNELS, exported
from ._validate import KernelInputError

_SORTING = ("order_argsort_stable", "order_by_group")
_SESSION = (*_SORTING, "adapt_adapt", "islands_find", "pool_pool", "propose_propose", "soft_decayed")
_DRAWING = ("draw_paint_backdrop", "draw_paint_block", "draw_paint_shape", "draw_paint_figure", "draw_expose")
ROLES = {
    "run": (*_SESSION, "resize_resize"),
    "train": ("sequence_seeds", "sequence_search", "overlap_iou_matrix"),
    "eval": ("match_match", "match_areas", "overlap_iou_matrix"),
    "demo": (*_DRAWING, "resize_resize", *reversed(_SESSION)),
}
"""What is done, and the kernels that it needs with default settings: running a bundle, training, evaluation, and the
demo, which draws its video. "demo" has the order of "run" reversed: of two processes that make them ready at once, the
second loads from the cache what the first has compiled."""


def warm_up(*roles: str, into: Path | None = None) -> dict[str, str]:
    """Make kernels ready. Call it before a service reports that it is ready.

    Kernels that are compiled ahead of time are ready at once. Others are compiled by Numba, or loaded from its cache.

    Args:
        roles: "run", "train", "eval", "demo". None: every kernel there is.
        into: Folder to cache the kernels in, and to read them from, instead of the usual ones (NUMBA_CACHE_DIR, beside
            the kernels, the user's).

    Returns:
        The kernels that are ready in this process, but could not be saved in any folder, with the reasons. Later
        processes have to compile them again.

    Raises:
        KernelInputError: a role has another name.
        KernelsUnavailableError: the kernels cannot run here.
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise KernelInputError(f"The role is {unknown[0]!r}", ", ".join(ROLES), "change the role")
    if form().name != JIT:
        return {}
    if "demo" in roles or not roles:
        importlib.import_module(f"{__package__}._draw")
    from ._numba import make_ready

    names = dict.fromkeys(name for role in roles for name in ROLES[role])
    kernels = [KERNELS[name] for name in names] if roles else exported()
    try:
        from . import _cache
    except ImportError:  # a version of Numba whose cache is made differently: it keeps its own
        make_ready(kernels)
        return {}
    _cache.keep_in(into)
    try:
        make_ready(kernels)
    finally:
        _cache.keep_in(None)
    return _cache.unsaved()

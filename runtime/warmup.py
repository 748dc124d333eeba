"""Run everything once before the first real input, so that no event waits for a compiler or an allocator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .session.engine import Shape, length_buckets, warm_engine

if TYPE_CHECKING:
    from .live import LiveOptions
    from .localizer import Localizer


def warm_up(localizer: Localizer, live: LiveOptions | None = None) -> None:
    """Make the kernels of a session ready, run every graph at the shapes of `stream_shapes`, and process a short
    synthetic stream. Call it before a service reports that it is ready.

    Raises:
        InputError: The bundle can only process whole recordings.
    """
    from punctum import kernels

    kernels.warm_up("run")
    warm_engine(localizer.backend, stream_shapes(localizer, live))
    plan = localizer.plan
    session = localizer.session(live=live)
    rows = plan.left + plan.right + 2 * plan.context + 4 * session.hop + 16
    noise = np.random.default_rng(0).standard_normal((rows, plan.dim)).astype(np.float32)
    for chunk in np.array_split(noise, 4):
        session.push(chunk)
    session.flush()


def stream_shapes(localizer: Localizer, live: LiveOptions | None = None) -> list[Shape]:
    """Shapes of the runs of one live stream with these options.

    For the locator, its window in the middle of a stream and every length bucket; for the center scorer, the windows of
    a short and a long island. Windows at the start of a stream and after gaps are shorter.
    """
    plan = localizer.plan
    window = plan.left + plan.right + plan.hop(live)
    lengths = sorted({window, *length_buckets(localizer.backend)})
    island = math.ceil(plan.post.max_island_s / plan.stride_s)
    scored = [2 * plan.context + n for n in (1, max(island // 4, 2), island)]
    return [
        *(Shape(n) for n in lengths),
        *(Shape(n, proposals=m) for n in scored for m in (1, min(plan.post.max_proposals, 64))),
    ]

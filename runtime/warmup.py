"""Everything run once before the first real input, so that no event waits for a compiler or an allocator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .session.engine import Shape

if TYPE_CHECKING:
    from .live import LiveOptions
    from .localizer import Localizer


def warm_up(localizer: Localizer, live: LiveOptions | None = None) -> None:
    """Compile or load every kernel, run every graph at the shapes that a stream with these options will bring, and
    send one made-up stream through a session. Call it before declaring a service ready.

    Raises InputError where a stream cannot run with this bundle.
    """
    from punctum import kernels

    kernels.warm_up()
    warm: Any = getattr(localizer.backend, "warm", None)
    if warm is not None:
        warm(stream_shapes(localizer, live))
    plan = localizer.plan
    session = localizer.session(live=live)
    rows = plan.left + plan.right + 2 * plan.context + 4 * session.hop + 16
    noise = np.random.default_rng(0).standard_normal((rows, plan.dim)).astype(np.float32)
    for chunk in np.array_split(noise, 4):
        session.push(chunk)
    session.flush()


def stream_shapes(localizer: Localizer, live: LiveOptions | None = None) -> list[Shape]:
    """Shapes of the runs of one live stream: the locator's window in its stride, every length bucket, and windows of
    a short and a long island for the scorer. At the start of a stream, and after gaps, windows are shorter."""
    plan = localizer.plan
    session = localizer.session(live=live)
    window = plan.left + plan.right + session.hop
    buckets: tuple[int, ...] = getattr(localizer.backend, "buckets", ())
    lengths = sorted({window, *buckets})
    island = math.ceil(plan.post.max_island_s / plan.stride_s)
    scored = [2 * plan.context + n for n in (1, max(island // 4, 2), island)]
    return [
        *(Shape(n) for n in lengths),
        *(Shape(n, proposals=m) for n in scored for m in (1, min(plan.post.max_proposals, 64))),
    ]

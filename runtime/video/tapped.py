"""A look at the frames that another part reads, so that a video is decoded only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ._frames import FrameSource, Gap, Sampled
from .passing import PassedFrames

Offer: TypeAlias = Callable[[npt.NDArray[np.uint8], float, float], None]
"""Called with a frame, uint8 [H, W, 3] RGB, its media time in seconds, and the width of a pixel over its height."""


class TappedFrames(PassedFrames):
    """A FrameSource that passes frames on and shows each to `offer`. start_s: media time of the first one."""

    def __init__(self, frames: FrameSource, offer: Offer, *, start_s: float = 0.0) -> None:
        super().__init__(frames)
        self._offer, self._start_s = offer, start_s

    def frames(self) -> Iterator[Sampled | Gap | None]:
        for item in self._frames.frames():
            if isinstance(item, Sampled):
                self._offer(item.image, self._start_s + item.at, item.aspect)
            yield item

"""The part of the picture that is used, and the areas that are blacked out in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...video import FrameSource, Gap, Sampled
from ...video.passing import PassedFrames
from .start import Region

U8 = npt.NDArray[np.uint8]
Point = tuple[float, float]
Offer = Callable[[U8, float, float], None]


class RegionFrames(PassedFrames):
    """Shows the whole picture to `offer`, and passes on the region of it with the masks applied.

    Args:
        frames: Source of whole pictures.
        region: The part that is passed on.
        masks: Polygons in fractions of the whole picture.
        offer: Called with each picture as it is decoded, its media time in seconds, and its pixels' aspect.
        start_s: Media time of the first frame in seconds.
    """

    def __init__(
        self, frames: FrameSource, region: Region, masks: Sequence[Sequence[Point]], offer: Offer, *, start_s: float
    ) -> None:
        super().__init__(frames)
        self._region, self._masks, self._offer, self._start_s = region, masks, offer, start_s
        self._whole = region == Region() and not masks
        self._shape: tuple[int, ...] = ()
        self._hidden = np.zeros(0, np.int64)  # indices of the masked pixels in the region

    def frames(self) -> Iterator[Sampled | Gap | None]:
        before: U8 | None = None
        after: U8 | None = None
        for item in self._frames.frames():
            if not isinstance(item, Sampled):
                yield item
                continue
            if item.image is not before:  # cells that show the same frame share it, before and after
                self._offer(item.image, self._start_s + item.at, item.aspect)
                before, after = item.image, item.image if self._whole else self._cut(item.image)
            yield item if after is None or after is item.image else replace(item, image=after)

    def _cut(self, image: U8) -> U8:
        height, width = image.shape[:2]
        rows, columns = (
            span(self._region.top, self._region.height, height),
            span(self._region.left, self._region.width, width),
        )
        if image.shape != self._shape:
            self._shape = image.shape
            hidden = covered(self._masks, height, width)[rows, columns]
            self._hidden = np.flatnonzero(hidden)
        part = image[rows, columns].copy()  # the decoded picture is shared
        part.reshape(-1, part.shape[2])[self._hidden] = 0
        return part


def span(begin: float, length: float, pixels: int) -> slice:
    """The pixels of a fraction of a side: those whose edges it is nearest to, and at least one."""
    first = min(round(begin * pixels), pixels - 1)
    return slice(first, min(max(round((begin + length) * pixels), first + 1), pixels))


def covered(polygons: Sequence[Sequence[Point]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """bool [height, width]: the pixels whose centers lie in a polygon, by the even-odd rule.

    Args:
        polygons: Corners (x, y) in fractions of the width and height.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
    """
    result = np.zeros((height, width), bool)
    for polygon in polygons:
        x, y = (np.array([corner[k] for corner in polygon], float) for k in (0, 1))
        x, y = x * width - 0.5, y * height - 0.5  # the center of pixel k is at k
        to_x, to_y = np.roll(x, -1), np.roll(y, -1)
        for row in range(max(int(np.floor(y.min())), 0), min(int(np.ceil(y.max())) + 1, height)):
            cuts = (y <= row) != (to_y <= row)
            if not cuts.any():
                continue
            part = (row - y[cuts]) / (to_y[cuts] - y[cuts])
            at = np.sort(x[cuts] + part * (to_x[cuts] - x[cuts]))
            for left, right in zip(at[::2], at[1::2], strict=True):
                result[row, max(int(np.ceil(left)), 0) : max(int(np.ceil(right)), 0)] = True
    return result

"""How bright the picture is at a time of a video, from the frames that the backbone reads anyway."""

from __future__ import annotations

import bisect

import numpy as np
import numpy.typing as npt

from ..video.tapped import Offer

EVERY_S = 0.25
NEAREST_S = 2.0
_LUMA = np.array([0.299, 0.587, 0.114])
_STEP = 8  # every eighth row and column is enough for a mean


class BrightnessMeter:
    """Mean brightness of frames, about every EVERY_S seconds."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._values: dict[str, list[float]] = {}

    def of_video(self, video: str) -> Offer:
        """What takes the frames of a video, in order of time."""
        times, values = self._times.setdefault(video, []), self._values.setdefault(video, [])

        def offer(image: npt.NDArray[np.uint8], at: float, aspect: float) -> None:
            if not times or at >= times[-1] + EVERY_S:
                times.append(at)
                values.append(float((image[::_STEP, ::_STEP].mean(axis=(0, 1)) @ _LUMA) / 255))

        return offer

    def at(self, video: str, time_s: float) -> float:
        """Brightness of the nearest frame, 0 to 1; NaN if there is none within NEAREST_S seconds."""
        times = self._times.get(video, [])
        k = bisect.bisect(times, time_s)
        near = [(abs(times[i] - time_s), i) for i in (k - 1, k) if 0 <= i < len(times)]
        if not near or min(near)[0] > NEAREST_S:
            return float("nan")
        return self._values[video][min(near)[1]]

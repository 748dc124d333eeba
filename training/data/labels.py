"""From clicks in seconds to supervision of snippets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from punctum.runtime.datasets.dataset import LATE_CLICK_S
from punctum.runtime.datatypes import by_value
from punctum.runtime.errors import InputError

from ..arrays import F32, F64, I64


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clicks:
    """The clicks of one video, sorted by time (file order among equal times).

    position float64 [N]: snippet-centre coordinates. snippet int64 [N]: the snippet that holds it.
    label int64 [N]. order int64 [N]: the place in the file, which published rules depend on.
    """

    position: F64
    snippet: I64
    label: I64
    order: I64

    def __len__(self) -> int:
        return len(self.position)


def locate_clicks(
    times_s: npt.ArrayLike, labels: npt.ArrayLike, *, snippets: int, stride_s: float, start_s: float, video: str
) -> Clicks:
    """Place clicks (seconds, class indices) on the snippet grid of one video.

    A click at t belongs to snippet floor((t - start_s) / stride_s) and has the position that value - 0.5.
    Features often stop a little before the video does, so a click up to a second behind them (or one snippet, where
    that is longer; also before the start) is moved to the nearest snippet; farther out it raises InputError.
    """
    time = np.asarray(times_s, np.float64).reshape(-1)
    label = np.asarray(labels, np.int64).reshape(-1)
    position = (time - start_s) / stride_s - 0.5
    near = max(LATE_CLICK_S / stride_s, 1.0)
    outside = ~((position >= -1.5) & (position <= snippets - 0.5 + near))  # NaN is outside, too
    if outside.any():
        worst = float(time[int(np.argmax(outside))])
        raise InputError(
            "point-outside-video",
            f"video {video} has a point at {worst:.3f} s",
            f"{start_s:.3f} to {start_s + snippets * stride_s:.3f} s, where it has features",
            "run `punctum data check` on the data set and correct the points file",
        )
    order = np.argsort(time, kind="stable")
    position = np.clip(position, -0.5, snippets - 0.5)
    snippet = np.clip(np.floor(position + 0.5), 0, snippets - 1).astype(np.int64)
    return Clicks(position[order], snippet[order], label[order], order.astype(np.int64))


def snippet_labels(clicks: Clicks, *, snippets: int, classes: int) -> F32:
    """Multi-hot labels float32 [T, C]: 1 where a click of the class falls in the snippet."""
    out = np.zeros((snippets, classes), np.float32)
    out[clicks.snippet, clicks.label] = 1.0
    return out

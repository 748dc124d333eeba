"""Clicks and certified background on the snippet grid of a video."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from punctum.runtime.datasets.background import BackgroundSpan
from punctum.runtime.datasets.dataset import LATE_CLICK_S, Point
from punctum.runtime.datatypes import by_value
from punctum.runtime.errors import InputError
from punctum.runtime.features.features import Features
from punctum.runtime.text.display import seconds

from ..arrays import F32, F64, I64


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clicks:
    """The clicks of one video, sorted by time, and by file order among equal times.

    Attributes:
        position: float64 [N], click positions in snippet-center coordinates (snippet t has its center at t).
        snippet: int64 [N], the snippets that contain the clicks.
        label: int64 [N], class indices.
        order: int64 [N], places in the points file, which published rules depend on.
    """

    position: F64
    snippet: I64
    label: I64
    order: I64

    def __len__(self) -> int:
        return len(self.position)


class SureSpan(NamedTuple):
    """Snippets [first, end) without an action of the class `label`; None: without any action."""

    first: int
    end: int
    label: int | None


def locate_spans(
    spans: Iterable[BackgroundSpan], *, snippets: int, stride_s: float, start_s: float
) -> tuple[SureSpan, ...]:
    """Place certified background on the snippet grid: snippets whose center lies in a span, at least one for each span.

    Args:
        spans: in seconds.
        snippets: length of the features.
        stride_s: seconds per snippet.
        start_s: media time of the first snippet.
    """
    found = []
    for begin_s, end_s, label in spans:
        first = math.ceil((begin_s - start_s) / stride_s - 0.5 - 1e-9)
        end = math.floor((end_s - start_s) / stride_s - 0.5 + 1e-9) + 1
        if end <= first:  # shorter than a snippet
            first = math.floor(((begin_s + end_s) / 2 - start_s) / stride_s)
            end = first + 1
        first, end = max(first, 0), min(end, snippets)
        if first < end:
            found.append(SureSpan(first, end, label))
    return tuple(found)


def clicks_on(features: Features, points: Sequence[Point], video: str) -> Clicks:
    """Place the clicks of one video on the snippets of its features; see `locate_clicks`.

    Args:
        features: of the video.
        points: its clicks, in seconds.
        video: video id, for messages.

    Raises:
        InputError: a click lies outside the video.
    """
    return locate_clicks(
        [point.time_s for point in points],
        [point.label for point in points],
        snippets=len(features.data),
        stride_s=features.stride_s,
        start_s=features.start_s,
        video=video,
    )


def locate_clicks(
    times_s: npt.ArrayLike, labels: npt.ArrayLike, *, snippets: int, stride_s: float, start_s: float, video: str
) -> Clicks:
    """Place the clicks of one video on its snippet grid.

    A click at time t has the position (t - start_s) / stride_s - 0.5 and lies in snippet
    floor((t - start_s) / stride_s). Features often end a little before their video, so a click up to one second after
    them (or one snippet, if that is longer), or up to one snippet before their start, moves to the nearest snippet.

    Args:
        times_s: media times of the clicks [N].
        labels: class indices [N].
        snippets: length of the features.
        stride_s: seconds per snippet.
        start_s: media time of the first snippet.
        video: video id, for messages.

    Raises:
        InputError: a click lies outside the video.
    """
    time = np.asarray(times_s, np.float64).reshape(-1)
    label = np.asarray(labels, np.int64).reshape(-1)
    position = (time - start_s) / stride_s - 0.5
    tolerance = max(LATE_CLICK_S / stride_s, 1.0)
    outside = ~((position >= -1.5) & (position <= snippets - 0.5 + tolerance))  # True for NaN
    if outside.any():
        worst = float(time[int(np.argmax(outside))])
        raise InputError(
            "point-outside-video",
            f"Video {video} has a click at {seconds(worst)} s",
            f"{start_s:.3f} to {start_s + snippets * stride_s:.3f} s, the time that its features cover",
            "run `punctum data check` on the data set and correct the points file",
        )
    order = np.argsort(time, kind="stable")
    position = np.clip(position, -0.5, snippets - 0.5)
    snippet = np.clip(np.floor(position + 0.5), 0, snippets - 1).astype(np.int64)
    return Clicks(position[order], snippet[order], label[order], order.astype(np.int64))


def snippet_labels(clicks: Clicks, *, snippets: int, classes: int) -> F32:
    """Multi-hot labels float32 [T, C]: 1 if a click of the class lies in the snippet."""
    out = np.zeros((snippets, classes), np.float32)
    out[clicks.snippet, clicks.label] = 1.0
    return out

"""Checks of the chunks pushed to a session: their features, their media time and their lost frames."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt

from ..arguments import check_type
from ..errors import InputError
from ..features.features import FeatureRows, Features, check_features
from ..features.media_clock import MAX_MEDIA_S, check_media_time
from ..text.display import counted
from .plan import Plan

MOST_FRAMES = 2**50  # lost in one snippet; sums stay exact


def check_chunk(
    features: FeatureRows, at: float | None, plan: Plan, *, now_s: float | None
) -> tuple[npt.NDArray[np.float32], float | None]:
    """Check a chunk.

    Args:
        features: [n, D] or `Features`.
        at: Media time of the first snippet in seconds, or None.
        plan: The configuration.
        now_s: Media time at which the last snippet ended; None for a stream that has not begun.

    Returns:
        Rows float32 [n, D], and the media time of the first; None: right after the last snippet.

    Raises:
        InputError: Wrong dimension, dtype or stride, NaN, or a time before `now_s`.
    """
    if isinstance(features, Features):
        if not math.isclose(features.stride_s, plan.stride_s, rel_tol=1e-6):
            raise InputError(
                "features-stride",
                f"The features have a stride of {features.stride_s} s",
                f"{plan.stride_s} s, which this bundle was trained on",
                "extract features at that rate",
            )
        if at is None and features.start_s != 0.0:
            at = features.start_s
        features = features.data
    if at is not None:
        at = _number(at)  # not a NumPy scalar, which would spread to counts and events
        check_media_time(at, "features")
    rows = check_features(features, dim=plan.dim)
    begin = now_s if at is None or (now_s is not None and now_s > at) else at
    end = (begin or 0.0) + len(rows) * plan.stride_s
    if end > MAX_MEDIA_S:
        check_media_time(end, "features that end")
    if at is not None and now_s is not None and at < now_s - 0.5 * plan.stride_s:
        raise time_backwards(at, now_s)
    return rows, at


def time_backwards(at: float, now_s: float, *, stream: str = "") -> InputError:
    """The error for features at media time `at` in a stream that has reached `now_s`."""
    of = f" of stream {stream!r}" if stream else ""
    return InputError(
        "time-backwards",
        f"Features{of} at {at:.3f} s come after features up to {now_s:.3f} s",
        "media time that increases",
        "drop the chunk if it arrived twice; start a new session if the source began again",
    )


def check_lost(lost: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Check the video frames missing in a chunk of `count` rows, pairs (row, frames). Raises InputError."""
    if isinstance(lost, tuple) and not lost:
        return []
    check_type("lost", lost, Sequence, "a list of pairs")
    checked = []
    for one in lost:
        try:
            row, frames = map(operator.index, one)
        except (TypeError, ValueError):
            row, frames = -1, -1
        if not (0 <= row < max(count, 1) and 0 <= frames <= MOST_FRAMES):
            raise InputError(
                "lost",
                f"The lost frames {str(one)[:80]} do not fit a chunk of {counted(count, 'row')}",
                "pairs of whole numbers: a row of the chunk, and a number of frames",
                "count rows from the first of the chunk",
            )
        checked.append((row, frames))
    return checked


def _number(at: SupportsFloat) -> float:
    try:
        return float(at)
    except (TypeError, ValueError, OverflowError):
        return math.nan  # refused as a media time

"""Between seconds and frames of forms that count frames."""

from __future__ import annotations

from collections.abc import Iterable

from ._model import Mark


def span_in_frames(start_s: float, end_s: float, fps: float) -> tuple[int, int]:
    """First frame and the one behind the last: the nearest ones, and one frame at least."""
    first = round(start_s * fps)
    return first, max(round(end_s * fps), first + 1)


def frame_losses(marks: Iterable[Mark], fps: float) -> tuple[str, ...]:
    """What counting in frames costs these marks: nothing where all times are on frames."""
    times = [t for mark in marks for t in (mark.start, mark.end) if t is not None]
    if all(abs(t * fps - round(t * fps)) < 1e-6 * max(1.0, t) for t in times):
        return ()
    return (f"times finer than a frame ({1 / fps:.3f} s)",)

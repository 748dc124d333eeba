"""Formats with times in frames or milliseconds, and the losses of rounding."""

from __future__ import annotations

from collections.abc import Iterable

from ._model import Mark, counted


def span_in_frames(start_s: float, end_s: float, fps: float) -> tuple[int, int]:
    """The first frame and the one after the last: the nearest ones, at least one frame long."""
    first = round(start_s * fps)
    return first, max(round(end_s * fps), first + 1)


def grid_losses(marks: Iterable[Mark], per_second: float, step: str) -> tuple[str, ...]:
    """Losses of marks in a format with `per_second` instants per second. None if all times are on this grid."""
    lost = []
    marks = list(marks)
    times = [t for mark in marks for t in (mark.start, mark.end) if t is not None]
    if any(abs(t * per_second - round(t * per_second)) >= 1e-6 * max(1.0, t) for t in times):
        lost.append(f"times finer than {step}")
    short = sum(m.end is not None and round(m.end * per_second) <= round(m.start * per_second) for m in marks)
    if short:
        lost.append(f"that {counted(short, 'action')} lasted less than {step}")
    return tuple(lost)


def frame_losses(marks: Iterable[Mark], fps: float) -> tuple[str, ...]:
    """Losses of marks whose times are rounded to frames."""
    return grid_losses(marks, fps, f"a frame ({1 / fps:.3f} s)")

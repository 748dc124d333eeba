"""Forms that know frames or milliseconds only, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable

from ._model import Mark, counted


def span_in_frames(start_s: float, end_s: float, fps: float) -> tuple[int, int]:
    """First frame and the one behind the last: the nearest ones, and one frame at least."""
    first = round(start_s * fps)
    return first, max(round(end_s * fps), first + 1)


def grid_losses(marks: Iterable[Mark], per_second: float, step: str) -> tuple[str, ...]:
    """What it costs these marks that a form has only so many instants a second: nothing where all times are on them."""
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
    """What counting in frames costs these marks."""
    return grid_losses(marks, fps, f"a frame ({1 / fps:.3f} s)")

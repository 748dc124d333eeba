"""Which rows of its window a locator's output depends on, measured by changing rows and by cutting windows.

Two properties make the results of a stream those of the whole recording, and both are measured:

- Rows outside of the receptive field have no effect: where they are replaced by others, the output stays the same up to
  the rounding of float32, however small its values are.
- Where a window begins and ends has no effect on the rows whose receptive field lies within.

Rounding is measured as well, as the effect of a last digit of the features, since it grows with their scale. Features
on which the output does not change at all, because they are far from those of the training, reveal nothing; random
features are therefore drawn at the scales on which the output changes most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from punctum.runtime import InputError

from ._samples import Probe

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Locate = Callable[[F32], tuple[F32, F32]]
BLOCK = 48
"""Rows beyond the receptive field on either side, and rows that are compared between windows."""
PHASES = (0, 1, 2, 3, 5, 7)
"""Offsets of changes and windows, for networks that treat every second or fourth row differently."""
SPARSE, GAP, LONGEST = 24, 16, 1 << 14
"""Single rows that are changed in one window, rows without effect on either side of each, and rows of the window."""
CHANGE = 1e-6
"""Largest effect of rows outside of the receptive field, relative to the range of the output."""
CUT = 1e-5
"""Largest difference between windows, a tenth of the tolerance between stream and recording."""
ROUNDING = 32
"""Roundings of the features' last digit that a network may add up."""
CHOSEN = 6
"""Scales of random features that are measured."""


@dataclass(slots=True)
class Reach:
    """What was measured.

    Attributes:
        left: Most snippets before a row that had an effect on it.
        right: Most snippets after a row that had an effect on it.
        apart: Largest difference between two windows beyond rounding.
        moved: Whether the output changed with the features at all.
    """

    left: int = 0
    right: int = 0
    apart: float = 0.0
    moved: bool = False


def choose(locate: Locate, probes: Iterable[Probe]) -> list[Probe]:
    """The probes on which the output changes most from row to row."""
    rng = np.random.default_rng(2)
    found: list[tuple[float, int, Probe]] = []
    for number, probe in enumerate(probes):
        output = columns(locate(probe.draw(2 * BLOCK, rng)))
        if np.isfinite(output).all():
            steps = np.abs(np.diff(output, axis=0))
            change = float(np.median(steps, axis=0).mean() + 1e-3 * steps.mean())
            found.append((-change, number, probe))
    return [probe for change, _, probe in sorted(found, key=lambda item: item[:2])[:CHOSEN] if change < 0]


def measure(locate: Locate, probes: Iterable[Probe], left: int, right: int) -> Reach:
    """Measure the receptive field of a locator that states (left, right)."""
    reach = Reach()
    for number, probe in enumerate(probes):
        _measure_one(locate, probe, left, right, reach, np.random.default_rng(number))
    return reach


def check_reach(reach: Reach, left: int, right: int, *, sampled: bool) -> None:
    """Raises InputError for a locator whose output depends on more than it states."""
    if not reach.moved:
        raise InputError(
            "receptive-field",
            "`receptive_field` cannot be measured, since the locator's output does not change with its features",
            required="an output that depends on the features"
            + ("" if sampled else "; random ones may be far from those that the locator was trained on"),
            next_step="check the locator and `sample`" if sampled else "pass features of the training as `sample`",
        )
    if reach.left > left or reach.right > right:
        stated, found = (left, right), (reach.left, reach.right)
        open_ended = any(a >= b + BLOCK for a, b in zip(found, stated, strict=True))
        least = max(reach.left, left), max(reach.right, right)
        raise InputError(
            "receptive-field",
            f"`receptive_field` is ({left}, {right}) snippets, but the locator's output changes with features "
            f"{reach.left} snippets before and {reach.right} after{', and perhaps farther' if open_ended else ''}",
            required="an output that depends on these snippets only, without statistics of the window or recurrence",
            next_step="bound what the network reads, or state a larger `receptive_field`"
            if open_ended
            else f"set `receptive_field=({least[0]}, {least[1]})`, or more, or bound what the network reads",
        )
    if reach.apart > 0:
        raise InputError(
            "receptive-field",
            f"The locator's output at a row changes by {reach.apart:.2g} with the place at which its window begins or "
            "ends",
            required=f"the same output in every window that contains ({left}, {right}) snippets around a row: no "
            "position codes, no steps over rows that depend on the begin of the window",
            next_step="state a larger `receptive_field`, or change the network",
        )


def rounding(locate: Locate, features: F32, output: F64, rng: np.random.Generator) -> F64:
    """Effect of a last digit of the features on each column of the output."""
    digits = rng.choice(np.array([-1, 1], np.float32), features.shape) * np.float32(np.finfo(np.float32).eps)
    effect: F64 = np.abs(columns(locate(features * (1 + digits))) - output).max(axis=0)
    return effect


def _measure_one(locate: Locate, probe: Probe, left: int, right: int, reach: Reach, rng: np.random.Generator) -> None:
    length = left + right + 2 * BLOCK + max(PHASES) + 1
    features = probe.draw(length, rng)
    output = columns(locate(features))
    if not np.isfinite(output).all():
        return
    noise = rounding(locate, features, output, rng)
    limit = _limit(output, noise)
    for phase in PHASES:
        at = right + BLOCK + phase
        for after in (True, False):
            changed = features.copy()
            part = slice(at, None) if after else slice(None, at)
            changed[part] = probe.other(len(changed[part]), rng)
            rows = _moved(locate, changed, output, limit)
            reach.moved |= bool(len(rows))
            if len(rows) and after:
                reach.right = max(reach.right, at - int(rows[0]))
            elif len(rows):
                reach.left = max(reach.left, int(rows[-1]) - at + 1)
    _change_single_rows(locate, probe, left, right, reach, rng)
    allowed = CUT + ROUNDING * noise
    for first, last, begin, end in _cuts(length, left, right):
        cut = columns(locate(features[begin:end]))[first - begin : last - begin]
        apart = np.abs(cut - output[first:last]).max(axis=0)
        if (worst := float((apart - allowed).max())) > 0:
            reach.apart = max(reach.apart, worst)


def _change_single_rows(
    locate: Locate, probe: Probe, left: int, right: int, reach: Reach, rng: np.random.Generator
) -> None:
    """Change rows far apart in one window: many tries at the ends of the field, where few outputs may respond."""
    step = left + right + 2 * GAP + 1
    count = max(min(SPARSE, LONGEST // step), 1)
    features = probe.draw(count * step, rng)
    output = columns(locate(features))
    if not np.isfinite(output).all():
        return
    limit = _limit(output, rounding(locate, features, output, rng))
    for shift in (0, 1, 2):
        at = np.arange(count) * step + right + GAP - shift
        changed = features.copy()
        changed[at] = probe.other(count, rng)
        moved = _moved(locate, changed, output, limit)
        for row in moved.tolist():
            ahead = min((int(k) - row for k in at if k >= row), default=len(features))
            behind = min((row - int(k) for k in at if k <= row), default=len(features))
            if ahead > right and behind > left:  # its change comes from the row that it is less too far from
                if ahead - right < behind - left:
                    reach.right = max(reach.right, ahead)
                else:
                    reach.left = max(reach.left, behind)


def _limit(output: F64, noise: F64) -> F64:
    """Changes of each value that may be rounding."""
    limit: F64 = np.maximum(CHANGE * np.ptp(output, axis=0), 4 * noise)
    return limit + 4 * float(np.finfo(np.float32).eps) * np.abs(output)


def _moved(locate: Locate, features: F32, output: F64, limit: F64) -> npt.NDArray[np.int64]:
    """Rows whose output changed. One that is not finite has changed."""
    return np.flatnonzero(~(np.abs(columns(locate(features)) - output) <= limit).all(axis=1))


def _cuts(length: int, left: int, right: int) -> list[tuple[int, int, int, int]]:
    """Rows to compare, first to last, and the window around them, begin to end."""
    found = [(k, k + BLOCK, k - left, k + BLOCK + right) for k in (left + BLOCK // 2 + phase for phase in PHASES)]
    return [(0, BLOCK, 0, BLOCK + right), (length - BLOCK, length, length - BLOCK - left, length), *found]


def columns(tracks: tuple[F32, F32]) -> F64:
    """Class tracks and actionness as columns [T, C + 1]."""
    return np.concatenate([tracks[0], tracks[1][:, None]], axis=1).astype(np.float64)

"""Which sizes an engine takes: optimization profiles, the choice among them, and how to split what none covers.

Nothing is padded: inside a profile every length is run as it is. What no profile covers is split where that is exact.
Windows, clips and proposals are independent of each other, and a locator window splits into overlapping ones because
its receptive field is finite and declared. A window for the scorer cannot be split; one that is too long is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import InputError
from ...session.plan import Plan
from ...text.display import counted

Dims = tuple[int, ...]
CLIPS = 16  # at most in one run of the backbone
WINDOWS = 64  # at most in one run of the locator, where they are short
PROPOSALS = 4096  # at most in one run of the scorer
_MULTIPLE = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """Smallest, typical and largest shape of each input. A run fits where every dimension does."""

    shapes: Mapping[str, tuple[Dims, Dims, Dims]]

    def fits(self, shapes: Mapping[str, Dims]) -> bool:
        if set(shapes) != set(self.shapes):
            return False
        for name, dims in shapes.items():
            low, _, high = self.shapes[name]
            if len(dims) != len(low) or any(not a <= n <= b for a, n, b in zip(low, dims, high, strict=True)):
                return False
        return True

    def largest(self, name: str, axis: int = 0) -> int:
        return self.shapes[name][2][axis]

    def as_data(self) -> dict[str, list[list[int]]]:
        """For JSON, and for the key of an engine."""
        return {name: [list(dims) for dims in triple] for name, triple in sorted(self.shapes.items())}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes that the graphs of a bundle have to take.

    Attributes:
        lengths: Upper bounds of locator windows in snippets, increasing.
        typical: The length of most locator windows.
        scored: Upper bounds (snippets, proposals) of windows for the scorer.
        rows: Upper bound of the snippets in one run of the locator on several windows.
        clips: Upper bound of the clips in one run of the backbone.
    """

    lengths: tuple[int, ...]
    typical: int
    scored: tuple[tuple[int, int], ...]
    rows: int
    clips: int = CLIPS


def plan_sizes(plan: Plan, *, lengths: Sequence[int] = (), proposals: Sequence[int] = (), clips: int = CLIPS) -> Sizes:
    """Sizes that a session of this bundle can use, so that a profile covers each of its runs.

    Args:
        plan: The plan of the bundle.
        lengths: Upper bounds of locator windows, instead of the two that are derived. Longer windows are split.
        proposals: Upper bounds of proposals, instead of the two that are derived. More proposals are split. The
            scorer's windows cannot be split, so their bounds are always derived.
        clips: Upper bound of the clips in one run of the backbone.

    Raises:
        InputError: Bounds that do not increase, or that are too small for any locator window.
    """
    from ...session.dispatch import STACKED_ROWS
    from ...session.plan import BLOCK, HOP_S
    from ...session.score_runs import JOINED_ROWS

    typical = plan.left + max(math.floor(HOP_S / plan.stride_s), 1) + plan.right
    _check_bounds("engine-lengths", "lengths", lengths)
    _check_bounds("engine-proposals", "proposals", proposals)
    # An island's own rows, one beyond each end, and the context on both sides.
    island = math.floor(plan.post.max_island_s / plan.stride_s) + 2 * plan.context + 4
    if lengths:
        if lengths[-1] <= plan.left + plan.right:
            raise InputError(
                "engine-lengths",
                f"Lengths up to {lengths[-1]} are too small",
                f"more than {plan.left + plan.right}, the locator's receptive field",
                "raise `lengths`",
            )
        bounds = tuple(lengths)
    else:
        bounds = (_round_up(2 * typical), _round_up(BLOCK + plan.left + plan.right))
    scored_rows = (_round_up(island), max(JOINED_ROWS, _round_up(island)))
    counts = tuple(proposals) or (plan.post.max_proposals, max(PROPOSALS, plan.post.max_proposals))
    size = max(len(scored_rows), len(counts))
    pairs = zip(_repeat_last(scored_rows, size), _repeat_last(counts, size), strict=True)
    return Sizes(bounds, min(typical, bounds[0]), tuple(dict.fromkeys(pairs)), STACKED_ROWS, clips)


def plan_profiles(part: str, inputs: Mapping[str, Dims], sizes: Sizes) -> tuple[Profile, ...]:
    """Profiles of one graph.

    Args:
        part: "locator" (features [T, D] or [B, T, D]), "center" or "backbone".
        inputs: Shape of each input, -1 for a free dimension.
        sizes: Sizes that the graph has to take.

    Raises:
        InputError: A free dimension that this part does not have.
    """
    bounds: list[dict[tuple[str, int], tuple[int, int]]] = []
    if part == "locator":
        for bucket in sizes.lengths:
            typical = min(sizes.typical, bucket) if bucket == sizes.lengths[0] else bucket
            long, many = (typical, bucket), (1, max(min(sizes.rows // bucket, WINDOWS), 1))
            rank = len(inputs.get("features", ()))
            bounds.append({("features", 0): long} if rank == 2 else {("features", 0): many, ("features", 1): long})
    elif part == "center":
        for rows, count in sizes.scored:
            length, number = (max(rows // 2, 1), rows), (max(count // 4, 1), count)
            bounds.append(
                {(name, 0): length for name in ("features", "tracks")}
                | {(name, 0): number for name in ("segments", "labels")}
            )
    else:
        bounds.append({(name, 0): (1, sizes.clips) for name in inputs})
    return tuple(Profile({name: _triple(part, name, dims, bound) for name, dims in inputs.items()}) for bound in bounds)


def _triple(
    part: str, name: str, dims: Dims, bounds: Mapping[tuple[str, int], tuple[int, int]]
) -> tuple[Dims, Dims, Dims]:
    low, best, high = [], [], []
    for axis, size in enumerate(dims):
        if size >= 0:
            typical = largest = least = size
        elif (name, axis) in bounds:
            least, (typical, largest) = 1, bounds[name, axis]
        else:
            raise InputError(
                "engine-input",
                f"Dimension {axis} of input {name!r} of the {part} graph is free",
                ", ".join(f"{n}[{a}]" for n, a in bounds) or "fixed dimensions",
                "export the bundle again",
            )
        low.append(least)
        best.append(typical)
        high.append(largest)
    return tuple(low), tuple(best), tuple(high)


def choose_profile(profiles: Sequence[Profile], shapes: Mapping[str, Dims]) -> int | None:
    """Index of the tightest profile that takes these shapes; None where none does."""
    fitting = [k for k, profile in enumerate(profiles) if profile.fits(shapes)]
    if not fitting:
        return None

    def volume(k: int) -> int:
        return sum(math.prod(profiles[k].shapes[name][2]) for name in shapes)

    return min(fitting, key=lambda k: (volume(k), k))


def no_profile(name: str, shapes: Mapping[str, Dims], profiles: Sequence[Profile]) -> InputError:
    """The error for a run that no profile covers."""
    requested = ", ".join(f"{key} {list(dims)}" for key, dims in shapes.items())
    allowed = " or ".join(
        ", ".join(f"{key} {list(low)} to {list(high)}" for key, (low, _, high) in profile.shapes.items())
        for profile in profiles
    )
    return InputError(
        "engine-shape",
        f"{name} was not built for {requested}",
        allowed,
        "split the input, or build engines for it",
    )


def split(count: int, largest: int) -> list[slice]:
    """Consecutive parts of at most `largest`; none where `count` is 0."""
    return [slice(low, min(low + largest, count)) for low in range(0, count, largest)]


@dataclass(frozen=True, slots=True)
class Piece:
    """One run on a part of a window.

    Attributes:
        low: First row of the window that goes in.
        high: Row after the last that goes in.
        skip: Leading rows of the output that are dropped.
        count: Rows after those that are used. They are exact.
    """

    low: int
    high: int
    skip: int
    count: int


def split_window(length: int, longest: int, left: int, right: int) -> list[Piece]:
    """Overlapping pieces of a locator window whose rows together are those of one long run.

    Args:
        length: Snippets of the window.
        longest: Snippets of a piece at most.
        left: The locator's receptive field to the left.
        right: The locator's receptive field to the right.

    Raises:
        InputError: No row of a piece would be exact.
    """
    if length <= longest:
        return [Piece(0, length, 0, length)] if length else []
    if longest <= left + right:
        raise InputError(
            "engine-shape",
            f"The engines take windows of at most {longest} snippets, and this one has {counted(length, 'snippet')}",
            required=f"engines for more than {left + right} snippets, the locator's receptive field",
            next_step="build them with larger `lengths`",
        )
    pieces, at = [], 0
    while at < length:
        low = max(at - left, 0)
        high = min(low + longest, length)
        stop = length if high == length else high - right
        pieces.append(Piece(low, high, at - low, stop - at))
        at = stop
    return pieces


def _check_bounds(code: str, name: str, values: Sequence[int]) -> None:
    if list(values) != sorted(set(values)) or any(n < 1 for n in values) or len(values) > 8:
        raise InputError(code, f"Invalid {name} {list(values)}", "up to 8 increasing numbers", f"correct `{name}`")


def _repeat_last(values: tuple[int, ...], size: int) -> tuple[int, ...]:
    return values + (values[-1],) * (size - len(values))


def _round_up(n: int) -> int:
    return -(-n // _MULTIPLE) * _MULTIPLE

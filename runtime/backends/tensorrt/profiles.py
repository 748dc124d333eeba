"""Which sizes an engine takes: optimization profiles, the choice among them, and how to cut what none covers.

Nothing is padded. Inside a profile every length is run as it is, so a locator's edges stay where the stream's are.
What no profile covers is cut where a cut is exact: windows and clips are independent of each other, proposals too, and
a locator window splits into overlapping ones because its receptive field is finite and declared. A window for the
center scorer cannot be cut, so one that is too long is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import InputError
from ...session.plan import Plan
from ...text.display import counted

Dims = tuple[int, ...]
CLIPS = 16  # of one backbone run at most
WINDOWS = 64  # of one locator run at most, where they are short
PROPOSALS = 4096  # of one scoring run at most
_ROUND = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """Smallest, best and largest shape of each input. A run fits where every dimension does."""

    shapes: Mapping[str, tuple[Dims, Dims, Dims]]

    def fits(self, shapes: Mapping[str, Dims]) -> bool:
        if set(shapes) != set(self.shapes):
            return False
        for name, given in shapes.items():
            low, _, high = self.shapes[name]
            if len(given) != len(low) or any(not a <= n <= b for a, n, b in zip(low, given, high, strict=True)):
                return False
        return True

    def largest(self, name: str, axis: int = 0) -> int:
        return self.shapes[name][2][axis]

    def as_data(self) -> dict[str, list[list[int]]]:
        """For JSON, and for the key of an engine."""
        return {name: [list(dims) for dims in triple] for name, triple in sorted(self.shapes.items())}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the graphs of a bundle have to take.

    lengths: upper bounds of locator windows, in snippets, rising; usual: the length of most of them. scored: upper
    bounds (snippets, proposals) of windows for the scorer. rows: snippets of one stacked locator run at most.
    """

    lengths: tuple[int, ...]
    usual: int
    scored: tuple[tuple[int, int], ...]
    rows: int
    clips: int = CLIPS


def plan_sizes(plan: Plan, *, lengths: Sequence[int] = (), proposals: Sequence[int] = (), clips: int = CLIPS) -> Sizes:
    """Sizes that a session of this bundle can ask for, so that none of its runs misses a profile.

    lengths (of locator windows), proposals: other bounds in place of the two of each that are derived. What is above
    them is cut, so they never make a run fail; the scorer's windows cannot be cut, so their bounds are not for choice.
    Raises InputError for bounds that do not rise, or that no window of the locator fits.
    """
    from ...session.dispatch import JOINED_ROWS, STACKED_ROWS
    from ...session.plan import BLOCK, HOP_S

    usual = plan.left + max(math.floor(HOP_S / plan.stride_s), 1) + plan.right
    _rising("lengths", lengths)
    _rising("proposals", proposals)
    # An island's own rows, one beyond each end, and the context on both sides.
    island = math.floor(plan.post.max_island_s / plan.stride_s) + 2 * plan.context + 4
    if lengths:
        if lengths[-1] <= plan.left + plan.right:
            raise InputError(
                "engine-lengths",
                f"lengths up to {lengths[-1]}",
                f"more than {plan.left + plan.right}, the locator's receptive field",
                "raise --lengths",
            )
        found = tuple(lengths)
    else:
        found = (_up(2 * usual), _up(BLOCK + plan.left + plan.right))
    scored_rows = (_up(island), max(JOINED_ROWS, _up(island)))
    counts = tuple(proposals) or (plan.post.max_proposals, max(PROPOSALS, plan.post.max_proposals))
    size = max(len(scored_rows), len(counts))
    pairs = zip(_stretch(scored_rows, size), _stretch(counts, size), strict=True)
    return Sizes(found, min(usual, found[0]), tuple(dict.fromkeys(pairs)), STACKED_ROWS, clips)


def plan_profiles(part: str, inputs: Mapping[str, Dims], sizes: Sizes) -> tuple[Profile, ...]:
    """Profiles of one graph. inputs: shape of each input, -1 where it is free.

    part: "locator" (features [T, D] or [B, T, D]), "center" or "backbone". Raises InputError for a free dimension that
    has no meaning here.
    """
    bounds: list[dict[tuple[str, int], tuple[int, int]]] = []
    if part == "locator":
        for bucket in sizes.lengths:
            usual = min(sizes.usual, bucket) if bucket == sizes.lengths[0] else bucket
            long, many = (usual, bucket), (1, max(min(sizes.rows // bucket, WINDOWS), 1))
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
            usual = largest = least = size
        elif (name, axis) in bounds:
            least, (usual, largest) = 1, bounds[name, axis]
        else:
            raise InputError(
                "engine-input",
                f"dimension {axis} of input {name!r} of the {part} graph is free",
                ", ".join(f"{n}[{a}]" for n, a in bounds) or "fixed dimensions",
                "export the bundle again",
            )
        low.append(least)
        best.append(usual)
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
    given = ", ".join(f"{key} {list(dims)}" for key, dims in shapes.items())
    allowed = " or ".join(
        ", ".join(f"{key} {list(low)} to {list(high)}" for key, (low, _, high) in profile.shapes.items())
        for profile in profiles
    )
    return InputError("engine-shape", f"{name} with {given}", allowed, "split the input, or build engines for it")


def cut(count: int, most: int) -> list[slice]:
    """Parts of at most `most`, in order; none for nothing."""
    return [slice(low, min(low + most, count)) for low in range(0, count, most)]


@dataclass(frozen=True, slots=True)
class Piece:
    """rows [low, high) of a window go in; of what comes out, rows [keep, keep + count) are exact and wanted."""

    low: int
    high: int
    keep: int
    count: int


def cut_window(length: int, longest: int, left: int, right: int) -> list[Piece]:
    """Overlapping pieces of a locator window, none longer than `longest`, whose kept rows are those of one long run.

    left, right: the locator's receptive field. Raises InputError where no row of a piece would be exact.
    """
    if length <= longest:
        return [Piece(0, length, 0, length)] if length else []
    if longest <= left + right:
        raise InputError(
            "engine-shape",
            f"a window of {counted(length, 'snippet')}, and engines for {longest} at most",
            f"engines for more than {left + right}, the locator's receptive field",
            "build them with larger --lengths",
        )
    pieces, at = [], 0
    while at < length:
        low = max(at - left, 0)
        high = min(low + longest, length)
        stop = length if high == length else high - right
        pieces.append(Piece(low, high, at - low, stop - at))
        at = stop
    return pieces


def _rising(what: str, values: Sequence[int]) -> None:
    if list(values) != sorted(set(values)) or any(n < 1 for n in values) or len(values) > 8:
        raise InputError(f"engine-{what}", f"{what} {list(values)}", "up to 8 rising numbers", f"correct --{what}")


def _stretch(values: tuple[int, ...], size: int) -> tuple[int, ...]:
    return values + (values[-1],) * (size - len(values))


def _up(n: int) -> int:
    return -(-n // _ROUND) * _ROUND

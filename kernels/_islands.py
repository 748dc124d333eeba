"""Islands of many tracks at once, as the tracks grow: maximal runs above one threshold, cut where they get too long."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import jit
from ._validate import F32, F64, I64, KernelInputError

LABEL, START, START_EDGE, END, END_EDGE, CLOSED = range(6)
"""Columns of `Islands.places`."""
USUAL = 1024  # islands for which there is room at first


class OpenIslands(NamedTuple):
    """Where the open island of each of C classes started. `find_islands` changes the arrays.

    Attributes:
        snippet: int64 [C]; -1 while no island is open.
        offset: float64 [C], distance of the start from the center of that snippet, in snippets.
        edge: bool [C], the start is the beginning of the section, or a cut.
    """

    snippet: I64
    offset: F64
    edge: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

    @classmethod
    def none(cls, classes: int) -> OpenIslands:
        """No island is open."""
        return cls(np.full(classes, -1, np.int64), np.zeros(classes), np.zeros(classes, np.bool_))

    def copy(self) -> OpenIslands:
        """An independent copy."""
        return OpenIslands(self.snippet.copy(), self.offset.copy(), self.edge.copy())


class Islands(NamedTuple):
    """N islands that have closed, by class and time.

    Attributes:
        places: int64 [N, 6]: class; snippet and edge (0 or 1) of the start, the same of the end; the first snippet at
            which the end was known.
        offsets: float64 [N, 2], distances of start and end from the centers of their snippets.
    """

    places: I64
    offsets: F64


@jit
def _crossing(tracks, c, row, threshold):  # type: ignore[no-untyped-def]
    """Where the interpolation between row - 1 and row meets the threshold, from the center of row - 1."""
    before, after = np.float64(tracks[row - 1, c]), np.float64(tracks[row, c])
    return (np.float64(threshold) - before) / (after - before)


@jit
def _put(place, label, start, start_edge, end, end_edge, closed):  # type: ignore[no-untyped-def]
    place[LABEL], place[START], place[START_EDGE] = label, start, start_edge
    place[END], place[END_EDGE], place[CLOSED] = end, end_edge, closed


@jit(
    "i8(f4[:, ::1], i8, i8, f4, i8, b1, i8[::1], f8[::1], b1[::1], i8[:, ::1], f8[:, ::1])",
    writes=("index", "offset", "edge", "places", "offsets"),
)
def _find(  # type: ignore[no-untyped-def]
    tracks, base, first, threshold, longest, final, index, offset, edge, places, offsets
):
    """Returns the number of islands; those beyond the room of `places` are counted only."""
    stop = base + len(tracks)
    count = 0
    for c in range(len(index)):
        at = first
        while at < stop:
            if index[c] < 0:
                while at < stop and not tracks[at - base, c] > threshold:
                    at += 1
                if at == stop:
                    break
                if at == 0:
                    index[c], offset[c], edge[c] = 0, -0.5, True
                else:
                    index[c], offset[c], edge[c] = at - 1, _crossing(tracks, c, at - base, threshold), False
                at += 1
                continue
            fall = at
            while fall < stop and tracks[fall - base, c] > threshold:
                fall += 1
            limit = index[c] + longest
            cut = fall > limit and limit < stop
            if not cut and fall == stop:
                break
            if cut:
                # After the lowest value in the second half of the permitted length, between two snippets.
                end = index[c] + longest // 2
                for t in range(end + 1, limit):
                    if tracks[t - base, c] < tracks[end - base, c]:
                        end = t
                closed, end_offset = limit, 0.5
            else:
                closed, end, end_offset = fall, fall - 1, _crossing(tracks, c, fall - base, threshold)
            if count < len(places):
                _put(places[count], c, index[c], edge[c], end, cut, closed)
                offsets[count, 0], offsets[count, 1] = offset[c], end_offset
            count += 1
            index[c] = -1
            if cut:
                index[c], offset[c], edge[c] = end + 1, -0.5, True
            at = closed + 1
        if final and index[c] >= 0 and stop > 0:
            if count < len(places):
                _put(places[count], c, index[c], edge[c], stop - 1, True, stop - 1)
                offsets[count, 0], offsets[count, 1] = offset[c], 0.5
            count += 1
            index[c] = -1
    return count


def find_islands(
    tracks: F32, islands: OpenIslands, *, base: int, first: int, threshold: float, longest: int, final: bool = False
) -> Islands:
    """Continue on tracks that have grown, and return the islands that closed.

    Args:
        tracks: float32 [T, C] or wider, of which row 0 belongs to snippet `base`.
        islands: the islands that are open, which this call changes. `tracks` reaches back to their starts, and to the
            snippet before `first`.
        base: see `tracks`.
        first: the first snippet whose values are new.
        threshold: an island is strictly above it.
        longest: maximum length of an island in snippets, at least 2.
        final: the section ends with the tracks, and with it every open island.

    Returns:
        The islands by class and time.

    Raises:
        KernelInputError: the tracks have another form, or do not reach back far enough.

    Example:
        >>> import numpy as np
        >>> from punctum import kernels
        >>> tracks, none = np.array([[0.0], [1.0], [0.0]], np.float32), kernels.OpenIslands.none(1)
        >>> kernels.find_islands(tracks, none, base=0, first=0, threshold=0.5, longest=9).offsets.tolist()
        [[0.5, 0.5]]
    """
    classes = len(islands.snippet)
    if tracks.dtype != np.float32 or tracks.ndim != 2 or tracks.shape[1] < classes or not tracks.flags.c_contiguous:
        raise KernelInputError(
            f"tracks is {tracks.dtype} {list(tracks.shape)}", f"float32 [T, {classes}] or wider", "convert the tracks"
        )
    oldest = min((start for start in islands.snippet.tolist() if start >= 0), default=first)
    if not (base <= first and (first == 0 or base < first) and base <= oldest) or longest < 2:
        raise KernelInputError(
            f"tracks from snippet {base} on, with new values from {first} on and an island open since {oldest}, of at "
            f"most {longest} snippets",
            "tracks that reach back to the open islands and to the snippet before the new ones; 2 snippets or more",
            "keep more of the tracks",
        )
    most = classes * ((base + len(tracks) - first) // 2 + 2)
    room = min(most, USUAL)
    before = islands.copy() if most > room else islands
    while True:
        places, offsets = np.empty((room, 6), np.int64), np.empty((room, 2))
        count = _find(tracks, base, first, np.float32(threshold), longest, final, *islands, places, offsets)
        if count <= room:
            return Islands(places[:count], offsets[:count])
        room = count
        for array, saved in zip(islands, before, strict=True):
            array[:] = saved

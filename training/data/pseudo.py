"""Pseudo segments: how far each clicked action reaches, given the locator's tracks and all other clicks.

Between two neighbouring clicks there is one end, a stretch of background (possibly empty) and one start; before the
first and after the last there is one start and one end. The most probable placement is found exactly, in one pass.
"""

from __future__ import annotations

import numpy as np

from ..arrays import F32, F64
from .labels import Clicks

FLOOR = 1e-4  # probabilities below it count as it: one confident error must not decide a border


def align_clicks(tracks: F32, clicks: Clicks) -> F64:
    """Segments [N, 2] of N clicks in snippet-centre coordinates (edges of snippets, so k - 0.5).

    tracks float32 [T, C+1] = [P, A]. Clicks in one snippet share a segment. Two clicks of one class stay apart by at
    least one snippet of background where there is room.
    """
    snippets, inverse = np.unique(clicks.snippet, return_index=False, return_inverse=True)
    if len(snippets) == 0:
        return np.zeros((0, 2))
    first = np.array([clicks.label[np.argmax(inverse == i)] for i in range(len(snippets))])
    track = np.concatenate([tracks[:, :-1], 1.0 - tracks[:, -1:]], axis=1)
    total = np.concatenate([np.zeros((1, track.shape[1])), np.cumsum(np.log(np.maximum(track, FLOOR)), axis=0)])
    # gain[t, c]: what a class gains over background on the snippets before t
    gain = total[:, :-1] - total[:, -1:]
    begin, end = snippets.copy(), snippets.copy()
    begin[0] = int(np.argmin(gain[: snippets[0] + 1, first[0]]))
    end[-1] = snippets[-1] + int(np.argmax(gain[snippets[-1] + 1 :, first[-1]]))
    for i in range(len(snippets) - 1):
        low, high = int(snippets[i]), int(snippets[i + 1])
        apart = 1 if first[i] == first[i + 1] and high - low > 1 else 0
        ends = gain[low + 1 : high + 1 - apart, first[i]]  # action i ends before snippet low + 1 + k
        starts = -gain[low + 1 + apart : high + 1, first[i + 1]]  # action i + 1 starts at low + 1 + apart + k
        best_end = np.maximum.accumulate(ends)
        k = int(np.argmax(best_end + starts))
        begin[i + 1] = low + 1 + apart + k
        end[i] = low + int(np.argmax(ends[: k + 1]))
    segments = np.stack([begin - 0.5, end + 0.5], axis=1)
    return np.asarray(segments[inverse], np.float64)


def sample_segments(truth: F64, snippets: int, *, around: int, elsewhere: int, rng: np.random.Generator) -> F64:
    """Candidates [N, 2] for learning quality: `around` per segment, jittered, and `elsewhere` per segment, anywhere."""
    if len(truth) == 0:
        return np.zeros((0, 2))
    length = np.repeat(truth[:, 1] - truth[:, 0], around)
    centre = np.repeat(truth.mean(1), around)
    size = length * np.exp(rng.normal(0, 0.5, len(length)))
    centre = centre + rng.normal(0, 0.25, len(length)) * np.maximum(length, size)
    typical = np.exp(np.mean(np.log(truth[:, 1] - truth[:, 0])))
    free = typical * np.exp(rng.normal(0, 0.8, elsewhere * len(truth)))
    sizes, centres = np.concatenate([size, free]), np.concatenate([centre, rng.uniform(0, snippets, len(free))])
    found = np.clip(np.stack([centres - sizes / 2, centres + sizes / 2], axis=1), -0.5, snippets - 0.5)
    return np.asarray(found[found[:, 1] - found[:, 0] > 0.5])

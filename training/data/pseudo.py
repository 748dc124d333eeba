"""Pseudo segments: start and end of each clicked action, from the locator's tracks and all clicks of the video.

Between two neighboring clicks there are the end of the first action, background (possibly empty) and the start of the
second action; before the first click there is a start, after the last click an end. The most probable boundaries are
found exactly, in one pass.

The tracks are trained at clicks, with background in the middle of the gaps, so their level at the edge of an action
depends on how often each was drawn and not on where actions end. An offset on the log-likelihood ratio corrects this;
it is chosen by how consistently the clicks lie in the segments (`best_offset`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import F32, F64
from .labels import Clicks

FLOOR = 1e-4  # lower bound of probabilities, so that one confident error does not decide a boundary


OFFSETS = tuple(0.5 * k for k in range(9))
LEAST_SCATTER = 0.2
"""Standard deviation of people's clicks in their actions, as a share of the length. Segments that grow evenly on both
sides always reduce the scatter, so no lower value is sought."""


def align_clicks(tracks: F32, clicks: Clicks, *, offset: float = 0.0) -> F64:
    """The most probable segment of every click.

    Clicks in one snippet share a segment. Two neighboring clicks of one class are separated by at least one snippet
    of background if there is one between them.

    Args:
        tracks: float32 [T, C + 1], class tracks and actionness.
        clicks: clicks of the video.
        offset: added to the logarithm of the ratio of class to background in every snippet; the larger, the longer
            are the segments.

    Returns:
        Segments [N, 2] in snippet-center coordinates; boundaries are edges of snippets, k - 0.5.
    """
    snippets, inverse = np.unique(clicks.snippet, return_index=False, return_inverse=True)
    if len(snippets) == 0:
        return np.zeros((0, 2))
    first = np.array([clicks.label[np.argmax(inverse == i)] for i in range(len(snippets))])
    track = np.concatenate([tracks[:, :-1], 1.0 - tracks[:, -1:]], axis=1)
    total = np.concatenate([np.zeros((1, track.shape[1])), np.cumsum(np.log(np.maximum(track, FLOOR)), axis=0)])
    # gain[t, c]: log-likelihood ratio of class c to background over the snippets before t
    gain = total[:, :-1] - total[:, -1:] + offset * np.arange(len(total))[:, None]
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


def best_offset(videos: Sequence[tuple[F32, Clicks]]) -> float:
    """The offset of `align_clicks` with which the clicks lie most consistently in their segments.

    With segments that are too short or too long, clicks are scattered over them. The measure is the standard deviation
    of the position of a click, relative to the middle and the length of its segment. The smallest offset that is within
    one standard error of the lowest value, or at most `LEAST_SCATTER`, is taken, so a few clicks change little. No
    interval annotations are needed.

    Args:
        videos: tracks, float32 [T, C + 1], and clicks of each video.
    """
    clicked = [(tracks, clicks) for tracks, clicks in videos if len(clicks)]
    if not clicked:
        return 0.0
    position = np.concatenate([clicks.position for _, clicks in clicked])
    scatter = []
    for offset in OFFSETS:
        segments = np.concatenate([align_clicks(tracks, clicks, offset=offset) for tracks, clicks in clicked])
        relative = (position - segments.mean(1)) / (segments[:, 1] - segments[:, 0])
        scatter.append(float(relative.std()))
    bound = max(min(scatter) * (1 + 1 / np.sqrt(2 * len(position))), LEAST_SCATTER)
    return next(offset for offset, value in zip(OFFSETS, scatter, strict=True) if value <= bound)


def sample_segments(truth: F64, snippets: int, *, around: int, elsewhere: int, rng: np.random.Generator) -> F64:
    """Candidates [N, 2] for learning tIoU, clipped to the video.

    Args:
        truth: pseudo segments [K, 2].
        snippets: length of the video.
        around: jittered candidates per pseudo segment.
        elsewhere: candidates anywhere in the video, per pseudo segment.
        rng: source of all draws.
    """
    if len(truth) == 0:
        return np.zeros((0, 2))
    length = np.repeat(truth[:, 1] - truth[:, 0], around)
    center = np.repeat(truth.mean(1), around)
    size = length * np.exp(rng.normal(0, 0.5, len(length)))
    center = center + rng.normal(0, 0.25, len(length)) * np.maximum(length, size)
    typical = np.exp(np.mean(np.log(truth[:, 1] - truth[:, 0])))
    free = typical * np.exp(rng.normal(0, 0.8, elsewhere * len(truth)))
    sizes, centers = np.concatenate([size, free]), np.concatenate([center, rng.uniform(0, snippets, len(free))])
    candidates = np.clip(np.stack([centers - sizes / 2, centers + sizes / 2], axis=1), -0.5, snippets - 0.5)
    return np.asarray(candidates[candidates[:, 1] - candidates[:, 0] > 0.5])

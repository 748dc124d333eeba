"""Shape and range checks of what an engine returns. An engine is external code: nothing it returns is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..bundle.config import Fusion
from ..errors import EngineError
from .jobs import ScorerOutput

F32 = npt.NDArray[np.float32]
ROUNDING = 1e-3  # tolerance of probabilities beyond 0..1: one step of float16 above 1


def join_tracks(output: Iterable[npt.ArrayLike], rows: tuple[int, ...]) -> F32:
    """The locator's output, class tracks [*rows, C] and actionness [*rows], as one array [*rows, C + 1]."""
    try:
        class_track, actionness = (np.asarray(part, np.float32) for part in output)
    except (TypeError, ValueError) as error:
        raise wrong_shape(f"The locator returned no pair of arrays ({error})", "class tracks and actionness") from error
    if class_track.ndim != len(rows) + 1 or class_track.shape[:-1] != rows or actionness.size != math.prod(rows):
        raise wrong_shape(
            f"The locator returned class tracks {class_track.shape} and actionness {actionness.shape}",
            f"({', '.join(map(str, rows))}, classes) and {rows}",
        )
    return np.concatenate([class_track, actionness.reshape(*rows, 1)], axis=-1, dtype=np.float32)


def stepped_output(output: object, rows: tuple[int, ...], states: tuple[int, ...]) -> tuple[F32, F32]:
    """The output of a step: tracks [*rows, C + 1] and next states, which must be finite, as later steps use them."""
    if not isinstance(output, tuple | list) or len(output) != 3:
        raise wrong_shape("The locator returned no class tracks, actionness and states", "three arrays")
    tracks = join_tracks(output[:2], rows)
    after = np.asarray(output[2], np.float32)
    if after.shape != states:
        raise wrong_shape(f"The locator returned states {after.shape}", str(states))
    if not (np.isfinite(after.sum()) or np.isfinite(after).all()):  # the sum is quick, and may overflow
        raise EngineError(
            "tracks-not-finite",
            "The locator returned NaN or infinity",
            "finite states",
            "check the features and the bundle",
        )
    return tracks, after


def scorer_output(output: Iterable[npt.ArrayLike], count: int) -> ScorerOutput:
    """The center scorer's output for `count` proposals, as float32 arrays [M, C], [M] and [M]."""
    try:
        probability, attention, center = (np.asarray(part, np.float32) for part in output)
    except (TypeError, ValueError) as error:
        raise wrong_shape(f"The center scorer did not return three arrays ({error})", "three arrays") from error
    if probability.ndim != 2 or len(probability) != count or attention.size != count or center.size != count:
        raise wrong_shape(
            f"The center scorer returned {probability.shape}, {attention.shape} and {center.shape}",
            f"({count}, classes), ({count},) and ({count},)",
        )
    return probability, attention.reshape(count), center.reshape(count)


def check_tracks(tracks: F32, shape: tuple[int, int]) -> None:
    """Raise EngineError unless tracks [n, C + 1] have this shape and all values are probabilities."""
    if tracks.shape != shape:
        # The last column is the actionness, which the locator returns on its own.
        rows, columns, (wanted, classes) = len(tracks), tracks.shape[-1], shape
        raise wrong_shape(
            f"The locator returned class tracks {(rows, columns - 1)}",
            f"{(wanted, classes - 1)}: a row per snippet, a column per class",
        )
    _check_range(tracks, "tracks", "The locator")


def check_scores(output: ScorerOutput, count: int, classes: int, weights: Fusion) -> None:
    """Raise EngineError unless the terms used by the fusion are probabilities, and there is a term of each class."""
    probability, attention, center = output
    if probability.shape != (count, classes):
        raise wrong_shape(f"The center scorer returned {probability.shape}", f"({count}, {classes})")
    for term, weight in (
        (probability, weights.class_probability),
        (attention, weights.attention),
        (center, weights.center),
    ):
        if weight > 0:
            _check_range(term, "scores", "The center scorer")


def wrong_shape(given: str, allowed: str) -> EngineError:
    """The error for an output of an unexpected shape."""
    return EngineError("backend-shape", given, allowed, "check the graph, or the own backend")


def _check_range(values: F32, what: str, network: str) -> None:
    if not values.size:
        return
    low, high = float(np.minimum.reduce(values, axis=None)), float(np.maximum.reduce(values, axis=None))  # NaN if any
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return
    if not np.isfinite(values).all():
        raise EngineError(
            f"{what}-not-finite",
            f"{network} returned NaN or infinity",
            f"finite {what}",
            "check the features and the bundle",
        )
    worst = low if low < -ROUNDING else high
    raise EngineError(
        f"{what}-out-of-range", f"{network} returned {worst:g}", "probabilities, 0..1", "check the graph's output layer"
    )

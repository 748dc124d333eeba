"""Names of the graphs' inputs and outputs, and arrays that every backend makes alike."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..session.engine import F32, Shape
from .runner import Array

TRACKS = ("class_track", "actionness")
"""Outputs of the locator: [B, T, C] and [B, T], or [T, C] and [T]."""
TERMS = ("class_probability", "attention", "center")
"""Outputs of the scorer: [M, C], [M] and [M]."""
SCORER_INPUTS = ("features", "tracks", "segments", "labels")
"""Inputs that the scorer may have: [T, D], [T, C + 1], [M, 2] and [M]."""


def neutral_terms(count: int, classes: int) -> tuple[F32, F32, F32]:
    """The terms of `count` proposals for a bundle without a scorer: every term is 1."""
    one = np.ones(count, np.float32)
    return np.ones((count, classes), np.float32), one, one


def warmup_window(shape: Shape, dim: int) -> F32:
    """Features of zeros, [windows, T, D], for a run of the locator."""
    return np.zeros((shape.windows, shape.length, dim), np.float32)


def warmup_proposals(shape: Shape, dim: int, classes: int) -> dict[str, Array]:
    """Arrays for a run of the scorer, by input name. Every proposal covers the whole window."""
    whole = np.array([[0.0, max(shape.length - 1, 0)]], np.float32)
    return {
        "features": np.zeros((shape.length, dim), np.float32),
        "tracks": np.zeros((shape.length, classes + 1), np.float32),
        "segments": np.tile(whole, (shape.proposals, 1)),
        "labels": np.zeros(shape.proposals, np.int64),
    }


def graph_mismatch(given: str, expected: str, next_step: str = "export the bundle again") -> InputError:
    """The error for a graph that does not fit the manifest."""
    return InputError("graph-mismatch", given, required=expected, next_step=next_step)

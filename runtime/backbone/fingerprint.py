"""The fingerprint of a backbone: statistics of its features for a reference clip that every machine draws alike.

The clip is drawn in integer arithmetic, and its size is larger than the network's input and not a multiple of it.
Cropping, resampling, color order, normalization, layout and the graph must all be right for the features to match.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..bundle.backbone_spec import ClipFingerprint
from ..errors import InputError
from .encoder import ClipEncoder
from .extractor import Extractor

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]
SEED = 20240617
ROWS, COLUMNS = 117, 203
SNIPPETS = 3
PROJECTIONS = 8
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _mix(value: U64) -> U64:
    """Integers to well-mixed integers (splitmix64)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def reference_clip(frames: int, seed: int = SEED) -> npt.NDArray[np.uint8]:
    """uint8 [frames, ROWS, COLUMNS, 3]: drifting gradients, moving blocks, grain. Integer arithmetic only."""
    numbers = [int(n) % 1009 for n in _mix(np.arange(16, dtype=np.uint64) + np.uint64(seed))]
    y, x = np.arange(ROWS)[:, None], np.arange(COLUMNS)[None, :]
    cells = np.arange(ROWS * COLUMNS * 3, dtype=np.uint64).reshape(ROWS, COLUMNS, 3)
    grain = (_mix(cells + np.uint64(seed) * np.uint64(7919)) & np.uint64(31)).astype(np.int64)
    clip = np.empty((frames, ROWS, COLUMNS, 3), np.uint8)
    for t in range(frames):
        image = np.empty((ROWS, COLUMNS, 3), np.int64)
        for c in range(3):
            slope = (2 + numbers[c] % 3) * x + (1 + numbers[3 + c] % 4) * y
            image[..., c] = np.abs((slope + (3 + 2 * c) * t + numbers[6 + c]) % 384 - 192)
        for b in range(3):
            top = (numbers[9 + b] + (2 + b) * t) % ROWS
            left = (numbers[12 + b] + (5 - 2 * b) * t) % COLUMNS
            image[top : top + 29 - 4 * b, left : left + 23 + 6 * b, b] = 250 - 70 * b
        clip[t] = np.clip(image + grain, 0, 255)
    return clip


def make_fingerprint(backbone: ClipEncoder, *, seed: int = SEED, tolerance: float = 1e-3) -> ClipFingerprint:
    """Statistics of the backbone's features for the reference clip, for `check_fingerprint` to compare with."""
    return _statistics(_reference_rows(backbone, seed), seed, tolerance)


def _reference_rows(backbone: ClipEncoder, seed: int, *, batch: int = 1) -> F64:
    """Features of the reference clip, with `batch` clips in each run of the graph."""
    extractor = Extractor(backbone, batch=batch)
    clip = reference_clip(SNIPPETS * backbone.spec.snippet_frames, seed)
    parts = [extractor.push(frame) for frame in clip]
    return np.concatenate([*parts, extractor.flush()]).astype(np.float64)


def _statistics(rows: F64, seed: int, tolerance: float) -> ClipFingerprint:
    signs = _mix(np.arange(rows.size * PROJECTIONS, dtype=np.uint64)).reshape(PROJECTIONS, rows.size) >> np.uint64(63)
    projected = (2.0 * signs.astype(np.float64) - 1.0) @ rows.ravel() / np.sqrt(rows.size)
    return ClipFingerprint(
        seed=seed,
        mean=float(rows.mean()),
        std=float(rows.std()),
        quantiles=tuple(float(q) for q in np.quantile(rows, _QUANTILES)),
        projection=tuple(float(p) for p in projected),
        tolerance=tolerance,
    )


def check_fingerprint(backbone: ClipEncoder, expected: ClipFingerprint) -> None:
    """Compare a backbone with a recorded fingerprint.

    Raises:
        InputError: A statistic differs, with the first that does; or the features of a clip depend on the other clips
            in the same run of the graph.
    """
    rows = _reference_rows(backbone, expected.seed)
    measured = _statistics(rows, expected.seed, expected.tolerance)
    allowed = expected.tolerance * max(expected.std, 1e-6)
    for field in ("mean", "std", "quantiles", "projection"):
        actual, wanted = np.atleast_1d(getattr(measured, field)), np.atleast_1d(getattr(expected, field))
        if actual.shape == wanted.shape and (np.abs(actual - wanted) <= allowed).all():
            continue
        k = int(np.argmax(np.abs(actual - wanted))) if actual.shape == wanted.shape else 0
        name = f"{field}[{k}]" if len(actual) > 1 else field
        raise InputError(
            "backbone-fingerprint",
            f"The backbone of {backbone.name} gives {name} = {actual[k]:.6g} for the reference clip. The graph, its "
            "preprocessing or the engine differs from those of the export",
            f"{[round(value, 6) for value in wanted.tolist()]} within {allowed:.1g}",
            "export the backbone again, or use the engine version of the export",
        )
    together = _reference_rows(backbone, expected.seed, batch=SNIPPETS)
    _check_same(backbone, rows, together, allowed)


def check_clips_apart(backbone: ClipEncoder, *, tolerance: float = 1e-4) -> None:
    """Check that the features of a clip do not depend on the other clips in the same run.

    They do where a batch normalization uses the statistics of the batch, while both offline and live, clips share runs
    with others. The clips here differ in brightness and contrast, which such statistics reveal.

    Args:
        backbone: The network.
        tolerance: Largest difference, relative to the largest feature or to 1.

    Raises:
        InputError: The features differ.
    """
    rng = np.random.default_rng(0)
    shape = backbone.spec.clip_shape
    clips = np.stack([rng.normal(m, s, shape) for m, s in ((0.0, 1.0), (1.5, 0.3), (-1.0, 2.0))]).astype(np.float32)
    apart = np.concatenate([backbone.embed(clip[None]) for clip in clips]).astype(np.float64)
    _check_same(backbone, apart, backbone.embed(clips).astype(np.float64), tolerance * max(1.0, np.abs(apart).max()))


def _check_same(backbone: ClipEncoder, apart: F64, together: F64, allowed: float) -> None:
    difference = float(np.abs(apart - together).max())
    if difference > allowed:
        raise InputError(
            "backbone-batch",
            f"The features of a clip from the backbone of {backbone.name} differ by {difference:.3g} when other clips "
            "share the run",
            f"at most {allowed:.1g}, whatever else is in the batch",
            "use normalization with stored statistics (for BatchNorm: track_running_stats=True and eval()), and no "
            "quantization by ranges of the batch; then export the backbone again",
        )

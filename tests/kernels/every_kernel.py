"""Every kernel on random input: what the two forms of the kernels have to agree on."""

from __future__ import annotations

from typing import Any

import numpy as np
from punctum import kernels
from punctum.kernels import _draw
from punctum.kernels._order import argsort_stable


def results(seed: int, most: int) -> dict[str, Any]:
    """Name of a call -> what it returned, for up to `most` segments."""
    rng = np.random.default_rng(seed)
    return {**_segments(rng, most), **_tracks(rng, most), **_evaluation(rng, most), **_pictures(rng)}


def _crowd(rng: np.random.Generator, most: int) -> tuple[np.ndarray, np.ndarray]:
    count = int(rng.integers(0, most))
    start = rng.uniform(0, max(count, 1) / rng.uniform(0.5, 6), count)
    segments = np.stack([start, start + rng.lognormal(0.5, 0.8, count)], 1)
    scores = rng.random(count) ** 2
    if rng.random() < 0.5:  # ties
        segments, scores = np.round(segments * 4) / 4, np.round(scores, 1)
    return segments, scores


def _segments(rng: np.random.Generator, most: int) -> dict[str, Any]:
    segments, scores = _crowd(rng, most)
    offsets = [0, *np.sort(rng.integers(0, len(scores) + 1, 3)), len(scores)]
    offset = float(rng.integers(0, 2))
    sigma = float(rng.uniform(0.01, 0.6))
    return {
        "iou": kernels.segment_iou(segments[:50], segments[:70], length_offset=offset),
        "nms": kernels.nms(segments, scores, iou_threshold=0.4, length_offset=offset),
        "soft": kernels.soft_nms(segments, scores, sigma=sigma, min_score=0.01, length_offset=offset),
        "negative": kernels.soft_nms(segments[:200], scores[:200] - 0.3, sigma=sigma, min_score=-1.0),
        "groups": kernels.suppress_groups(segments, scores, offsets, sigma=sigma),
        "adapt": kernels.adapt_groups(segments, scores, offsets, iou_threshold=float(rng.uniform(0.0, 0.9))),
        "classes": kernels.settle_classes(
            segments, rng.random((len(scores), 3)), sigma=sigma, min_score=0.01, length_offset=offset
        ),
        "order": (argsort_stable(scores, True), argsort_stable(scores - 0.5, False)),
    }


def _tracks(rng: np.random.Generator, most: int) -> dict[str, Any]:
    length, classes = int(rng.integers(1, max(most, 4))), int(rng.integers(1, 5))
    tracks = rng.random((length, classes)).astype(np.float32)
    segments = np.sort(rng.uniform(-3, length + 3, (20, 2)), 1)
    labels = rng.integers(0, classes, 20)
    features = rng.normal(size=(length, 7)).astype(np.float32)
    scored, points = rng.random((length, classes + 1)), np.zeros((length, classes))
    for _ in range(int(rng.integers(0, 6))):
        points[rng.integers(length), rng.integers(classes)] = 1
    low, high = rng.uniform(0, 1, 2)
    action, background = kernels.select_seeds(scored, points, action_threshold=low, background_threshold=high)
    return {
        **_islands(rng, tracks),
        "runs": kernels.find_runs_many(tracks, [0.1, 0.5, 0.9]),
        "contrast": kernels.outer_inner_contrast(tracks, segments, labels=labels, max_margin=5),
        "mean": kernels.segment_mean(tracks, segments, labels=labels),
        "pool": kernels.pool_segments(features, segments),
        "pool, 6 bins": kernels.pool_segments(features, segments, bins=6, context=0.5, max_context=3),
        "pool, windows": kernels.pool_windows(features, [0, length // 2, length], segments, [0, 7, 20]),
        "seeds": (action, background),
        "sequence": kernels.search_sequence(scored, action, background),
    }


def _islands(rng: np.random.Generator, tracks: np.ndarray) -> dict[str, Any]:
    length, classes = tracks.shape
    still_open, half = kernels.OpenIslands.none(classes), length // 2
    level, longest = float(rng.uniform(0.2, 0.8)), int(rng.integers(2, 40))
    first = kernels.find_islands(tracks[:half], still_open, base=0, first=0, threshold=level, longest=longest)
    rest = kernels.find_islands(tracks, still_open, base=0, first=half, threshold=level, longest=longest, final=True)
    wide = np.concatenate([tracks, tracks[:, :1]], axis=1)
    found = kernels.propose_islands(
        wide, [(0, 0, length), (classes - 1, 0, length)], [(-0.5, length - 0.5), (0.0, length / 2)],
        thresholds=[0.1, 0.5], action_thresholds=[0.3], max_margin=5, most=7,
    )  # fmt: skip
    settled = kernels.settle_islands(
        found.segments, np.abs(found.contrast), found.offsets, adapt_iou=0.4, sigma=0.3, min_score=0.0
    )
    return {"islands": (first, rest), "proposals": found, "settled": settled}


def _evaluation(rng: np.random.Generator, most: int) -> dict[str, Any]:
    truth, found = (np.sort(rng.uniform(0, 50, (n, 2)), 1) for n in (most // 3 + 1, most))
    groups = [(rng.integers(0, 3, len(part)), rng.integers(0, 4, len(part)), part) for part in (truth, found)]
    scores = np.round(rng.random(most), 1)
    levels = [0.1, 0.3, 0.5, 0.7]
    return {"ap": kernels.average_precision(*groups[0], *groups[1], scores, levels, videos=3, classes=4)}


def _pictures(rng: np.random.Generator) -> dict[str, Any]:
    height, width = (int(n) for n in rng.integers(1, 60, 2))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    window = (height * 0.13, width * 0.2, height * 0.5, width * 0.61)
    made = {"resize": kernels.resize_area(image, 13, 17), "crop": kernels.resize_area(image, 5, 9, crop=window)}
    canvas, frame = np.zeros((40, 50, 3), np.float32), np.empty((40, 50, 3), np.uint8)
    texture = rng.uniform(0, 255, (60, 70, 3)).astype(np.float32)
    colors = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    outline = rng.uniform(0.8, 1.2, _draw.BINS).astype(np.float32)
    x, y, turn, alpha = (float(value) for value in rng.uniform(0, 1, 4))
    _draw.paint_backdrop(canvas, texture, 3 * x, 3 * y)
    _draw.paint_block(canvas, texture, 10 * x, 10 * y, 20.0, 30.0, x, y)
    for kind in (_draw.STRIPES, _draw.SECTORS, _draw.HALVES, _draw.RINGS):
        _draw.paint_shape(canvas, 50 * x, 40 * y, 9.0, turn, 1.3, y, alpha, outline, kind, 4.0, colors)
    _draw.paint_figure(canvas, 50 * y, 40 * x, 12.0, turn, 1.1, x, alpha, rng.uniform(-1, 1, 4), colors)
    noise = rng.normal(0, 5, (72, 82, 3)).astype(np.float32)
    _draw.expose(canvas, 1.1, 0.1, noise, int(rng.integers(0, 32)), int(rng.integers(0, 32)), frame)
    return made | {"canvas": canvas, "frame": frame}

"""Compile (or load from the cache) every kernel before the first real input: explicit, never on import."""

from __future__ import annotations

import numpy as np


def warm_up() -> None:
    """Run every kernel once on a tiny input. Call it before a service reports that it is ready."""
    from . import _adapt, _contrast, _islands, _match, _overlap, _pool, _propose, _resize, _runs, _sequence, _suppress

    segments = np.array([[0.0, 2.0], [1.0, 3.0]])
    scores = np.array([0.9, 0.4])
    track = np.array([0.0, 1.0, 0.5, 0.0], np.float32)
    group = np.zeros(2, np.int64)
    _overlap.segment_iou(segments, segments)
    _suppress.nms(segments, scores, iou_threshold=0.5)
    _suppress.soft_nms(segments, scores)
    _adapt.adapt_boundaries(segments, scores)
    _runs.find_runs(track, [0.1, 0.4])
    _contrast.outer_inner_contrast(track, segments)
    _islands.find_islands(
        np.ones((2, 1), np.float32), _islands.OpenIslands.none(1), base=0, first=0, threshold=0.5, longest=2
    )
    _propose.propose_islands(np.ones((4, 2), np.float32), [(0, 0, 4)], [(0.0, 3.0)], thresholds=[0.5])
    _pool.pool_segments(track[:, None], segments)
    _match.average_precision(group, group, segments, group, group, segments, scores, [0.5], videos=1, classes=1)
    tracks = np.array([[0.1, 0.9], [0.8, 0.1], [0.1, 0.9]])
    action, background = _sequence.select_seeds(tracks, [[0.0], [1.0], [0.0]])
    _sequence.search_sequence(tracks, action, background)
    _resize.resize_area(np.zeros((2, 2, 3), np.uint8), 1, 1)

"""The kernels of libpunctum with the names, arguments and results of `punctum.kernels`."""

from __future__ import annotations

import ctypes as c
from typing import Any

import numpy as np

from tests.native.binding import Library, f32, f64, i64


class Kernels:
    def __init__(self, library: Library) -> None:
        self.library = library

    def segment_iou(self, a: Any, b: Any, *, length_offset: float = 0.0) -> np.ndarray:
        a, b = _segments(a), _segments(b)
        out = np.zeros((len(a), len(b)))
        sizes = [f64(a), c.c_size_t(len(a)), f64(b), c.c_size_t(len(b))]
        self.library.call("segment_iou", *sizes, c.c_double(length_offset), f64(out))
        return out

    def nms(self, segments: Any, scores: Any, *, iou_threshold: float, length_offset: float = 0.0) -> np.ndarray:
        segments, scores, n = _scored(segments, scores)
        kept, count = np.zeros(n.value, np.int64), c.c_size_t()
        limits = c.c_double(iou_threshold), c.c_double(length_offset)
        self.library.call("nms", f64(segments), f64(scores), n, *limits, i64(kept), c.byref(count))
        return kept[: count.value]

    def soft_nms(
        self, segments: Any, scores: Any, *, sigma: float = 0.3, min_score: float = 0.0, length_offset: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        segments, scores, n = _scored(segments, scores)
        index, decayed, count = np.zeros(n.value, np.int64), np.zeros(n.value), c.c_size_t()
        limits = c.c_double(sigma), c.c_double(min_score), c.c_double(length_offset)
        out = i64(index), f64(decayed), c.byref(count)
        self.library.call("soft_nms", f64(segments), f64(scores), n, *limits, *out)
        return index[: count.value], decayed[: count.value]

    def suppress_groups(self, segments: Any, scores: Any, offsets: Any, *, sigma: float, min_score: float) -> Any:
        segments, scores, n = _scored(segments, scores)
        offsets = np.ascontiguousarray(offsets, np.int64)
        index, decayed, ends = np.zeros(n.value, np.int64), np.zeros(n.value), np.zeros_like(offsets)
        groups = i64(offsets), c.c_size_t(len(offsets) - 1)
        limits = c.c_double(sigma), c.c_double(min_score), c.c_double(0.0)
        out = i64(index), f64(decayed), i64(ends)
        self.library.call("suppress_groups", f64(segments), f64(scores), n, *groups, *limits, *out)
        return index[: ends[-1]], decayed[: ends[-1]], ends

    def adapt_boundaries(self, segments: Any, scores: Any, *, iou_threshold: float = 0.4) -> np.ndarray:
        segments, scores, n = _scored(segments, scores)
        out = np.zeros_like(segments)
        self.library.call("adapt_boundaries", f64(segments), f64(scores), n, c.c_double(iou_threshold), f64(out))
        return out

    def adapt_groups(self, segments: Any, scores: Any, offsets: Any, *, iou_threshold: float = 0.4) -> np.ndarray:
        segments, scores, n = _scored(segments, scores)
        offsets, out = np.ascontiguousarray(offsets, np.int64), np.zeros_like(segments)
        groups = i64(offsets), c.c_size_t(len(offsets) - 1)
        self.library.call("adapt_groups", f64(segments), f64(scores), n, *groups, c.c_double(iou_threshold), f64(out))
        return out

    def find_runs_many(self, tracks: Any, thresholds: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tracks, levels = np.ascontiguousarray(tracks, np.float32), np.ascontiguousarray(thresholds, np.float64)
        given = f32(tracks), *map(c.c_size_t, tracks.shape), f64(levels), c.c_size_t(len(levels))
        count = c.c_size_t()
        self.library.call("find_runs", *given, None, None, None, c.c_size_t(0), c.byref(count), allow=(0, -4))
        segments = np.zeros((count.value, 2))
        column, level = np.zeros(count.value, np.int64), np.zeros(count.value, np.int64)
        out = f64(segments), i64(column), i64(level), c.c_size_t(count.value)
        self.library.call("find_runs", *given, *out, c.byref(count))
        return segments, column, level

    def contrast_and_mean(
        self, tracks: Any, segments: Any, *, margin: float, max_margin: float, labels: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        tracks = np.ascontiguousarray(tracks, np.float32)
        tracks = tracks.reshape(len(tracks), -1)
        segments = _segments(segments)
        labels = None if labels is None else np.ascontiguousarray(labels, np.int64)
        contrast, inside = np.zeros(len(segments)), np.zeros(len(segments))
        given = f32(tracks), *map(c.c_size_t, tracks.shape), f64(segments), None if labels is None else i64(labels)
        limits = c.c_size_t(len(segments)), c.c_double(margin), c.c_double(max_margin)
        self.library.call("outer_inner_contrast", *given, *limits, f64(contrast), f64(inside))
        return contrast, inside

    def pool_segments(
        self, features: Any, segments: Any, *, bins: int = 12, context: float = 0.25, max_context: float = np.inf
    ) -> np.ndarray:
        features, segments = np.ascontiguousarray(features, np.float32), _segments(segments)
        out = np.zeros((len(segments), bins, features.shape[1]), np.float32)
        given = f32(features), *map(c.c_size_t, features.shape), f64(segments), c.c_size_t(len(segments))
        limits = c.c_size_t(bins), c.c_double(context), c.c_double(max_context)
        self.library.call("pool_segments", *given, *limits, f32(out))
        return out

    def fuse_confidence(self, class_probability: Any, attention: Any, center: Any) -> np.ndarray:
        parts = [np.ascontiguousarray(part, np.float64) for part in (class_probability, attention, center)]
        out = np.zeros_like(parts[0])
        self.library.call("fuse_confidence", *map(f64, parts), *map(c.c_size_t, out.shape), f64(out))
        return out


def _segments(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values, np.float64).reshape(-1, 2)


def _scored(segments: Any, scores: Any) -> tuple[np.ndarray, np.ndarray, c.c_size_t]:
    scores = np.ascontiguousarray(scores, np.float64)
    return _segments(segments), scores, c.c_size_t(len(scores))

"""A backend that measures itself."""

from __future__ import annotations

import time

from ..session.engine import F32, I64, Backend, locate_windows


class Timed:
    """A backend that measures the seconds spent in each graph."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.locate_s, self.score_s = backend, 0.0, 0.0
        self.requested, self.actual = backend.requested, backend.actual

    def locate(self, features: F32) -> tuple[F32, F32]:
        began = time.perf_counter()
        tracks = self._backend.locate(features)
        self.locate_s += time.perf_counter() - began
        return tracks

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        began = time.perf_counter()
        tracks = locate_windows(self._backend, windows)
        self.locate_s += time.perf_counter() - began
        return tracks

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        began = time.perf_counter()
        terms = self._backend.score(features, tracks, segments, labels)
        self.score_s += time.perf_counter() - began
        return terms

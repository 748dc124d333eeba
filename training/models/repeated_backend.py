"""An engine that answers a repeated request from memory: for videos that are localized several times with the same
networks and other settings of post-processing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from punctum.runtime.session.engine import Backend

from ..arrays import F32, I64


class RepeatedBackend:
    """Runs another engine, once for each input. `forget` empties the memory, which holds the results of one video."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: dict[bytes, Any] = {}
        self.requested, self.actual = backend.requested, backend.actual

    def forget(self) -> None:
        """Empty the memory."""
        self._known.clear()

    def locate(self, features: F32) -> tuple[F32, F32]:
        """As `Backend.locate`."""
        found: tuple[F32, F32] = self._answer(self._backend.locate, features)
        return found

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """As `Backend.score`."""
        found: tuple[F32, F32, F32] = self._answer(self._backend.score, features, tracks, segments, labels)
        return found

    def _answer(self, run: Callable[..., Any], *arrays: np.ndarray[Any, Any]) -> Any:
        total = hashlib.blake2b(run.__name__.encode(), digest_size=16)
        for array in arrays:
            total.update(repr(array.shape).encode())
            total.update(np.ascontiguousarray(array).data)
        key = total.digest()
        if key not in self._known:
            self._known[key] = run(*arrays)
        return self._known[key]

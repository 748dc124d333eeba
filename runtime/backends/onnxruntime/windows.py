"""The center scorer for the proposals of many windows in ONNX Runtime: two graphs, and a kernel that pools."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from punctum import kernels

from ...bundle.graphs import PartGraph
from ...bundle.precision import REFERENCE
from ...errors import PunctumError
from ...session.engine import F32, I64
from ..graph_io import TERMS
from ..options import EngineSpec
from ..runner import Runner
from ..scorer_parts import MEANS, NotSeparableError, ScorerParts, separate
from .session import open_runner

TOLERANCE = 1e-5
ROUNDING_STEP = 2e-2  # of a variant with rounded activations, in which a difference of 1e-7 can become one step
Score = Callable[[F32, F32, F32, I64], tuple[F32, F32, F32]]


class OnnxWindowScorer:
    """The two graphs of a scorer on runners; see `engine.WindowScorer`."""

    def __init__(self, embedding: Runner, head: Runner, parts: ScorerParts) -> None:
        self._embedding, self._head, self._parts = embedding, head, parts

    def score_windows(self, features: F32, ends: I64, segments: F32, offsets: I64) -> tuple[F32, F32, F32]:
        """features [R, D], ends [G + 1], segments [M, 2], offsets [G + 1] -> the terms of M proposals."""
        parts = self._parts
        (rows,) = self._embedding.run(["embedded"], {"features": features})
        means = kernels.pool_windows(
            rows, ends, segments, offsets, bins=parts.bins, context=parts.context, max_context=parts.max_context
        )
        probability, attention, center = self._head.run(TERMS, {MEANS: means, "segments": segments})
        return probability, attention, center


class WindowScorers:
    """The scorer for many windows of one bundle. Safe to use from any thread."""

    def __init__(self, graph: PartGraph, spec: EngineSpec, score: Score, *, dim: int, classes: int) -> None:
        """Nothing is opened yet.

        Args:
            graph: The scorer.
            spec: What runs it.
            score: The scorer on one window, against which the parts are checked.
            dim: Feature dimension D.
            classes: Number of classes C.
        """
        self._graph, self._spec, self._score, self._dim, self._classes = graph, spec, score, dim, classes
        self._opened: OnnxWindowScorer | None = None
        self._tried = False
        self._lock = threading.Lock()

    def get(self) -> OnnxWindowScorer | None:
        """The scorer; None for a graph of another form than the exporter writes."""
        if not self._tried:
            with self._lock:
                if not self._tried:
                    self._opened = self._open()
                    self._tried = True
        return self._opened

    def _open(self) -> OnnxWindowScorer | None:
        try:
            parts = separate(self._graph.data)
            embedding, head = (
                open_runner(data, f"{self._graph.name} in parts", self._spec, purpose="scoring proposals")
                for data in (parts.embedding, parts.head)
            )
            scorer = OnnxWindowScorer(embedding, head, parts)
            return scorer if self._agrees(scorer) else None
        except (NotSeparableError, PunctumError, kernels.KernelInputError):
            return None

    def _agrees(self, scorer: OnnxWindowScorer) -> bool:
        """Whether the parts give the terms of the whole, as they do by construction; another kind of graph may not."""
        rng, lengths, count = np.random.default_rng(0), (40, 1, 9), 8
        ends, offsets = np.cumsum([0, *lengths]), np.arange(len(lengths) + 1) * count
        features = rng.standard_normal((ends[-1], self._dim)).astype(np.float32)
        middle, half = rng.uniform(-2, np.repeat(lengths, count) + 2), rng.uniform(0, 12, len(lengths) * count)
        segments = np.stack([middle - half, middle + half], 1).astype(np.float32)
        labels = rng.integers(0, self._classes, len(segments))
        tracks = rng.random((len(features), self._classes + 1)).astype(np.float32)
        found = scorer.score_windows(features, ends, segments, offsets)
        bound = TOLERANCE if self._graph.precision == REFERENCE else ROUNDING_STEP
        for g in range(len(lengths)):
            rows, own = slice(ends[g], ends[g + 1]), slice(offsets[g], offsets[g + 1])
            whole = self._score(features[rows], tracks[rows], segments[own], labels[own])
            for part, term in zip(found, whole, strict=True):
                if part[own].shape != term.shape or not np.allclose(part[own], term, rtol=0, atol=bound):
                    return False
        return True

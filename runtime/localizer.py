"""The front door: a bundle, an engine, and as many sessions as there are streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends._protocol import Backend
from .config import PostProcess
from .errors import InputError
from .events import Event
from .features import Features
from .session import Plan, Session, Stats

if TYPE_CHECKING:
    from .bundle import Bundle


class Localizer:
    """Finds actions with one bundle.

    >>> localizer = Localizer(Bundle.load("bundle/"))          # doctest: +SKIP
    >>> events = localizer.localize(features)                  # doctest: +SKIP
    """

    def __init__(self, bundle: Bundle, *, device: str = "cpu", threads: int = 1) -> None:
        """`device`: "cpu" here. What is asked for runs or this raises InputError; there is no silent fallback."""
        from .backends.onnx import OnnxBackend

        spec, graph = bundle.manifest.features, bundle.manifest.locator
        self._setup(
            OnnxBackend.open(bundle, device=device, threads=threads),
            Plan(bundle.labels, spec.dim, spec.stride_s, graph.left, graph.right, bundle.manifest.post, bundle.id),
        )

    @classmethod
    def from_parts(
        cls,
        backend: Backend,
        *,
        labels: Iterable[str],
        dim: int,
        stride_s: float,
        post: PostProcess,
        receptive_field: tuple[int, int],
        bundle_id: str = "",
    ) -> Localizer:
        """A localizer around any backend: training evaluates with the very code that runs in the field."""
        self = cls.__new__(cls)
        left, right = receptive_field
        self._setup(backend, Plan(tuple(labels), dim, stride_s, left, right, post, bundle_id))
        return self

    def _setup(self, backend: Backend, plan: Plan) -> None:
        self.backend, self.plan = backend, plan
        self.last_stats = Stats()

    @property
    def labels(self) -> tuple[str, ...]:
        return self.plan.labels

    @property
    def look_ahead_s(self) -> float:
        """Algorithmic look-ahead in seconds: receptive field to the right plus right context."""
        return self.plan.look_ahead_s

    def session(self, *, stream: str = "", start_s: float = 0.0) -> Session:
        """A new live stream."""
        return Session(self.plan, self.backend, stream=stream, start_s=start_s)

    def localize(self, features: Any, *, stream: str = "", start_s: float = 0.0) -> list[Event]:
        """Offline: all final events of one recording. features: [T, D] array or `Features`; T may be 0."""
        session = Session(self.plan, self.backend, stream=stream, start_s=start_s, offline=True)
        events = session.push(features) + session.flush()
        self.last_stats = session.stats
        if self.plan.post.gate == "video":
            scores = session.video_scores()
            allowed = {self.labels[c] for c in np.flatnonzero(scores >= self.plan.post.gate_threshold)}
            allowed = allowed or {self.labels[int(np.argmax(scores))]}
            events = [event for event in events if event.label in allowed]
        return events

    def stream(self, source: Iterable[Any], *, stream: str = "", start_s: float = 0.0) -> Iterator[Event]:
        """Live: events as they become final, from an iterable of feature chunks (arrays or `Features`)."""
        session = self.session(stream=stream, start_s=start_s)
        for chunk in source:
            if not isinstance(chunk, Features) and np.ndim(chunk) != 2:
                raise InputError(
                    "features-shape", f"a chunk of shape {np.shape(chunk)}", "[n, D]", "yield two-dimensional chunks"
                )
            yield from session.push(chunk)
        yield from session.flush()

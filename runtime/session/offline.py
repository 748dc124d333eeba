"""One whole recording: final events, with the statistics of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from ..errors import EngineError
from ..events.event import Event
from ..features.features import FeatureRows
from .engine import Backend
from .plan import Plan, Stats
from .session import Session


class Localization(list[Event]):
    """The final events of one recording, in the order in which they became final.

    Attributes:
        stats: Statistics of the run that found them.
    """

    def __init__(self, events: Iterable[Event], stats: Stats) -> None:
        super().__init__(events)
        self.stats = stats

    def __reduce__(self) -> tuple[type[Localization], tuple[list[Event], Stats]]:
        return Localization, (list(self), self.stats)


class Recording:
    """A recording that arrives in parts. Push them in order, then call `finish`.

    Each push returns the events that are final so far, so that memory need not grow with the recording. With
    `gate="video"` it returns none, because the gate depends on the whole recording.
    """

    def __init__(
        self, plan: Plan, backend: Backend, *, stream: str = "", start_s: float = 0.0, run_id: str = ""
    ) -> None:
        """Begin a recording.

        Args:
            plan: The configuration.
            backend: The engine.
            stream: Name of the recording.
            start_s: Media time of the first snippet in seconds.
            run_id: Part of every event id.
        """
        self._session = Session(plan, backend, stream=stream, start_s=start_s, offline=True, run_id=run_id)
        self._gated: list[Event] | None = [] if plan.post.gate == "video" else None

    @property
    def stats(self) -> Stats:
        """Statistics so far."""
        return self._session.stats

    def push(
        self, features: FeatureRows, *, at: float | None = None, lost: Sequence[tuple[int, int]] = ()
    ) -> list[Event]:
        """Take the next features, with the arguments of `Session.push`."""
        events = retry_once(partial(self._session.push, features, at=at, lost=lost))
        if self._gated is None:
            return events
        self._gated += events
        return []

    def finish(self) -> list[Event]:
        """The recording has ended: return the remaining events."""
        events = retry_once(self._session.flush)
        if self._gated is None:
            return events
        events, plan = self._gated + events, self._session.plan
        scores = self._session.video_scores()
        passed = {plan.labels[c] for c in np.flatnonzero(scores >= plan.post.gate_threshold)}
        passed = passed or {plan.labels[int(np.argmax(scores))]}
        return [event for event in events if event.label in passed]


def localize(
    plan: Plan, backend: Backend, features: FeatureRows, *, stream: str = "", start_s: float = 0.0, run_id: str = ""
) -> Localization:
    """The final events of one recording whose features are in memory. features: [T, D] or `Features`."""
    recording = Recording(plan, backend, stream=stream, start_s=start_s, run_id=run_id)
    events = recording.push(features)
    return Localization(events + recording.finish(), recording.stats)


def retry_once(call: Callable[[], list[Event]]) -> list[Event]:
    """Call a method of a session, a second time if the engine failed: the session is then unchanged."""
    try:
        return call()
    except EngineError:
        return call()

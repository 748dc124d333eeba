"""The main entry point: a bundle, an engine, and a session for each stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from .bundle.calibration import Calibration
from .bundle.config import PostProcess
from .events.event import Event
from .events.time_of_day import FixedStart, stamped
from .features.features import FeatureRows
from .live import LiveOptions
from .session.engine import Backend, check_backend
from .session.offline import Localization, Recording, localize, retry_once
from .session.plan import Plan
from .session.rescore import ScoredSegments, rescore
from .session.session import Session

if TYPE_CHECKING:
    from .backends.options import EngineOptions, EngineSpec
    from .bundle.reader import Bundle
    from .session.pool import Pool, PoolOptions
    from .sources.items import Chunk, Item, Source


class Localizer:
    """Finds actions with one bundle, in recordings and in streams.

    Example:
        >>> import numpy as np
        >>> from punctum.runtime import Bundle, Localizer
        >>> localizer = Localizer(Bundle.load("default"))
        >>> features = np.zeros((40, localizer.plan.dim), np.float32)
        >>> events = localizer.localize(features, stream="clip")
        >>> events.stats.snippets
        40
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        precision: str = "fp32",
        options: EngineOptions | None = None,
    ) -> None:
        """Open a bundle on a device. There is no silent fallback to another device or precision.

        Args:
            bundle: The bundle.
            device: "cpu", "cuda", "tensorrt", ... or "auto"; see `backends.open_backend`.
            threads: CPU threads of the engine.
            precision: A variant of the bundle's graphs.
            options: Further options of the engine.

        Raises:
            InputError: The device cannot run here, or the bundle does not have this precision.
            MissingDependencyError: The library for this device is not installed.
        """
        from .backends.options import EngineOptions, EngineSpec

        self._open(bundle, EngineSpec(device, precision, threads, EngineOptions() if options is None else options))

    @classmethod
    def open(cls, bundle: Bundle, spec: EngineSpec) -> Localizer:
        """As the constructor, for a spec that was parsed before."""
        self = cls.__new__(cls)
        self._open(bundle, spec)
        return self

    def _open(self, bundle: Bundle, spec: EngineSpec) -> None:
        from .backends.open import open_engine

        self._backend: Backend = open_engine(bundle, spec)
        self._plan = Plan.of(bundle)

    @classmethod
    def around(cls, backend: Backend, bundle: Bundle) -> Localizer:
        """The localizer of a bundle whose graphs run on an engine that is already open, such as a remote one."""
        return cls._of(backend, Plan.of(bundle))

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
        overhang_s: float = 0.0,
        calibration: Calibration | None = None,
    ) -> Localizer:
        """A localizer around any engine. Training evaluates networks with it, so it runs the code that is deployed.

        Args:
            backend: The engine.
            labels: Class names.
            dim: Dimension D of the features.
            stride_s: Seconds of media from one snippet to the next.
            post: Settings of post-processing.
            receptive_field: Snippets before and after a snippet that the locator reads.
            bundle_id: The bundle's id in events.
            overhang_s: Seconds of media after a snippet's end that its features depend on.
            calibration: From raw scores to probabilities, a map per class; None: events have raw scores.

        Raises:
            InputError: An argument has a value that no bundle could have, or the engine lacks a method.
        """
        check_backend(backend)
        plan = Plan.of_parts(
            labels=labels,
            dim=dim,
            stride_s=stride_s,
            receptive_field=receptive_field,
            post=post,
            bundle_id=bundle_id,
            overhang_s=overhang_s,
            calibration=calibration,
        )
        return cls._of(backend, plan)

    @classmethod
    def _of(cls, backend: Backend, plan: Plan) -> Localizer:
        self = cls.__new__(cls)
        self._backend, self._plan = backend, plan
        return self

    def with_backend(self, backend: Backend) -> Localizer:
        """A localizer with the same configuration on another engine, such as one that measures or counts calls."""
        return self._of(backend, self._plan)

    @property
    def backend(self) -> Backend:
        """The engine."""
        return self._backend

    @property
    def plan(self) -> Plan:
        """The configuration of every session."""
        return self._plan

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        return self._plan.labels

    @property
    def look_ahead_s(self) -> float:
        """Algorithmic look-ahead in seconds: receptive field to the right plus right context."""
        return self._plan.look_ahead_s

    def session(
        self, *, stream: str = "", start_s: float = 0.0, live: LiveOptions | None = None, run_id: str = ""
    ) -> Session:
        """Begin a live stream.

        Args:
            stream: Name of the stream.
            start_s: Media time of the first snippet in seconds.
            live: When to report provisional events; None: final events only.
            run_id: Part of every event id, for streams whose ids must not repeat after a restart.
                `punctum.runtime.new_run_id()` makes one.
        """
        return Session(self._plan, self._backend, stream=stream, start_s=start_s, live=live, run_id=run_id)

    def restore(self, data: bytes) -> Session:
        """A session that continues from `Session.snapshot`.

        Raises:
            InputError: The bytes are damaged, or were made with another bundle or version.
        """
        from .session.snapshot import decode

        return Session.from_state(self._plan, self._backend, decode(data, self._plan))

    def pool(self, options: PoolOptions | None = None) -> Pool:
        """Many live streams that share this engine; see `punctum.runtime.session.pool`."""
        from .session.pool import Pool

        return Pool(self._plan, self._backend, options)

    def localize(
        self,
        features: FeatureRows,
        *,
        stream: str = "",
        start_s: float = 0.0,
        run_id: str = "",
        start_utc: datetime | None = None,
    ) -> Localization:
        """The final events of one recording.

        Args:
            features: [T, D] array or `Features`; T may be 0.
            stream: Name of the recording.
            start_s: Media time of the first snippet in seconds.
            run_id: Part of every event id. Without it the same features give the same ids.
            start_utc: Time of day at media time 0, with an offset from UTC. Events then have `start_utc` and `end_utc`.

        Returns:
            A list of events, whose attribute `stats` holds the statistics of the run.
        """
        found = localize(self._plan, self._backend, features, stream=stream, start_s=start_s, run_id=run_id)
        return Localization(stamped(found, FixedStart.at(start_utc)), found.stats)

    def localize_chunks(
        self,
        chunks: Iterable[Chunk],
        *,
        stream: str = "",
        start_s: float = 0.0,
        run_id: str = "",
        start_utc: datetime | None = None,
    ) -> Localization:
        """`localize` for a recording that arrives in parts, such as a video, possibly with gaps between them."""
        recording = self.recording(stream=stream, start_s=start_s, run_id=run_id)
        events: list[Event] = []
        for chunk in chunks:
            events += recording.push(chunk.rows, at=chunk.at, lost=chunk.lost)
        events += recording.finish()
        return Localization(stamped(events, FixedStart.at(start_utc)), recording.stats)

    def rescore(
        self, features: FeatureRows, proposals: ScoredSegments, *, post: PostProcess | None = None
    ) -> ScoredSegments:
        """Score proposals of another locator, adapt their boundaries and suppress duplicates, per class.

        Args:
            features: The recording, [T, D] or `Features`.
            proposals: Their classes are indices of `labels`. They are clipped to the recording; those without length
                or outside of it are left out.
            post: Other settings than those of the bundle. `fusion.base` is the exponent of the proposals' own score.

        Returns:
            Segments with raw scores, best first. Calibration does not apply to them.

        Raises:
            InputError: The features do not fit the bundle, the fusion needs a scorer that the bundle does not have, or
                the score of a proposal that has none.
        """
        return rescore(self._plan, self._backend, features, proposals, self._plan.post if post is None else post)

    def recording(self, *, stream: str = "", start_s: float = 0.0, run_id: str = "") -> Recording:
        """Begin a recording that arrives in parts and whose events are wanted as soon as they are final."""
        return Recording(self._plan, self._backend, stream=stream, start_s=start_s, run_id=run_id)

    def stream(
        self,
        source: Iterable[FeatureRows | Item] | Source,
        *,
        stream: str = "",
        start_s: float = 0.0,
        live: LiveOptions | None = None,
        run_id: str = "",
        start_utc: datetime | None = None,
    ) -> Iterator[Event]:
        """Events of a live stream as they are found.

        Args:
            source: Chunks of features (arrays or `Features`), or a source made by `open_source` (features or video).
                A source knows its name and when it begins.
            stream: Name of the stream; takes precedence over that of the source.
            start_s: Media time of the first snippet in seconds.
            live: When to report provisional events; None: final events only.
            run_id: Part of every event id; see `session`.
            start_utc: Time of day at media time 0. Without it, events of a live source carry the time of day at which
                their media arrived.

        Raises:
            InputError: The source could not read a chunk, or the chunk is unusable.
        """
        from .sources.stream import events_of

        begin = partial(self.session, live=live, run_id=run_id)
        return events_of(source, begin, stream=stream, start_s=start_s, start_utc=start_utc)

    async def astream(
        self,
        source: AsyncIterable[FeatureRows],
        *,
        stream: str = "",
        start_s: float = 0.0,
        live: LiveOptions | None = None,
        run_id: str = "",
    ) -> AsyncIterator[Event]:
        """`stream` for asyncio. The engine runs in a worker thread, so it does not block the event loop."""
        from .sources.stream import check_chunk

        session = self.session(stream=stream, start_s=start_s, live=live, run_id=run_id)
        async for chunk in source:
            for event in await asyncio.to_thread(retry_once, partial(session.push, check_chunk(chunk))):
                yield event
        for event in await asyncio.to_thread(retry_once, session.flush):
            yield event

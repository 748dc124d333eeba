"""The front door: a bundle, an engine, and as many sessions as there are streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .bundle.config import PostProcess
from .errors import EngineError, InputError
from .events.event import Event
from .events.time_of_day import Arrival, FixedStart, stamped
from .features.features import Features
from .live import LiveOptions
from .session.engine import Backend
from .session.plan import Plan, Stats
from .session.session import Session

if TYPE_CHECKING:
    from .backends.options import EngineOptions, EngineSpec
    from .bundle.reader import Bundle
    from .session.pool import Pool, PoolOptions
    from .sources.items import Chunk, Source


class Localizer:
    """Finds actions with one bundle.

    >>> localizer = Localizer(Bundle.load("bundle/"))          # doctest: +SKIP
    >>> events = localizer.localize(features)                  # doctest: +SKIP
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
        """device: "cpu", "cuda", "tensorrt", ... or "auto", see `backends.open_backend`; precision: a variant of the
        bundle. What is asked for runs or this raises InputError; there is no silent fallback."""
        from .backends.options import EngineOptions, EngineSpec

        self._open(bundle, EngineSpec(device, precision, threads, options or EngineOptions()))

    @classmethod
    def open(cls, bundle: Bundle, spec: EngineSpec) -> Localizer:
        """As the constructor, for a spec that was parsed before."""
        self = cls.__new__(cls)
        self._open(bundle, spec)
        return self

    def _open(self, bundle: Bundle, spec: EngineSpec) -> None:
        from .backends.open import open_engine

        manifest = bundle.manifest
        self._setup(
            open_engine(bundle, spec),
            labels=bundle.labels,
            dim=manifest.features.dim,
            stride_s=manifest.features.stride_s,
            post=manifest.post,
            receptive_field=(manifest.locator.left, manifest.locator.right),
            bundle_id=bundle.id,
            overhang_s=manifest.backbone.overhang_s if manifest.backbone else 0.0,
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
        overhang_s: float = 0.0,
    ) -> Localizer:
        """A localizer around any backend: training evaluates with the very code that runs in the field.

        overhang_s: media beyond a snippet's end that its features need.
        """
        self = cls.__new__(cls)
        self._setup(
            backend,
            labels=labels,
            dim=dim,
            stride_s=stride_s,
            post=post,
            receptive_field=receptive_field,
            bundle_id=bundle_id,
            overhang_s=overhang_s,
        )
        return self

    def _setup(
        self,
        backend: Backend,
        *,
        labels: Iterable[str],
        dim: int,
        stride_s: float,
        post: PostProcess,
        receptive_field: tuple[int, int],
        bundle_id: str,
        overhang_s: float,
    ) -> None:
        left, right = receptive_field
        self.backend = backend
        self.plan = Plan(tuple(labels), dim, stride_s, left, right, post, bundle_id, overhang_s=overhang_s)
        self.last_stats = Stats()

    @property
    def labels(self) -> tuple[str, ...]:
        return self.plan.labels

    @property
    def look_ahead_s(self) -> float:
        """Algorithmic look-ahead in seconds: receptive field to the right plus right context."""
        return self.plan.look_ahead_s

    def session(
        self, *, stream: str = "", start_s: float = 0.0, live: LiveOptions | None = None, run_id: str = ""
    ) -> Session:
        """A new live stream. live: how early it speaks; None: final events only. run_id: part of every event id;
        `punctum.runtime.new_run_id()` makes one, for streams whose ids must not come again after a restart."""
        return Session(self.plan, self.backend, stream=stream, start_s=start_s, live=live, run_id=run_id)

    def restore(self, data: bytes) -> Session:
        """A session as `Session.snapshot` left it. Raises InputError for damaged bytes and for another bundle's."""
        from .session.snapshot import thaw

        return thaw(data, self.plan, self.backend)

    def pool(self, options: PoolOptions | None = None) -> Pool:
        """Many live streams that share this engine; see `punctum.runtime.session.pool`."""
        from .session.pool import Pool

        return Pool(self, options)

    def localize(
        self,
        features: Any,
        *,
        stream: str = "",
        start_s: float = 0.0,
        run_id: str = "",
        start_utc: datetime | None = None,
    ) -> list[Event]:
        """Offline: all final events of one recording. features: [T, D] array or `Features`; T may be 0.

        run_id: part of every event id; without it the same features give the same ids. start_utc: time of day at media
        time 0, with its offset from UTC; events then carry theirs.
        """
        session = Session(self.plan, self.backend, stream=stream, start_s=start_s, offline=True, run_id=run_id)
        return self._concluded(session, patiently(lambda: session.push(features)), start_utc)

    def localize_chunks(
        self,
        chunks: Iterable[Chunk],
        *,
        stream: str = "",
        start_s: float = 0.0,
        run_id: str = "",
        start_utc: datetime | None = None,
    ) -> list[Event]:
        """Offline, for what comes in parts, such as a video: all final events, gaps between chunks declared."""
        session = Session(self.plan, self.backend, stream=stream, start_s=start_s, offline=True, run_id=run_id)
        events: list[Event] = []
        for chunk in chunks:
            events += patiently(partial(session.push, chunk.rows, at=chunk.at, lost=chunk.lost))
        return self._concluded(session, events, start_utc)

    def _concluded(self, session: Session, events: list[Event], start_utc: datetime | None) -> list[Event]:
        events = events + patiently(session.flush)
        self.last_stats = session.stats
        if self.plan.post.gate == "video":
            scores = session.video_scores()
            allowed = {self.labels[c] for c in np.flatnonzero(scores >= self.plan.post.gate_threshold)}
            allowed = allowed or {self.labels[int(np.argmax(scores))]}
            events = [event for event in events if event.label in allowed]
        return stamped(events, _fixed(start_utc))

    def stream(
        self,
        source: Iterable[Any] | Source,
        *,
        stream: str = "",
        start_s: float = 0.0,
        live: LiveOptions | None = None,
        run_id: str = "",
        start_utc: datetime | None = None,
    ) -> Iterator[Event]:
        """Live: events as they come, from an iterable of feature chunks (arrays or `Features`), or from a source.

        A source (`punctum.runtime.sources.open_source`: features or video) says itself when it begins and what it is
        called; `stream` goes before its name. Raises the error of a chunk that it could not read.

        Events of a live source carry the time of day at which their media arrived, unless start_utc says when media
        time 0 was. run_id: see `session`.
        """
        from .sources.items import Bad, Begin, Chunk

        session: Session | None = None
        arrival = None if start_utc or isinstance(source, Iterable) or source.replayable else Arrival()
        clock = arrival or _fixed(start_utc)
        for item in source if isinstance(source, Iterable) else source.items():
            if isinstance(item, Begin) and session is None:
                session = self.session(stream=stream or item.stream, start_s=item.start_s, live=live, run_id=run_id)
            elif isinstance(item, Begin) and arrival is not None:
                arrival.restart()
            if item is None or isinstance(item, Begin):
                continue
            if isinstance(item, Bad):
                raise item.error
            session = session or self.session(stream=stream, start_s=start_s, live=live, run_id=run_id)
            if isinstance(item, Chunk):
                if arrival is not None and len(item.rows):
                    begin, stride = session.now_s if item.at is None else item.at, self.plan.stride_s
                    arrival.arrived(begin, begin + len(item.rows) * stride, slack_s=0.5 * stride)
                yield from stamped(patiently(partial(session.push, item.rows, at=item.at, lost=item.lost)), clock)
            else:
                yield from stamped(patiently(partial(session.push, _checked(item))), clock)
        session = session or self.session(stream=stream, start_s=start_s, live=live, run_id=run_id)
        yield from stamped(patiently(session.flush), clock)

    async def astream(
        self,
        source: AsyncIterable[Any],
        *,
        stream: str = "",
        start_s: float = 0.0,
        live: LiveOptions | None = None,
        run_id: str = "",
    ) -> AsyncIterator[Event]:
        """`stream` for asyncio: the engine runs in a worker thread, so the event loop never waits for it."""
        session = self.session(stream=stream, start_s=start_s, live=live, run_id=run_id)
        async for chunk in source:
            for event in await asyncio.to_thread(patiently, partial(session.push, _checked(chunk))):
                yield event
        for event in await asyncio.to_thread(patiently, session.flush):
            yield event


def patiently(call: Callable[[], list[Event]]) -> list[Event]:
    """A call of a session, once more if the engine failed: nothing has changed then, so the repeat is exact."""
    try:
        return call()
    except EngineError:
        return call()


def _fixed(start_utc: datetime | None) -> FixedStart | None:
    if start_utc is None:
        return None
    if start_utc.tzinfo is None:
        raise InputError("start-utc", f"{start_utc} without an offset", "a time with tzinfo", "add tzinfo=UTC")
    return FixedStart(start_utc.timestamp())


def _checked(chunk: Any) -> Any:
    if not isinstance(chunk, Features) and np.ndim(chunk) != 2:
        raise InputError(
            "features-shape", f"a chunk of shape {np.shape(chunk)}", "[n, D]", "yield two-dimensional chunks"
        )
    return chunk

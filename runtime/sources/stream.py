"""Events of a source as they are found: its items go into one session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Protocol

import numpy as np

from ..arguments import check_stream_source
from ..errors import InputError
from ..events.event import Event
from ..events.time_of_day import Arrival, FixedStart, stamped
from ..features.features import FeatureRows, Features
from ..session.offline import retry_once
from ..session.session import Session
from .items import Bad, Begin, Chunk, Item, Source


class BeginSession(Protocol):
    """Begins a session."""

    def __call__(self, *, stream: str, start_s: float) -> Session: ...


def events_of(
    source: Iterable[FeatureRows | Item] | Source,
    begin: BeginSession,
    *,
    stream: str = "",
    start_s: float = 0.0,
    start_utc: datetime | None = None,
) -> Iterator[Event]:
    """The events of a source; see `Localizer.stream`.

    Args:
        source: Chunks of features, or a source.
        begin: Begins the session.
        stream: Name of the stream; takes precedence over that of the source.
        start_s: Media time of the first snippet in seconds, unless the source declares it.
        start_utc: Time of day at media time 0.

    Raises:
        InputError: The source could not read a chunk, or the chunk is unusable.
    """
    check_stream_source(source)
    session: Session | None = None
    arrival = None if start_utc or isinstance(source, Iterable) or source.replayable else Arrival()
    clock = arrival or FixedStart.at(start_utc)
    for item in source if isinstance(source, Iterable) else source.items():
        if isinstance(item, Begin) and session is None:
            session = begin(stream=stream or item.stream, start_s=item.start_s)
        elif isinstance(item, Begin) and arrival is not None:
            arrival.restart()
        if item is None or isinstance(item, Begin):
            continue
        if isinstance(item, Bad):
            raise item.error
        session = session or begin(stream=stream, start_s=start_s)
        if isinstance(item, Chunk):
            if arrival is not None and len(item.rows):
                stride_s, at = session.plan.stride_s, session.now_s if item.at is None else item.at
                arrival.arrived(at, at + len(item.rows) * stride_s, slack_s=0.5 * stride_s)
            yield from stamped(retry_once(partial(session.push, item.rows, at=item.at, lost=item.lost)), clock)
        else:
            yield from stamped(retry_once(partial(session.push, check_chunk(item))), clock)
    session = session or begin(stream=stream, start_s=start_s)
    yield from stamped(retry_once(session.flush), clock)


def check_chunk(chunk: FeatureRows) -> FeatureRows:
    """Raise InputError for what is not a chunk of features: with an array [D], a snippet would be taken for a chunk."""
    if not isinstance(chunk, Features) and np.ndim(chunk) != 2:
        raise InputError(
            "features-shape", f"A chunk has shape {np.shape(chunk)}", "[n, D]", "yield two-dimensional chunks"
        )
    return chunk

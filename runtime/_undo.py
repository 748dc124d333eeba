"""A session's state before a call, put back if the call fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Session

# What a call may change, apart from buffers, finders, counters and reports: values, and lists that grow in place.
_VALUES: tuple[str, ...] = ("start_s", "_looked", "_serial", "_broken", "_taken", "_closed", "_failed")
_VALUES += ("_tail", "_features", "_tracks", "_finders")
_LISTS = ("_waiting", "_holes", "_video_track")


@contextmanager
def undone_if_it_fails(session: Session) -> Iterator[None]:
    """Put everything back if the block is left by an exception, or if the generator that it is in is closed.

    Costs a copy of small lists: rows are never overwritten where they are, so a mark is enough for them.
    """
    values = {name: getattr(session, name) for name in _VALUES}
    lists = {name: list(getattr(session, name)) for name in _LISTS}
    rows = [(buffer, buffer.mark()) for buffer in (session._features, session._tracks)]
    opened = [finder.open for finder in session._finders]
    stats, reports = copy(session.stats), session._reporter.mark()
    try:
        yield
    except BaseException:
        for name, value in (values | lists).items():
            setattr(session, name, value)
        for buffer, mark in rows:
            buffer.rewind(mark)
        for finder, place in zip(session._finders, opened, strict=True):
            finder.open = place
        session.stats = stats
        session._reporter.rewind(reports)
        raise

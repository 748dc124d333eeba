"""A source that consists of features: files, folders and sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...sources.items import Bad, Begin, Chunk, Position
from ..source_kind import no_video
from ..wire import Channel
from .feed import Feed, Place
from .signs import Signs
from .start import CameraStart

if TYPE_CHECKING:
    from ...sources.items import Source

FEATURES = "features"


class FeatureSource:
    """Reads a source of features. `run` returns at its end.

    Args:
        start: What the process is to do.
        channel: To the supervisor.
        signs: Shows that the thread is alive.
        stop: Set when the process ends.
    """

    def __init__(self, start: CameraStart, channel: Channel, signs: Signs, stop: threading.Event) -> None:
        if [feed.feed for feed in start.feeds] != [FEATURES]:
            what, next_step = no_video(start.source)
            raise InputError(
                "site-feeds",
                f"{start.source} {what}, and a bundle of camera {start.name} takes video",
                next_step=next_step,
                required="a video",
            )
        if start.dim is None or start.stride_s is None:
            raise InputError("site-message", 'The message "start" has no `dim` and `stride_s`', next_step="add them")
        self._start, self._signs, self._stop = start, signs, stop
        self._dim, self._stride_s = start.dim, start.stride_s
        self._source = self._open()
        self._place = Place.parse(start.feeds[0].position or start.position) if self._source.replayable else None
        options = start.options
        looped = options.loop and self._source.replayable
        self.feed = Feed(
            FEATURES,
            channel,
            start.stride_s,
            self._source.replayable,
            timed=looped or not self._source.replayable,
            waits=start.source.startswith(("tcp://", "unix://")),
            stop=stop,
            until_s=None if self._place is None else self._place.until_s,
            real_time=self._source.replayable and (looped if options.real_time is None else options.real_time),
        )
        self._looped = looped

    @property
    def feeds(self) -> list[Feed]:
        return [self.feed]

    @property
    def replayable(self) -> bool:
        return self._source.replayable

    @property
    def trouble(self) -> str:
        """Why the source is currently unavailable; empty if it is available."""
        return str(getattr(self._source, "trouble", ""))

    def stats(self) -> dict[str, object]:
        """Counters for the supervisor."""
        return {"snippets": self.feed.sent, "refused": dict(getattr(self._source, "refused", {}))}

    def _open(self) -> Source:
        from ...sources.open import open_source

        start, options = self._start, self._start.options
        folder = "://" not in start.source and Path(start.source).is_dir()
        follow = folder and not options.loop if options.follow is None else options.follow
        live = "://" in start.source
        return open_source(
            start.source,
            dim=self._dim,
            stride_s=self._stride_s,
            follow=follow,
            idle_s=options.idle_s if live or follow else None,
            reconnect_s=options.reconnect_s if live else None,
            token=options.token.encode() if live and options.token else None,
        )

    def run(self, began: Callable[[], None]) -> str:
        """Read to the end and return what ended it. began: called when the source begins. Raises PunctumError."""
        place, feed = self._place, self.feed
        lap_s = self._start.start_s if place is None else place.lap_s
        position = None if place is None else place.inner
        first = place is None  # of the whole stream, whose source may state a start of its own
        while not self._stop.is_set():
            before = feed.next_s
            self._lap(lap_s, position, first, began)
            if not self._looped or self._stop.is_set():
                break
            if feed.next_s <= before and position is None:
                raise InputError("site-loop", f"{self._start.source} has no features to repeat", next_step="check it")
            self._source.close()
            self._source = self._open()
            lap_s, position, first = feed.next_s, None, False
        return "end of the source"

    def _lap(self, lap_s: float, position: Position | None, first: bool, began: Callable[[], None]) -> None:
        feed, shift = self.feed, 0.0
        items = self._source.items(position)
        while not self._stop.is_set():
            with self._signs.step():
                item = next(items, self)
            if item is self:
                return
            if isinstance(item, Begin):
                # Senders have a clock of their own. A file begins where the last pass over it ended.
                shift = lap_s - item.start_s if self.replayable and not (first and item.start_s) else 0.0
                if first or not self._looped or not feed.seq:
                    feed.begin(item, item.start_s + shift)
                began()
            elif isinstance(item, Chunk):
                feed.chunk(item, None if item.at is None else item.at + shift, self._placer(lap_s, item.position))
            elif isinstance(item, Bad):
                feed.bad(item, self._placer(lap_s, item.position))

    def _placer(self, lap_s: float, inner: Position) -> Callable[[float], Place] | None:
        return (lambda until: Place(lap_s, until, inner)) if self.replayable else None

    def close(self) -> None:
        self._source.close()

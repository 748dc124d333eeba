"""A source that is a video: decoded once, with the features of every backbone that is asked for."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import InputError
from ...sources.items import Begin, Chunk
from ..wire import Channel
from .feed import Feed, Place
from .looped import LoopedFrames
from .media import MediaCommands, TimedTap
from .region import RegionFrames
from .shared import SharedFrames
from .signs import Signs
from .start import CameraStart
from .start import Feed as FeedStart

if TYPE_CHECKING:
    from ...backbone.backbone import VideoBackbone
    from ...sources.video import VideoSource
    from ...video import FrameSource, VideoOptions

MOST_CELLS = 64  # cells of the sampling grid to which several backbones align their sections

_log = logging.getLogger(__name__)


class WatchedFrames:
    """Marks the time that reading a frame takes, so that a decoder that hangs is noticed."""

    def __init__(self, frames: FrameSource, signs: Signs) -> None:
        self._inner, self._signs = frames, signs

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def frames(self) -> Iterator[object]:
        items = self._inner.frames()
        while True:
            with self._signs.step():
                item = next(items, self)
            if item is self:
                return
            yield item


class VideoFeeds:
    """Reads a video with one or more backbones. `run` returns at its end.

    Args:
        start: What the process is to do.
        channel: To the supervisor.
        signs: Shows that the threads are alive.
        stop: Set when the process ends.
        media: Sees every decoded picture.
        waiting: Called with the reason while the source is unavailable at the start.
    """

    def __init__(
        self,
        start: CameraStart,
        channel: Channel,
        signs: Signs,
        stop: threading.Event,
        media: MediaCommands,
        waiting: Callable[[str], None],
    ) -> None:
        self._start, self._signs, self._stop, self._media = start, signs, stop, media
        self._waiting = waiting
        self._frames: list[FrameSource] = []
        self._laps: dict[int, LoopedFrames] = {}
        self._parts: list[tuple[VideoSource, Feed, LoopedFrames, Place | None]] = []
        self._faults: list[BaseException] = []
        self._base_s = 0.0
        self._began_steady = time.monotonic() if start.start_steady is None else start.start_steady
        backbones = [(feed, self._backbone(feed)) for feed in start.feeds]
        places = [Place.parse(feed.position or start.position) for feed in start.feeds]
        begun = [place.lap_s for place in places if place is not None]
        # Feeds that are behind decide where the file is read from; the others drop what they had.
        all_placed = len(begun) == len(places) and not self._live()
        self._base_s = min(begun) if all_placed else start.start_s
        groups: dict[float, list[int]] = defaultdict(list)
        for index, (_, backbone) in enumerate(backbones):
            groups[backbone.spec.fps].append(index)
        if len(groups) > 1:
            _log.warning(
                "the backbones of %s take %s frames per second: the source is opened once for each",
                start.name,
                " and ".join(f"{fps:g}" for fps in sorted(groups)),
            )
        try:
            for number, (fps, members) in enumerate(groups.items()):
                self._open_group(channel, fps, [(*backbones[i], places[i]) for i in members], show=number == 0)
        except BaseException:
            self.close()
            raise

    def _live(self) -> bool:
        from ...sources.media import is_address

        return is_address(self._start.source)

    def _backbone(self, feed: FeedStart) -> VideoBackbone:
        from ...backbone.backbone import VideoBackbone
        from ...backends.options import EngineSpec
        from ...bundle.reader import Bundle
        from ..bundles import shipped

        if feed.bundle_path is None:
            raise InputError("site-message", f"Feed {feed.feed[:80]!r} has no bundle", next_step="add `bundle_path`")
        bundle = Bundle.load(shipped(feed.bundle_path))
        spec = EngineSpec(feed.device, feed.precision or "fp32", max(feed.threads, self._start.options.threads))
        with self._signs.step():
            backbone = VideoBackbone.open(bundle, spec)
        if feed.feed not in (backbone.digest, ""):
            raise InputError(
                "site-feeds",
                f"The backbone of {bundle.id} is not the one that its engine expects",
                next_step="restart the service, so that all processes use the same file",
            )
        return backbone

    def _open_group(
        self,
        channel: Channel,
        fps: float,
        members: list[tuple[FeedStart, VideoBackbone, Place | None]],
        *,
        show: bool,
    ) -> None:
        from ...sources.video import VideoSource

        start, options = self._start, self._start.options
        cells = math.lcm(*(backbone.spec.snippet_frames for _, backbone, _ in members))
        if cells > MOST_CELLS:  # sections of one backbone would begin too late
            cells = max(backbone.spec.snippet_frames for _, backbone, _ in members)

        opened: list[LoopedFrames] = []
        base_s = self._base_s
        tap: TimedTap | None = None

        def begun() -> None:
            """The clock of a live source runs while the source opens, as it does while the service is down."""
            nonlocal base_s
            base_s = self._base_s + max(time.monotonic() - self._began_steady, 0.0)
            if tap is not None:
                tap.start_s = base_s

        def open_once() -> FrameSource:
            from ...video import open_frames

            nonlocal tap
            begin_s = base_s + (opened[0].laps[-1] if opened else 0.0)
            tap = self._media.tap(begin_s) if show else None
            return open_frames(
                start.source, fps=fps, options=replace(self._options(cells / fps), packets=tap, begun=begun)
            )

        looped = options.loop and not self._live()
        real_time = not self._live() and (looped if options.real_time is None else options.real_time)
        laps = LoopedFrames(open_once(), open_once if looped else None, fps=fps, cells=cells, real_time=real_time)
        opened.append(laps)
        region = RegionFrames(
            laps, options.region, options.masks, self._media.offer_frame if show else _ignore, start_s=base_s
        )
        watched: FrameSource = WatchedFrames(region, self._signs)  # type: ignore[assignment]  # passes all attributes
        readers = [watched] if len(members) == 1 else SharedFrames(watched, len(members)).readers()
        self._frames.append(laps)
        for (wanted, backbone, place), frames in zip(members, readers, strict=True):
            source = VideoSource(frames, backbone, start_s=base_s, overflow=options.overflow, idle_s=options.idle_s)
            backbone.warm(source.batch)
            resumed = None if source.frames.live else place
            feed = Feed(
                wanted.feed or backbone.digest,
                channel,
                backbone.spec.stride_s,
                source.replayable,
                timed=looped or not source.replayable,
                stop=self._stop,
                until_s=None if resumed is None else resumed.until_s,
            )
            self._parts.append((source, feed, laps, resumed))

    def _options(self, align_s: float) -> VideoOptions:
        from ...video import VideoOptions

        options = self._start.options
        live = self._live()
        policy = None if options.overflow is None else "wait" if options.overflow == "wait" else "drop_oldest"
        return VideoOptions(
            threads=options.threads,
            decoder=options.decoder,
            reconnect_s=options.reconnect_s,
            policy=policy,  # type: ignore[arg-type]  # one of the two
            retry_start=live,
            waiting=self._wait,
            allow_hosts=options.allow_hosts,
            user=options.user,
            password=options.password,
            rate=options.fps,
            align_s=align_s,
            transport=options.transport,
        )

    def _wait(self, why: str) -> None:
        self._signs.renew()
        self._waiting(why)

    @property
    def feeds(self) -> list[Feed]:
        return [feed for _, feed, _, _ in self._parts]

    @property
    def replayable(self) -> bool:
        return all(source.replayable for source, _, _, _ in self._parts)

    @property
    def trouble(self) -> str:
        """Why the source is currently unavailable; empty if it is available."""
        return next((source.trouble for source, _, _, _ in self._parts if source.trouble), "")

    def stats(self) -> dict[str, object]:
        """Counters for the supervisor."""
        sources = [source for source, _, _, _ in self._parts]
        info = self._frames[0].info
        stages: dict[str, float] = defaultdict(float)
        for source in sources:
            for stage, seconds in source.stats.seconds().items():
                stages[f"{stage}_s"] += round(seconds, 3)
        return {
            "frames": sources[0].stats.frames,
            "lost_frames": sources[0].stats.lost,
            "received_frames": int(getattr(self._frames[0], "received", 0)),
            "shed_frames": sources[0].stats.shed + self._frames[0].dropped.get("overflow", 0),
            "gaps": sources[0].stats.gaps,
            "snippets": sum(source.stats.snippets for source in sources),
            "reconnects": int(getattr(self._frames[0], "reconnects", 0)),
            "width": info.width,
            "height": info.height,
            "fps": info.rate,
            "codec": info.codec,
            "decoder": info.decoder,
            "stages": dict(stages),
            "behind": any(source.behind for source in sources),
        }

    def run(self, began: Callable[[], None]) -> str:
        """Read to the end and return what ended it. Raises PunctumError."""
        threads = [
            threading.Thread(target=self._guarded, args=(*part, began), name=f"feed {k}", daemon=True)
            for k, part in enumerate(self._parts[1:])
        ]
        for thread in threads:
            thread.start()
        self._guarded(*self._parts[0], began)
        for thread in threads:
            thread.join()
        if self._faults:
            raise self._faults[0]
        return "end of the source"

    def _guarded(
        self, source: VideoSource, feed: Feed, laps: LoopedFrames, place: Place | None, began: Callable[[], None]
    ) -> None:
        try:
            self._read(source, feed, laps, place, began)
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._faults.append(error)
            self._stop.set()  # one feed of a camera does not go on without the others

    def _read(
        self, source: VideoSource, feed: Feed, laps: LoopedFrames, place: Place | None, began: Callable[[], None]
    ) -> None:
        same_lap = place is not None and place.lap_s == self._base_s
        items = source.items(place.inner if place is not None and same_lap else None)
        lap, before = 0, 0  # number of the lap, and rows of the source in earlier laps
        while not self._stop.is_set():
            with self._signs.step():
                item = next(items, self)
            if item is self:
                return
            if isinstance(item, Begin):
                feed.begin(item, item.start_s)
                if place is not None and not same_lap:
                    feed.next_s = item.start_s  # what it had already is read again, and dropped by its time
                began()
            elif isinstance(item, Chunk):
                if item.at is not None and not feed.replayable:
                    feed.chunk(item, item.at, None)
                    continue
                while item.at is not None and lap + 1 < len(laps.laps):
                    if item.at < self._base_s + laps.laps[lap + 1] - 1e-6:
                        break
                    lap, before = lap + 1, _rows(item) - len(item.rows)
                feed.chunk(item, item.at, self._placer(item, laps.laps[lap], before) if feed.replayable else None)

    def _placer(self, item: Chunk, lap_s: float, before: int) -> Callable[[float], Place]:
        inner = {"snippet": _rows(item) - before}
        return lambda until: Place(self._base_s + lap_s, until, dict(inner))

    def close(self) -> None:
        for source, _, _, _ in self._parts:
            source.close()
        for frames in self._frames:
            frames.close()


def _rows(item: Chunk) -> int:
    """Rows that the source has delivered with this chunk."""
    return int(str(item.position.get("snippet", 0)))


def _ignore(*_: object) -> None:
    """Pictures of a source that is opened a second time are not shown twice."""

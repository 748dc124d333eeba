"""Video as a source of features: one thread decodes and preprocesses frames, the caller's thread runs the backbone.

    frames (decode) -> preprocess (resize, normalize) -> bounded queue | -> clips -> backbone -> Chunk

Both sides release the GIL while they work, so they overlap on two cores. Only preprocessed frames wait in the queue;
they have the size of the network input.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import PunctumError
from .items import BLOCK_ROWS, POLL_S, Begin, Chunk, Item, Position, count_in
from .media import stream_name
from .snippets import Break, Frame, SnippetBuilder, VideoStats

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone
    from ..video import FrameSource, VideoOptions

__all__ = ["Overflow", "VideoSource", "VideoStats", "coalesce", "open_video"]

F32 = npt.NDArray[np.float32]
Overflow = Literal["wait", "drop_oldest", "degrade"]
FILE_BATCH = 8  # snippets per call of the backbone for files, where latency does not matter
QUEUE_S = 4.0
JOIN_S = 10.0


class VideoSource:
    """Opened frames and a backbone as a source of features. Position (files): {"snippet": rows delivered}.

    Args:
        frames: Opened source of frames.
        backbone: Computes the features.
        start_s: Media time of the first frame in seconds.
        batch: Snippets per call of the backbone. Default: 1 for live sources, FILE_BATCH for files.
        overflow: What to do when the backbone falls behind by `queue_s`. "wait": the decoder waits. "drop_oldest": the
            older half of the queue is dropped, as a gap. "degrade": like "drop_oldest", but `behind` is set before, so
            that scoring can be reduced. Default: the policy of `frames`.
        queue_s: Length of the queue in seconds of video.
        idle_s: A live source ends after this many seconds without frames. None: never.
    """

    def __init__(
        self,
        frames: FrameSource,
        backbone: VideoBackbone,
        *,
        start_s: float = 0.0,
        batch: int | None = None,
        overflow: Overflow | None = None,
        queue_s: float = QUEUE_S,
        idle_s: float | None = None,
    ) -> None:
        live = frames.live
        self.frames, self.backbone, self.start_s = frames, backbone, start_s
        self.name, self.stream = frames.name, stream_name(frames.name)
        self.replayable = not live
        self.stats = VideoStats()
        self._batch = batch or (1 if live else FILE_BATCH)
        self._drops = (overflow or frames.policy) in ("drop_oldest", "degrade")
        self._degrades, self._behind = overflow == "degrade", False
        self._idle_s = idle_s if live else None
        spec = backbone.spec
        self._bound = max(2 * spec.clip_frames, self._batch * spec.snippet_frames, round(queue_s * spec.fps), 2)
        self._queue: deque[Frame | Break] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._ended = False
        self._fault: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def behind(self) -> bool:
        """Whether the queue is too long. Only with "degrade": set above half of the bound, reset below an eighth."""
        if self._degrades:
            limit = self._bound / 8 if self._behind else self._bound / 2
            self._behind = len(self._queue) > limit
        return self._behind

    def open(self) -> None:
        """Do nothing: the frames are already open."""

    def close(self) -> None:
        """Stop the decoding thread. May be called more than once."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None
        else:
            self.frames.close()

    @property
    def trouble(self) -> str:
        """Why the source is currently unavailable; empty if it is available."""
        return str(getattr(self.frames, "trouble", ""))

    @property
    def batch(self) -> int:
        """Number of snippets per call of the backbone."""
        return self._batch

    def items(self, position: Position | None = None) -> Iterator[Item]:
        """Yield Begin, then chunks, and None when nothing arrived for a while. Errors are raised after all chunks."""
        from ..backbone.extractor import Extractor

        self._thread = threading.Thread(target=self._decode, name="punctum-decode", daemon=True)
        self._thread.start()
        yield Begin(self.stream, self.start_s)
        extractor = Extractor(self.backbone, batch=self._batch)
        extractor.skip = 0 if position is None else count_in(position, "snippet")
        snippets = SnippetBuilder(
            extractor,
            self.backbone.spec,
            self.stats,
            name=self.name,
            start_s=self.start_s,
            replayable=self.replayable,
        )
        quiet = time.monotonic()
        try:
            while True:
                item = self._take()
                if item is None:
                    if self._ended or (self._idle_s is not None and time.monotonic() - quiet >= self._idle_s):
                        break
                    yield None
                    continue
                quiet = time.monotonic()
                yield from snippets.add(item)
            yield from snippets.end(None)
            self.stats.lost += getattr(self.frames, "unplaced", 0)
            if self._fault is not None:
                raise self._fault
        finally:
            self.close()

    def _take(self) -> Frame | Break | None:
        """Return the next item of the queue; None if nothing arrived for POLL_S, and at the end."""
        with self._changed:
            if not self._queue and not self._ended:
                self._changed.wait(POLL_S)
            if not self._queue:
                return None
            item = self._queue.popleft()
            self._changed.notify_all()
            return item

    def _decode(self) -> None:
        """Body of the thread: decode and preprocess frames until the end, an error or `close`."""
        stats, prepare = self.stats, self.backbone.preprocessor()
        clock = time.thread_time if self.frames.live else time.perf_counter
        shown: Any = None  # a frame that stays on screen is preprocessed once
        plane: F32 = np.zeros(0, np.float32)
        try:
            iterator = self.frames.frames()
            while not self._stop.is_set():
                began = clock()
                frame: Any = next(iterator, self)
                spent = clock() - began
                stats.decode_s += spent
                if frame is self:
                    break
                if frame is None:
                    continue
                image = getattr(frame, "image", None)
                if image is None:
                    self._put(Break(frame.at, frame.lost, getattr(frame, "reason", "")))
                    continue
                stats.recent["decode"].append(spent)
                if image is not shown:
                    began = time.perf_counter()
                    plane, shown = prepare(image, getattr(frame, "aspect", 1.0)), image
                    spent = time.perf_counter() - began
                    stats.preprocess_s += spent
                    stats.recent["preprocess"].append(spent)
                stats.frames += 1
                stats.lost_at_start_s = getattr(self.frames, "lost_at_start_s", 0.0)
                self._put(Frame(plane, frame.index, frame.at, frame.lost))
        except BaseException as error:  # noqa: BLE001 - re-raised by the reading thread
            self._fault = error
        finally:
            try:
                self.frames.close()
            except PunctumError as error:
                self._fault = self._fault or error
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Frame | Break) -> None:
        with self._changed:
            if self._drops and len(self._queue) >= self._bound:
                self._drop_older_half()
            while len(self._queue) >= self._bound and not self._stop.is_set():
                self._changed.wait(POLL_S)
            self._queue.append(item)
            self._changed.notify_all()

    def _drop_older_half(self) -> None:
        """Drop the older half of the queue and mark the rest as a new section."""
        lost = 0
        for _ in range(max(len(self._queue) // 2, 1)):
            item = self._queue.popleft()
            lost += item.lost + isinstance(item, Frame)
            self.stats.shed += isinstance(item, Frame)
        if self._queue:
            self._queue.appendleft(Break(self._queue[0].at, lost, "overflow"))


def open_video(
    address: str,
    backbone: VideoBackbone,
    *,
    start_s: float = 0.0,
    idle_s: float | None = None,
    overflow: Overflow | None = None,
    fps: float | None = None,
    options: VideoOptions | None = None,
) -> VideoSource:
    """Open a video file, URL or camera as a source of features.

    Args:
        address: The video.
        backbone: Computes the features.
        start_s: Media time of the first frame in seconds.
        idle_s: See `VideoSource`.
        overflow: See `VideoSource`; also sets the policy of the frames.
        fps: Frames per second of a stream without time stamps, see `VideoOptions.rate`.
        options: Options of the frames.

    Raises:
        InputError: The video cannot be opened.
    """
    from ..video import VideoOptions, open_frames

    # Sections begin with a whole snippet, so that rows keep their place in time when gaps are filled for training.
    options = replace(options or VideoOptions(), align_s=backbone.spec.stride_s)
    if fps is not None:
        options = replace(options, rate=fps)
    if overflow is not None:
        options = replace(options, policy="wait" if overflow == "wait" else "drop_oldest")
    frames = open_frames(address, fps=backbone.spec.fps, options=options)
    return VideoSource(frames, backbone, start_s=start_s, idle_s=idle_s, overflow=overflow or options.policy)


def coalesce(items: Iterator[Item], rows: int = BLOCK_ROWS) -> Iterator[Chunk]:
    """Join the chunks of each section up to `rows` rows, for recordings. Raises the error of a Bad chunk."""
    held: list[Chunk] = []
    count = 0
    for item in items:
        if item is None or isinstance(item, Begin):
            continue
        if not isinstance(item, Chunk):
            raise item.error
        if held and (item.at is not None or count >= rows):
            yield _joined(held)
            held, count = [], 0
        held.append(item)
        count += len(item.rows)
    if held:
        yield _joined(held)


def _joined(chunks: list[Chunk]) -> Chunk:
    first, last = chunks[0], chunks[-1]
    starts = np.cumsum([0, *(len(c.rows) for c in chunks)]).tolist()
    return Chunk(
        np.concatenate([c.rows for c in chunks]),
        first.at,
        first.where,
        last.position,
        sum(c.read_s for c in chunks),
        tuple((start + row, n) for start, c in zip(starts, chunks, strict=False) for row, n in c.lost),
    )

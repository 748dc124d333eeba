"""One decoded video for several readers: each frame is decoded once, and a bounded number of them waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from ...sources.items import POLL_S
from ...video import FrameSource, Gap, Sampled
from ...video.passing import PassedFrames

MOST_WAITING = 4  # whole pictures, of which a large one has tens of megabytes


class SharedFrames:
    """Gives the frames of one source to several readers, each of which reads in a thread of its own.

    The reader that needs the next frame reads it from the source for all. One that is MOST_WAITING frames ahead of
    another waits for it; a live source is not held up for long, because its readers drop frames rather than wait.

    Args:
        frames: The source, opened. It is closed with the last reader.
        readers: Number of readers.
    """

    def __init__(self, frames: FrameSource, readers: int) -> None:
        self._source, self._iterator = frames, frames.frames()
        self._changed = threading.Condition()
        self._queues: list[deque[Sampled | Gap]] = [deque() for _ in range(readers)]
        self._open = [True] * readers
        self._reading, self._ended = False, False
        self._fault: BaseException | None = None

    def readers(self) -> list[FrameSource]:
        """The readers, each a FrameSource."""
        return [_Reader(self._source, self, index) for index in range(len(self._queues))]

    def take(self, index: int) -> Sampled | Gap | None:
        """The next item for a reader; None if nothing arrived for a while. Raises StopIteration at the end."""
        with self._changed:
            if not self._queues[index] and not self._ended and (self._reading or self._is_full()):
                self._changed.wait(POLL_S)
            if self._queues[index]:
                self._changed.notify_all()
                return self._queues[index].popleft()
            if self._ended or not self._open[index]:
                if self._fault is not None:
                    raise self._fault
                raise StopIteration
            if self._reading or self._is_full():
                return None
            self._reading = True
        item: Sampled | Gap | None = None
        ended, fault = False, None
        try:
            item = next(self._iterator)
        except StopIteration:
            ended = True
        except BaseException as error:  # noqa: BLE001 - every reader raises it
            ended, fault = True, error
        with self._changed:
            self._reading, self._ended, self._fault = False, ended, fault
            if item is not None:
                for queue, is_open in zip(self._queues, self._open, strict=True):
                    if is_open:
                        queue.append(item)
            self._changed.notify_all()
        return None if item is None else self._pop(index)

    def close(self, index: int) -> None:
        """End one reader; with the last one the source is closed."""
        with self._changed:
            self._open[index] = False
            self._queues[index].clear()
            last = not any(self._open)
            self._changed.notify_all()
        if last:
            self._source.close()

    def _is_full(self) -> bool:
        return any(len(queue) >= MOST_WAITING for queue in self._queues)

    def _pop(self, index: int) -> Sampled | Gap | None:
        with self._changed:
            return self._queues[index].popleft() if self._queues[index] else None


class _Reader(PassedFrames):
    def __init__(self, frames: FrameSource, shared: SharedFrames, index: int) -> None:
        super().__init__(frames)
        self._shared, self._index = shared, index

    def frames(self) -> Iterator[Sampled | Gap | None]:
        while True:
            try:
                item = self._shared.take(self._index)
            except StopIteration:
                return
            yield item

    def close(self) -> None:
        self._shared.close(self._index)

"""Frames of RTSP, HTTP and HLS streams and USB cameras: a thread reads, a bounded buffer holds, losses are mended.

A live source that breaks off is opened again with growing pauses. Media time goes on by the wall-clock time that was
lost, and a Gap says so.
"""

from __future__ import annotations

import atexit
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ..credentials.redact import Address
from ..errors import InputError
from ._cells import CellBuffer
from ._connect import error_fault, http_source, make_reader, read_limit
from ._faults import Fault
from ._frames import POLL_S, Gap, Policy, Sampled, VideoInfo, VideoOptions
from ._picture import Picture
from .decode import load_av
from .files import log_warning, make_timeline, show, warn_of_rate
from .sampler import Cell, check_fps
from .timeline import Timeline

END_SLACK_S = 1.0  # a recording that is served as a stream has ended when no more than this of it is missing
STEADY_S = 10.0  # a connection that held for that long begins a new series of attempts when it breaks
CLOSE_S = 1.0  # beyond the read time-out: what the thread may take to notice that it shall end


class Connection(Protocol):
    """One connection to a live source. All methods are called from one thread."""

    ended_by: Fault | None

    @property
    def lost(self) -> int: ...
    def open(self) -> None: ...
    def info(self, first: Picture) -> VideoInfo: ...
    def pictures(self) -> Iterator[Picture | None]: ...
    def close(self) -> None: ...


class LiveFrames:
    """A live source on the sampling grid of `fps`. See `FrameSource`. It opens once; for more, make another.

    connect: makes a connection; tests give their own. warn: told of every loss, in words without credentials.
    """

    def __init__(
        self,
        address: Address,
        *,
        fps: float,
        options: VideoOptions | None = None,
        connect: Callable[[], Connection] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        check_fps(fps)
        self.name, self.live = address.shown, True
        self.info = VideoInfo(0, 0, 0.0, None, "", 0, True)
        self.dropped: dict[str, int] = {}
        self.reconnects = 0
        waits: Policy = "wait" if address.kind == "http" else "drop_oldest"
        self.policy: Policy = (options and options.policy) or waits
        self._address, self._fps, self._options = address, fps, options or VideoOptions()
        self.trouble = ""
        """Why the source is lost for now, in words without credentials; empty while it is there."""
        self._http = http_source(address, self._options)
        self._connect = connect or self._reader
        self._warn = warn or log_warning
        self._timeline = self._new_timeline()
        self._buffer: CellBuffer[Picture] = CellBuffer(1, fps=fps, policy="wait")
        self._fault: Fault | None = None
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._read_s = read_limit(address, self._options)
        self._announced = 0  # frames that the header announced beyond the last
        self._left = 0  # frames lost at the end of a connection that no item has told of yet
        self._seen = 0.0  # wall clock of the last frame
        self._first_raw = self._last_raw = 0.0  # stamps of this connection

    def open(self) -> None:
        if self._thread is not None or self._stop.is_set():
            return
        load_av()
        began = time.monotonic()
        # In a thread, since the look-up of a host name cannot be interrupted.
        self._thread = threading.Thread(target=self._run, name=f"video {self.name}", daemon=True)
        _threads[self._thread] = self
        atexit.unregister(_end_threads)  # once, however many sources there are
        atexit.register(_end_threads)
        self._thread.start()
        patience = self._options.open_timeout_s + CLOSE_S
        if self._options.retry_start:
            patience += self._options.reconnect_s
        while not self._ready.wait(min(POLL_S, patience)):
            if time.monotonic() - began >= patience:
                self._stop.set()
                self._fault = self._silent(time.monotonic() - began)
                self._thread = None  # nothing to wait for: it ends when the system lets it
                break
            if self._options.waiting is not None:
                self._options.waiting(self.trouble)
        if self._fault is not None and not self.info.width:
            raise self._fault.error()

    def frames(self) -> Iterator[Sampled | Gap | None]:
        self.open()
        while not self._stop.is_set():
            item = self._buffer.get(POLL_S)
            if item is None:
                if self._buffer.finished:
                    break
                yield None
            elif isinstance(item, Gap):
                yield item
            else:
                yield show(item)
        if self._fault is not None and not self._stop.is_set():
            raise self._fault.error()

    def close(self) -> None:
        self._stop.set()
        self._buffer.close()
        if self._http is not None:
            self._http.stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._read_s + CLOSE_S)

    # Below: the reading thread.

    def _run(self) -> None:
        try:
            self._fault = self._session()
        except InputError as error:
            self._fault = Fault.of(error)
        except Exception as error:  # noqa: BLE001 - a thread that dies in silence would hang whoever waits for it
            reason = self._address.clean(f"{type(error).__name__}: {error}")
            self._fault = Fault("video-failed", f"{self.name} failed ({reason})", "", "report this")
        finally:
            self._put(self._finish())
            self._buffer.end()
            self._ready.set()
            _threads.pop(threading.current_thread(), None)

    def _session(self) -> Fault | None:
        """Connect, read, and connect again, until the stream has ended (None) or is given up."""
        attempt, tried_from, reason = 0, time.monotonic(), ""
        last: Fault | None = None
        while not self._stop.is_set():
            before, began = self._seen, time.monotonic()
            fault = self._connection(reason)
            if fault is None or self._stop.is_set():
                return None
            if fault.code == "video-again":
                # What broke off stays broken off; what ended as it should has ended.
                return None if last is not None and last.code == "video-ended" else last
            started = self._ready.is_set() or self._options.retry_start
            if not (started and self.live and fault.passing and self._options.reconnect_s):
                return fault  # a recording that is opened again would begin again
            self.trouble = fault.given
            if not self._ready.is_set():
                if time.monotonic() - tried_from >= self._options.reconnect_s:
                    return fault
                if not attempt:
                    self._warn(f"{fault.given}. Trying again for {self._options.reconnect_s:g} s.")
            elif self._seen > before:  # there were frames: a new loss
                last, tried_from = fault, time.monotonic()
                attempt = 0 if time.monotonic() - began > STEADY_S else attempt
                reason = "stall" if fault.code in ("video-timeout", "video-stall") else "reconnected"
                self._count("connections-lost")
                self._warn(f"{fault.given}. Trying again for {self._options.reconnect_s:g} s.")
            if time.monotonic() - tried_from >= self._options.reconnect_s:
                return Fault(
                    "video-lost",
                    f"{self.name} was lost and did not come back within {self._options.reconnect_s:g} s"
                    f" (last: {fault.given})",
                    "a source that comes back in time",
                    "restart it, or allow more time for reconnecting",
                    passing=True,
                )
            attempt += 1
            self._stop.wait(self._pause(attempt, tried_from))
        return None

    def _pause(self, attempt: int, tried_from: float) -> float:
        """Seconds before an attempt: doubled each time, with jitter, and never past the end of all attempts."""
        base = min(self._options.backoff_s * 2 ** min(attempt - 1, 30), self._options.max_backoff_s)
        left = tried_from + self._options.reconnect_s - time.monotonic()
        pause: float = min(base * random.uniform(0.75, 1.25), left)
        return max(0.0, pause)

    def _connection(self, reason: str) -> Fault | None:
        """Read one connection to its end. None: the stream has ended. Otherwise what ended it."""
        connection = self._connect()
        try:
            connection.open()
            return self._read(connection, reason)
        except InputError as error:
            return error_fault(error)
        finally:
            connection.close()

    def _read(self, connection: Connection, reason: str) -> Fault | None:
        quiet_from, begun = time.monotonic(), False
        limit = self._options.stall_s if self._ready.is_set() else self._options.open_timeout_s
        for picture in connection.pictures():
            if self._stop.is_set():
                return None
            if picture is None:
                if connection.ended_by is None and time.monotonic() - quiet_from > limit:
                    return self._stalled(limit)
                continue
            if not begun:
                self._begin(connection, picture)
                begun, limit = True, self._options.stall_s
            if not self._take(picture, reason):
                return None
            reason, quiet_from = "", self._seen
        return self._ended(connection, begun)

    def _begin(self, connection: Connection, first: Picture) -> None:
        """The first picture of a connection."""
        self.trouble = ""
        self._first_raw = first.raw_s or 0.0
        if self._ready.is_set():
            self.reconnects += 1
            self._count("reconnects")
            # Times of arrival go on over a loss; other stamps may begin anew.
            arrival = self.info.time.arrival
            lost_s = self._first_raw - self._last_raw if arrival else time.monotonic() - self._seen
            self._warn(f"{self.name} is back after {max(lost_s, 0.0):.1f} s.")
            self._put(self._timeline.resume(lost_s))
            return
        self.info = connection.info(first)
        if self._address.kind == "http" and (self.info.duration_s or getattr(connection, "recording", False)):
            self.live = False
        self._timeline = self._new_timeline()
        warn_of_rate(self.name, self.info, self._warn)
        self._buffer = CellBuffer(math.ceil(self._options.buffer_s * self._fps), fps=self._fps, policy=self.policy)
        self._ready.set()

    def _take(self, picture: Picture, reason: str) -> bool:
        self._last_raw = picture.raw_s or 0.0
        items = self._timeline.push(picture, lost=self._left, broken=reason or None)
        self._left = 0
        going = self._put(items)
        self._seen = time.monotonic()  # after a wait for room: that is the consumer's time, not the sender's
        return going

    def _new_timeline(self) -> Timeline[Picture]:
        """Only a camera's rhythm tells of lost frames: what comes over HTTP follows the rule of files."""
        camera = self._address.kind != "http"
        return make_timeline(self.info, self._fps, self._options, rhythm=camera)

    @property
    def lost_at_start_s(self) -> float:
        """Seconds of video at the start that could not be decoded."""
        return self._timeline.lost_at_start_s

    @property
    def unplaced(self) -> int:
        """Frames lost behind the last item, which none could tell of."""
        return self._timeline.unplaced

    def _finish(self) -> list[Cell[Picture] | Gap]:
        """The end of the source; of a recording, what its header announces beyond it was cut off, as with a file."""
        timeline = self._timeline
        items = timeline.settle()
        short = certain = 0
        if not self.live and not self._stop.is_set():
            short, certain = timeline.missing_at_end(announced=self._announced, slack_s=1 / self._fps)
        items += timeline.finish(lost=max(certain, self._left))
        if short:
            self.dropped["missing-at-end"] = short
        whole = self.info.time.arrival or not (self.live or self._stop.is_set())
        odd = timeline.disagreement(self._options.align_s or 2 / self._fps) if whole else None
        if odd is not None:
            self._warn(f"{self.name}: {odd}")
        return items

    def _put(self, items: list[Cell[Picture] | Gap]) -> bool:
        going = all(self._buffer.put(item) for item in items)
        self.dropped.update(self._timeline.tallies())
        if self._buffer.overflowed:
            self.dropped["overflow"] = self._buffer.overflowed
        return going

    def _ended(self, connection: Connection, begun: bool) -> Fault | None:
        """Whether the end of a connection is the end of the stream."""
        fault = connection.ended_by
        self._left += connection.lost
        self._announced = getattr(connection, "announced", 0)
        if not begun:
            return fault or Fault(
                "video-no-frames",
                f"{self.name} sent no frame that can be decoded",
                "a video stream",
                "see whether a player on this machine shows it",
                passing=True,
            )
        whole = self.info.duration_s
        if self._address.kind == "rtsp" and whole:
            over = self._last_raw - self._first_raw >= whole - END_SLACK_S
        elif self._address.kind == "http":
            complete = getattr(connection, "complete", None)  # of `HttpReader`
            media_s = self._last_raw - self._first_raw + self._timeline.clock.period_s
            over = fault is None and (
                complete is None
                or not self._options.reconnect_s
                or complete(media_s)
                or (whole is not None and media_s >= whole - END_SLACK_S)
            )
        else:
            over = False
        if over:
            return None
        return fault or Fault(
            "video-ended",
            f"{self.name} closed the connection",
            "a source that goes on",
            "restart the server",
            passing=True,
        )

    def _stalled(self, limit: float) -> Fault:
        self._count("stalls")
        return Fault(
            "video-stall",
            f"{self.name} sent data but no frame for {limit:g} s",
            "a source that sends video",
            "look at the camera",
            passing=True,
        )

    def _silent(self, waited_s: float) -> Fault:
        return Fault(
            "video-timeout",
            f"{self.name} gave no frame within {waited_s:.3g} s",
            "a source that answers",
            "check host and network, or allow more time for opening",
            passing=True,
        )

    def _count(self, reason: str, count: int = 1) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _reader(self) -> Connection:
        return make_reader(self._address, self._options, self.dropped, self._http)


_threads: dict[threading.Thread, LiveFrames] = {}
"""Threads that may be inside of FFmpeg."""


def _end_threads() -> None:
    """At exit: FFmpeg asks PyAV whether to go on waiting, and that crashes once the interpreter is being taken down."""
    atexit.unregister(_end_threads)
    threads = list(_threads.items())
    for _, source in threads:
        source._stop.set()
        source._buffer.close()
        if source._http is not None:
            source._http.stop()
    for thread, source in threads:
        thread.join(max(source._read_s, source._options.open_timeout_s) + CLOSE_S)

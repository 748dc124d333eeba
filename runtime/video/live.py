"""Frames of RTSP, HTTP and HLS streams, USB cameras and GStreamer pipelines, read by a thread into a bounded buffer.

A live source that breaks off is reopened, with growing pauses between attempts. Media time advances by the wall-clock
time of the interruption, and a Gap reports it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..credentials.redact import Address
from ..errors import InputError
from . import _exit, _live_faults
from ._cells import CellBuffer
from ._connect import END_SLACK_S, Connection, error_fault, http_source, is_whole, make_reader, read_limit
from ._decoded import DecodedFrame
from ._faults import Fault
from ._frames import POLL_S, Gap, Policy, Sampled, VideoInfo, VideoOptions
from ._opening import load_av
from ._retries import Retries
from .files import log_warning, make_timeline, show, warn_of_rate
from .sampler import Cell, check_fps
from .timeline import Timeline

CLOSE_S = 1.0  # time beyond the read time-out for the thread to notice a stop request


class LiveFrames:
    """Frames of a live source on a sampling grid. See `FrameSource`. An instance can be opened only once.

    Args:
        address: The source.
        fps: Cells of the grid per second.
        options: Options of the source.
        connect: Creates a connection; replaced by tests.
        warn: Called with a message, free of credentials, for every loss. Default: the log.
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
        self.received = 0
        """Number of frames that came, decoded or not."""
        waits: Policy = "wait" if address.kind == "http" else "drop_oldest"
        self.policy: Policy = (options and options.policy) or waits
        self._address, self._fps, self._options = address, fps, options or VideoOptions()
        self.trouble = ""
        """Why the source is currently unavailable, without credentials; empty if it is available."""
        self._http = http_source(address, self._options)
        self._connect = connect or self._reader
        self._warn = warn or log_warning
        self._timeline = self._new_timeline()
        self._buffer: CellBuffer[DecodedFrame] = CellBuffer(1, fps=fps, policy="wait")
        self._fault: Fault | None = None
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._read_s = read_limit(address, self._options)
        self._announced = 0  # frames in the header after the last one
        self._left = 0  # frames lost at the end of a connection, not yet reported by an item
        self._seen = 0.0  # monotonic clock at the last frame
        self._first_raw = self._last_raw = 0.0  # time stamps of this connection

    def open(self) -> None:
        if self._thread is not None or self._stop.is_set():
            return
        load_av()
        began = time.monotonic()
        # In a thread, because the resolution of a host name cannot be interrupted.
        self._thread = threading.Thread(target=self._run, name=f"video {self.name}", daemon=True)
        _exit.register(self._thread, self)
        self._thread.start()
        limit_s = self._options.open_timeout_s + CLOSE_S
        if self._options.retry_start:
            limit_s += self._options.reconnect_s
        while not self._ready.wait(min(POLL_S, limit_s)):
            if time.monotonic() - began >= limit_s:
                self._stop.set()
                self._fault = _live_faults.silent(self.name, time.monotonic() - began)
                self._thread = None  # cannot be joined: it ends when the system call returns
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
        self.request_stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._read_s + CLOSE_S)

    def request_stop(self) -> None:
        """Ask the reading thread to stop, without waiting for it."""
        self._stop.set()
        self._buffer.close()
        if self._http is not None:
            self._http.stop()

    @property
    def stop_limit_s(self) -> float:
        """Seconds that the reading thread may need to stop."""
        return max(self._read_s, self._options.open_timeout_s) + CLOSE_S

    # The methods below run in the reading thread.

    def _run(self) -> None:
        try:
            self._fault = self._session()
        except InputError as error:
            self._fault = Fault.of(error)
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would block the consumer forever
            reason = self._address.clean(f"{type(error).__name__}: {error}")
            self._fault = _live_faults.failed(self.name, reason)
        finally:
            self._put(self._finish())
            self._buffer.end()
            self._ready.set()
            _exit.unregister(threading.current_thread())

    def _session(self) -> Fault | None:
        """Connect, read and reconnect until the stream has ended (None) or all attempts have failed."""
        retries, reason = Retries(self._options), ""
        last: Fault | None = None
        while not self._stop.is_set():
            before, began = self._seen, time.monotonic()
            fault = self._connection(reason)
            if fault is None or self._stop.is_set():
                return None
            if fault.code == "video-again":
                # A recording that was served from its start: report the fault of the last connection, if any.
                return None if last is not None and last.code == "video-ended" else last
            started = self._ready.is_set() or self._options.retry_start
            if not (started and self.live and fault.passing and self._options.reconnect_s):
                return fault  # a recording that is reopened would start from the beginning
            self.trouble = fault.given
            if not self._ready.is_set():
                if retries.exhausted:
                    return fault
                if not retries.attempts:
                    self._warn(f"{fault.given}. Retrying for {self._options.reconnect_s:g} s.")
            elif self._seen > before:  # there were frames: a new loss
                last = fault
                retries.renew(lasted_s=time.monotonic() - began)
                reason = "stall" if fault.code in ("video-timeout", "video-stall") else "reconnected"
                self._count("connections-lost")
                self._warn(f"{fault.given}. Retrying for {self._options.reconnect_s:g} s.")
            if retries.exhausted:
                return _live_faults.lost(self.name, self._options.reconnect_s, fault)
            self._stop.wait(retries.next_pause())
        return None

    def _connection(self, reason: str) -> Fault | None:
        """Read one connection to its end. Returns None if the stream has ended, otherwise the fault."""
        connection = self._connect()
        try:
            connection.open()
            fault = self._read(connection, reason)
        except InputError as error:
            fault = error_fault(error)
        finally:
            connection.close()
        if fault is not None and self._address.kind == "gst" and getattr(connection, "recording", False):
            return replace(fault, passing=fault.passing and fault.code == "video-timeout")  # the file stays as it is
        return fault

    def _read(self, connection: Connection, reason: str) -> Fault | None:
        quiet_from, begun = time.monotonic(), False
        limit = self._options.stall_s if self._ready.is_set() else self._options.open_timeout_s
        for frame in connection.decoded_frames():
            if self._stop.is_set():
                return None
            if frame is None:
                if connection.ended_by is None and time.monotonic() - quiet_from > limit:
                    self._count("stalls")
                    return _live_faults.stalled(self.name, limit)
                continue
            if not begun:
                self._begin(connection, frame)
                begun, limit = True, self._options.stall_s
            if not self._take(frame, reason):
                return None
            reason, quiet_from = "", self._seen
        return self._ended(connection, begun)

    def _begin(self, connection: Connection, first: DecodedFrame) -> None:
        """Process the first frame of a connection."""
        self.trouble = ""
        self._first_raw = first.raw_s or 0.0
        if self._ready.is_set():
            self.reconnects += 1
            self._count("reconnects")
            # Times of arrival continue over an interruption; other time stamps may start again.
            arrival = self.info.time.arrival
            lost_s = self._first_raw - self._last_raw if arrival else time.monotonic() - self._seen
            self._warn(f"{self.name} is back after {max(lost_s, 0.0):.1f} s.")
            self._put(self._timeline.resume(lost_s))
            connection.watch(self._timeline.shows)
            return
        self.info = connection.info(first)
        kind, recording = self._address.kind, getattr(connection, "recording", False)
        if kind in ("http", "gst") and (recording or (kind == "http" and self.info.duration_s)):
            self.live, self.policy = False, self._options.policy or "wait"
        self._timeline = self._new_timeline()
        connection.watch(self._timeline.shows)
        warn_of_rate(self.name, self.info, self._warn)
        self._buffer = CellBuffer(math.ceil(self._options.buffer_s * self._fps), fps=self._fps, policy=self.policy)
        if self._options.begun is not None:
            self._options.begun()
        self._ready.set()

    def _take(self, frame: DecodedFrame, reason: str) -> bool:
        self._last_raw = frame.raw_s or 0.0
        self.received += 1
        items = self._timeline.push(frame, lost=self._left, broken=reason or None)
        self._left = 0
        accepted = self._put(items)
        self._seen = time.monotonic()  # after waiting for room, which is the delay of the consumer, not of the sender
        return accepted

    def _new_timeline(self) -> Timeline[DecodedFrame]:
        """Irregular steps mean lost frames only with cameras; the rule of files applies to HTTP."""
        camera = self.live and self._address.kind != "http"
        return make_timeline(self.info, self._fps, self._options, rhythm=camera)

    @property
    def lost_at_start_s(self) -> float:
        """Seconds of video at the start that could not be decoded."""
        return self._timeline.lost_at_start_s

    @property
    def unplaced(self) -> int:
        """Number of frames lost after the last item."""
        return self._timeline.unplaced

    def _finish(self) -> list[Cell[DecodedFrame] | Gap]:
        """Return the last items. In a recording, frames that the header announces beyond the end are missing."""
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

    def _put(self, items: list[Cell[DecodedFrame] | Gap]) -> bool:
        accepted = all(self._buffer.put(item) for item in items)
        self.dropped.update(self._timeline.tallies())
        if self._buffer.overflowed:
            self.dropped["overflow"] = self._buffer.overflowed
        return accepted

    def _ended(self, connection: Connection, begun: bool) -> Fault | None:
        """Return None if the end of the connection is the end of the stream, otherwise the fault."""
        fault = connection.ended_by
        self._left += connection.lost
        self._announced = getattr(connection, "announced", 0)
        if not begun:
            return fault or _live_faults.no_frames(self.name)
        kind, whole, spanned_s = self._address.kind, self.info.duration_s, self._last_raw - self._first_raw
        if kind == "gst" and fault is None and not self.live:
            return None
        if kind == "rtsp" and whole and spanned_s >= whole - END_SLACK_S:
            return None
        if kind == "http" and fault is None:
            media_s = spanned_s + self._timeline.clock.period_s
            if not self._options.reconnect_s or is_whole(connection, media_s, whole):
                return None
        return fault or _live_faults.ended(self.name)

    def _count(self, reason: str, count: int = 1) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _reader(self) -> Connection:
        return make_reader(self._address, self._options, self.dropped, self._http)

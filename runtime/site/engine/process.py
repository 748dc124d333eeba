"""The loop of an engine process: messages in, features of all cameras to the engine in turns, reports out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...bundle.reader import Bundle
from ...errors import EngineError, InputError, PunctumError
from ...events.event import Event
from ...localizer import Localizer
from ..child import BEAT_S, Every, rss_mb
from ..wire import Channel, Header
from .camera import EngineCamera
from .inputs import STREAM_TYPES
from .pools import Pools
from .start import EngineStart, opening_of

POLL_S = 0.1
MOST_MESSAGES = 256  # that are taken before the engine has another turn
SYNC_S = 1.0
PAUSE_S = 0.2  # before a step of the engine that failed is repeated
MOST_FAILURES = 2  # consecutive steps in which the engine serves nothing, before the process ends
GIVE_UP = 3  # processes that ended so, after which a stream that the engine cannot serve is given up
STOP_S = 10.0  # for the last reports to be stored

_log = logging.getLogger(__name__)


def main(channel: Channel, header: Header) -> int:
    """Run until the supervisor says so. Returns the exit code."""
    from ...warmup import warm_up

    start = EngineStart.parse(header)
    channel.send({"type": "beat"})
    bundle, localizer = start.localizer()
    channel.send({"type": "beat"})
    warm_up(localizer)
    channel.send(start.ready(bundle, localizer))
    return EngineProcess(channel, start, bundle, localizer).run()


class EngineProcess:
    """All cameras of one bundle.

    Args:
        channel: To the supervisor.
        start: What to do.
        bundle: The bundle.
        localizer: Its engine, warmed.
    """

    def __init__(self, channel: Channel, start: EngineStart, bundle: Bundle, localizer: Localizer) -> None:
        self._channel, self._start, self._bundle = channel, start, bundle
        self._folder = Path(start.state_dir)
        self._pools = Pools(localizer)
        self._cameras: dict[str, EngineCamera] = {}
        self._later: dict[str, Header] = {}  # openings of cameras that are being closed
        self._by_stream: dict[str, str] = {}
        self._seq = 0
        self._committed: dict[str, int] = {}  # by camera; "": of all
        self._failures = 0
        self._flush: bool | None = None  # of the message "stop"
        self._cpu_from = time.process_time()
        self._failed_file = self._folder / "failures"
        self._earlier = self._read_failures()

    def run(self) -> int:
        """Returns the exit code."""
        beat, stats, sync = Every(BEAT_S), Every(1.0), Every(SYNC_S)
        busy, stop_at = False, 0.0
        while True:
            self._receive(0.0 if busy else POLL_S)
            if beat.due():
                self._channel.send({"type": "beat"})
            if stats.due():
                self._channel.send(self._stats())
                self._collect_tracks()
            try:
                busy = self._turn()
            except PunctumError as error:
                if not self._again(error):
                    return self._give_up(error)
            if sync.due():
                for camera in self._cameras.values():
                    camera.sync()
            for camera in list(self._cameras.values()):
                camera.maintain(self._committed_of(camera.name))
                if camera.closed(self._committed_of(camera.name)):
                    self._remove(camera)
            if self._flush is not None:
                stop_at = stop_at or time.monotonic() + STOP_S
                if self._stopped(late=time.monotonic() >= stop_at):
                    return 0

    def _committed_of(self, camera: str) -> int:
        """Number of the last message with reports of a camera that is stored."""
        return max(self._committed.get(camera, -1), self._committed.get("", -1))

    def _receive(self, timeout_s: float) -> None:
        for _ in range(MOST_MESSAGES):
            received = self._channel.receive(timeout_s)
            if received is None:
                return
            timeout_s = 0.0
            self._message(*received)

    def _message(self, header: Header, payload: bytes) -> None:
        kind = header.get("type")
        if kind == "committed":
            name = str(header.get("camera", ""))  # reports of one camera may be held back while those of others go on
            self._committed[name] = max(self._committed.get(name, -1), int(header["seq"]))
        elif kind == "stop":
            self._flush = bool(header.get("flush"))
            if self._flush:
                for camera in self._cameras.values():
                    camera.close()
        elif kind == "open":
            self._open(header)
        elif kind == "close":
            if header.get("camera") in self._later:
                del self._later[header["camera"]]
            elif header.get("camera") in self._cameras:
                self._cameras[header["camera"]].close()
            else:
                self._channel.send({"type": "closed", "camera": header.get("camera"), "why": "not open"})
        elif kind == "tracks":
            self._tracks(header)
        elif kind == "handover":
            if header.get("camera") in self._cameras:
                self._cameras[header["camera"]].hand_over(
                    from_s=float(header["from_s"]), most_s=float(header["most_s"])
                )
            else:
                self._channel.send({"type": "closed", "camera": header.get("camera"), "why": "not open"})
        elif kind in STREAM_TYPES:
            known = self._cameras.get(header.get("camera", ""))
            if known is not None:
                known.receive(header, payload)
            elif kind == "chunk" and isinstance(header.get("seq"), int):
                self._channel.send({"type": "taken", "camera": header.get("camera"), "seq": header["seq"]})

    def _collect_tracks(self) -> None:
        for camera in self._cameras.values():
            session = self._pools.session(camera.name) if camera.tracks.watched else None
            if session is not None:
                camera.tracks.collect(session)

    def _tracks(self, header: Header) -> None:
        """Answer with the latest tracks of a camera."""
        camera = self._cameras.get(str(header.get("camera")))
        session = None if camera is None else self._pools.session(camera.name)
        answer: Header = {"type": "tracks", "request": header.get("request"), "ok": False}
        if camera is not None and session is not None:
            camera.tracks.asked = time.monotonic()
            camera.tracks.collect(session)
            answer |= {"ok": True, **camera.tracks.message(session, self._bundle.labels)}
            answer["start_unix"] = camera.stream.unix_of(answer["start_s"])
        self._channel.send(answer)

    def _open(self, header: Header) -> None:
        name = str(header.get("camera"))
        if name in self._cameras:
            if self._cameras[name].closing:
                self._later[name] = header
            return
        try:
            opening = opening_of(header, self._bundle)
            taken_by = self._by_stream.get(opening.stream)
            if taken_by is not None:
                raise InputError(
                    "stream-open", f"Stream {opening.stream[:80]!r} is that of camera {taken_by}", "a name of its own"
                )
            camera = EngineCamera(
                opening,
                self._bundle.id,
                self._pools,
                self._folder,
                report=self._report,
                send=self._channel.send,
                snapshot_every_s=self._start.snapshot_every_s,
            )
        except InputError as error:
            _log.log(logging.ERROR, "%s: [%s] %s", name, error.code, error)
            failure = {"code": error.code, "given": error.given, "next_step": error.next_step}
            self._channel.send({"type": "failed", "camera": name, **failure})
            return
        self._cameras[name] = camera
        self._by_stream[opening.stream] = name
        if header.get("fresh") and camera.restored:
            # The source is another one now: what is stored ends, with its last events, before anything new begins.
            self._later[name] = header
            camera.close()
            return
        camera.announce()

    def _turn(self) -> bool:
        """Feed every camera, and run the engine once. Returns whether there may be more to do at once."""
        did = False
        for camera in self._cameras.values():
            did = camera.feed(self._committed_of(camera.name)) or did
        if not any(camera.stream.busy for camera in self._cameras.values()):
            return did
        events, failed = self._pools.step()
        grouped: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            grouped[self._by_stream[event.stream]].append(event)
        for name, mine in grouped.items():
            self._cameras[name].stream.emit(mine)
        for camera in self._cameras.values():
            reason = camera.ended_by_engine()
            if reason:
                _log.log(
                    logging.ERROR,
                    "%s: the engine failed (%s): the stream ends, and a new one begins",
                    camera.name,
                    reason,
                )
                given = "the engine failed with this stream alone"
                self._channel.send({"type": "failed", "camera": camera.name, "code": reason, "given": given})
        if failed is not None:
            raise failed
        self._succeeded()
        return True

    def _again(self, error: PunctumError) -> bool:
        """Whether to repeat what the engine failed at."""
        self._failures += 1
        _log.warning("[%s] %s; tried again", error.code, error.given)
        if self._failures < MOST_FAILURES or (self._earlier >= GIVE_UP and isinstance(error, EngineError)):
            time.sleep(PAUSE_S)
            return True
        return False

    def _give_up(self, error: PunctumError) -> int:
        with contextlib.suppress(OSError):
            self._failed_file.write_text(str(self._earlier + 1))
        for camera in self._cameras.values():
            camera.release()
        failure = {"code": error.code, "given": error.given, "next_step": error.next_step}
        self._channel.send({"type": "failed", "camera": None, **failure})
        return 1

    def _succeeded(self) -> None:
        self._failures = 0
        if self._earlier and not any(camera.replaying for camera in self._cameras.values()):
            self._earlier = 0
            with contextlib.suppress(OSError):
                self._failed_file.unlink()

    def _read_failures(self) -> int:
        try:
            return int(self._failed_file.read_text())
        except (OSError, ValueError):
            return 0

    def _stopped(self, *, late: bool) -> bool:
        """Whether everything is done before the process ends."""
        cameras = self._cameras.values()
        done = not self._cameras if self._flush else all(camera.idle for camera in cameras)
        if not self._flush and done:
            done = all(camera.last_seq <= self._committed_of(camera.name) for camera in cameras)
        if not (done or late):
            return False
        for camera in cameras:
            camera.maintain(self._committed_of(camera.name), final=True)
            camera.release()
        return True

    def _remove(self, camera: EngineCamera) -> None:
        del self._cameras[camera.name]
        self._by_stream.pop(camera.opening.stream, None)
        self._pools.forget(camera.name)
        why = "closed" if camera.left_s is None else "handover"
        closed = {"type": "closed", "camera": camera.name, "why": why, "at_s": camera.left_s}
        self._channel.send({**closed, "now_s": camera.stream.cursor.now_s})
        later = self._later.pop(camera.name, None)
        if later is not None:
            self._open(later)

    def _report(self, camera: str, events: Sequence[Event]) -> int:
        self._seq += 1
        reports = [event.to_json() for event in events]
        self._channel.send({"type": "events", "seq": self._seq, "camera": camera, "reports": reports})
        return self._seq

    def _stats(self) -> dict[str, Any]:
        now = time.time()
        stages: dict[str, float] = defaultdict(float)
        for name in self._cameras:
            session = self._pools.session(name)
            if session is not None:
                for stage in ("locate_s", "islands_s", "score_s", "post_s", "report_s"):
                    stages[stage] += getattr(session.stats, stage)
        return {
            "type": "stats",
            "cameras": {name: camera.stats(now) for name, camera in self._cameras.items()},
            "stages": {stage: round(seconds, 3) for stage, seconds in stages.items()},
            "rss_mb": round(rss_mb(), 1),
            "cpu_s": round(time.process_time() - self._cpu_from, 3),
        }

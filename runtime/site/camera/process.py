"""The main thread of a camera process: commands, signs of life and statistics; the source runs in another one."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import Any, Protocol

from ...errors import InputError, PunctumError
from ...text.display import printable
from ..child import BEAT_S, Every, rss_mb, unexpected
from ..wire import Channel, Header
from .features import FEATURES, FeatureSource
from .feed import Feed
from .media import COMMANDS, MediaCommands, NoMedia
from .signs import Signs
from .start import CameraStart

POLL_S = 0.1

_log = logging.getLogger(__name__)


class _Opened(Protocol):
    @property
    def feeds(self) -> list[Feed]: ...

    @property
    def replayable(self) -> bool: ...

    @property
    def trouble(self) -> str: ...

    def run(self, began: Any) -> str: ...

    def stats(self) -> dict[str, object]: ...

    def close(self) -> None: ...


def main(channel: Channel, header: Header) -> int:
    """Run until the source has ended, or the supervisor says so. Returns the exit code."""
    start = CameraStart.parse(header)
    with contextlib.suppress(OSError):
        os.nice(start.options.nice)
    return CameraProcess(channel, start, media_of(start, channel)).run()


def media_of(start: CameraStart, channel: Channel) -> MediaCommands:
    """What keeps the video of this camera."""
    from ...sources.media import is_video_input

    media = start.media
    if not (media.get("clips") or media.get("pictures")) or not is_video_input(start.source):
        return NoMedia()
    from ..media.camera import CameraMedia, Settings
    from .region import covered

    masks = start.options.masks if media.get("mask") else ()
    settings = Settings(
        clips=bool(media.get("clips")),
        pictures=bool(media.get("pictures")),
        ring_s=float(media.get("ring_s", 90.0)),
        ring_mb=float(media.get("ring_mb", 64.0)),
        sound=bool(media.get("sound")),
        cover=(lambda height, width: covered(masks, height, width)) if masks else None,
    )
    return CameraMedia(settings, channel.send)


class CameraProcess:
    """One camera.

    Args:
        channel: To the supervisor.
        start: What to do.
        media: Keeps video and answers commands.
    """

    def __init__(self, channel: Channel, start: CameraStart, media: MediaCommands) -> None:
        self._channel, self._start, self._media = channel, start, media
        self._signs, self._stop = Signs(), threading.Event()
        self._source: _Opened | None = None
        self._state: tuple[str, str] = ("", "")
        self._began = threading.Event()
        self._trouble = ""  # before the source is open
        self._how, self._fault = "", None
        self._worker = threading.Thread(target=self._work, name="source", daemon=True)
        self._cpu_from = time.process_time()

    _fault: BaseException | None

    def run(self) -> int:
        """Returns the exit code."""
        self._say("opening", "")
        beat, stats = Every(BEAT_S), Every(1.0)
        self._worker.start()
        while self._worker.is_alive():
            if self._signs.alive() and beat.due():
                self._channel.send({"type": "beat"})
            self._tell_state()
            if self._source is not None and stats.due():
                self._channel.send(self._stats())
            received = self._channel.receive(POLL_S)
            if received is not None and self._command(received[0]):
                break
        self._stop.set()
        if self._source is not None and not self._worker.is_alive():
            self._channel.send(self._stats())
        self._media.close()
        return self._end()

    def _end(self) -> int:
        fault = self._fault
        if fault is None:
            how = self._how or "stop"
            self._say("ended", how)
            self._channel.send({"type": "end", "how": how})
            return 0
        if not isinstance(fault, PunctumError):
            _log.log(logging.ERROR, "the source failed", exc_info=fault)
            fault = unexpected(fault)
        _log.log(logging.ERROR, "[%s] %s", fault.code, printable(str(fault)))
        state = {"type": "state", "state": "failed", "why": printable(fault.given), "code": fault.code}
        self._channel.send({**state, "next_step": fault.next_step})
        self._channel.send({"type": "end", "how": "error"})
        return 1

    def _work(self) -> None:
        """Body of the thread that reads the source."""
        try:
            source = self._open()
            if self._stop.is_set():
                return
            self._source = source
            self._how = source.run(self._began.set)
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self._fault = error

    def _open(self) -> _Opened:
        from ...sources.media import check_present, is_video_input

        start = self._start
        if start.source == "-":
            raise InputError("source-address", "Standard input cannot be a camera", required="another source")
        check_present(start.source)
        if not is_video_input(start.source):
            return FeatureSource(start, self._channel, self._signs, self._stop)
        if any(feed.feed == FEATURES for feed in start.feeds):
            raise InputError(
                "bundle-without-backbone",
                f"Camera {start.name} is a video, and one of its bundles has no backbone",
                required="bundles exported with a backbone",
                next_step="export the bundle with `--backbone`",
            )
        from .video import VideoFeeds

        return VideoFeeds(start, self._channel, self._signs, self._stop, self._media, self._wait)

    def _wait(self, why: str) -> None:
        self._trouble = why

    def _tell_state(self) -> None:
        source = self._source
        trouble = self._trouble if source is None else source.trouble
        if source is None or not self._began.is_set():
            self._say("opening", trouble)
        else:
            self._say("lost" if trouble else "running", trouble)

    def _say(self, state: str, why: str) -> None:
        if (state, why) != self._state:
            self._state = (state, why)
            self._channel.send({"type": "state", "state": state, "why": printable(why), "code": None})

    def _stats(self) -> dict[str, Any]:
        source = self._source
        own: dict[str, Any] = {} if source is None else source.stats()
        return {
            "type": "stats",
            "frames": 0,
            "lost_frames": 0,
            "reconnects": 0,
            "trouble": self._state[1],
            "stages": {},
            "behind": False,
            **own,
            **self._media.stats(),
            "rss_mb": round(rss_mb(), 1),
            "cpu_s": round(time.process_time() - self._cpu_from, 3),
        }

    def _command(self, header: Header) -> bool:
        """Do what a message of the supervisor says. Returns whether the process is to end."""
        kind = header.get("type")
        if kind == "stop":
            self._how = "stop"
            return True
        if kind == "taken" and self._source is not None:
            for feed in self._source.feeds:
                if header.get("feed") in (feed.name, None):
                    feed.taken(int(header["seq"]))
        elif kind in COMMANDS:
            refusal = self._media.handle(header)
            if refusal is not None:
                answer = {"type": "media", "request": header.get("request"), "path": None, "why": ""}
                self._channel.send(answer | {"start_s": None, "end_s": None} | refusal)
        return False

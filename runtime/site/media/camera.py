"""Clips and pictures of one camera: keeps its latest video, and answers the commands of the supervisor."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...text.display import printable
from ...video._opening import load_av
from ..wire import Header
from . import cutting, pictures
from .pictures import Cover
from .ring import Ring, Tap

U8 = npt.NDArray[np.uint8]
COMMANDS = ("clip", "picture", "live_picture")
MOST_WAITING = 32  # commands
LATE_S = 10.0  # wall-clock time that a clip waits for its end beyond the media time that is missing
LONGEST_S = 3600.0  # of a clip
KEPT_STEP_S = 0.5  # between pictures of a source that delivers no compressed video
KEPT_WIDTH = 1280
NEAR_S = 2.0  # a kept picture that is further away does not show the moment
_POLL_S = 0.1
_NICE = 5  # so that features are computed first
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of clips and pictures, see `config.models.EventMedia`.

    Attributes:
        sound: Keep the sound of the source in clips. In many places this is allowed with consent only.
        cover: What to black out in pictures. With it, no clips are made.
    """

    clips: bool = True
    pictures: bool = True
    ring_s: float = 90.0
    ring_mb: float = 64.0
    sound: bool = False
    cover: Cover | None = None


@dataclass(slots=True, eq=False)
class _Command:
    header: Header
    end_s: float = -math.inf  # media time that must have arrived
    deadline: float = 0.0  # on the monotonic clock: after it, what is there is used
    queued: float = field(default_factory=time.monotonic)


class CameraMedia:
    """Keeps the latest video of a camera and makes clips and pictures of it, in a thread of its own.

    Args:
        settings: What is kept.
        send: Called from that thread with the answer to a command.
    """

    def __init__(self, settings: Settings, send: Callable[[Header], None]) -> None:
        self._settings, self._send = settings, send
        self.ring = Ring(settings.ring_s, settings.ring_mb, sound=settings.sound)
        self._kept = pictures.Kept(settings.ring_s, settings.ring_mb)
        self._newest: pictures.Picture | None = None
        self._to_keep: pictures.Picture | None = None
        self._kept_s = -math.inf
        self._changed = threading.Condition()
        self._commands: deque[_Command] = deque()
        self._stop = self._ended = False
        self._made = {"clip": 0, "picture": 0, "live_picture": 0}
        self._refused = 0
        self._thread: threading.Thread | None = None

    def tap(self, start_s: float = 0.0) -> Tap | None:
        """What `VideoOptions.packets` takes. start_s: media time at which the source begins, in seconds."""
        return self.ring.tap(start_s) if self._settings.clips or self._settings.pictures else None

    def offer_frame(self, image: U8, at_s: float, aspect: float) -> None:
        """Show it a sampled frame: the whole picture without masks. Returns at once.

        Args:
            image: uint8 [H, W, 3] RGB, not written to after this.
            at_s: Media time in seconds.
            aspect: Width of a pixel divided by its height.
        """
        self._newest = pictures.Picture(image, at_s, aspect)
        if self.ring.delivers or not self._settings.pictures:
            return
        if not self._kept_s <= at_s < self._kept_s + KEPT_STEP_S:
            with self._changed:
                self._kept_s, self._to_keep = at_s, self._newest
                self._start()
                self._changed.notify_all()

    def handle(self, header: Header) -> Header | None:
        """Take a command of `COMMANDS`. Returns the answer if it is refused; otherwise `send` gets it later."""
        try:
            command = self._parsed(header)
        except (TypeError, ValueError, KeyError) as error:
            return _answer(header, why=f"the command cannot be read ({type(error).__name__}: {error})")
        if isinstance(command, str):
            return _answer(header, why=command)
        with self._changed:
            if self._stop:
                return _answer(header, why="the camera is being stopped")
            if len(self._commands) >= MOST_WAITING:
                self._refused += 1
                return _answer(header, why=f"{MOST_WAITING} other clips and pictures are waiting already")
            self._commands.append(command)
            if header["type"] == "clip":
                self.ring.hold(command, float(header["start_s"]))
            self._start()
            self._changed.notify_all()
        return None

    def end(self) -> None:
        """The source has ended: clips do not wait for more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stats(self) -> dict[str, Any]:
        """Counters for the statistics of the camera."""
        return {
            "clips": self._made["clip"],
            "pictures": self._made["picture"],
            "media_refused": self._refused,
            "media_waiting": len(self._commands),
            "ring_mb": round(self.ring.bytes / 1e6, 3),
            "ring_oversized": self.ring.oversized,
        }

    def close(self) -> None:
        """Answer what is waiting, with the video that is there, and end. May be called more than once."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_JOIN_S)

    def _parsed(self, header: Header) -> _Command | str:
        kind = header["type"]
        if kind not in COMMANDS:
            raise ValueError(f"unknown type {printable(str(kind))[:40]}")
        if not isinstance(header["path"], str) or not header["path"]:
            raise ValueError("no path")
        width = header.get("width")
        if width is not None and not (isinstance(width, int) and width > 0):
            raise ValueError("the width must be a positive number of pixels")
        if kind == "live_picture":
            return _Command(header)
        if kind == "picture":
            if not self._settings.pictures:
                return "no picture: `pictures` is off"
            at_s = _time(header, "at_s")
            return _Command(header, at_s, self._deadline(at_s))
        if not self._settings.clips:
            return "no clip: `clips` is off"
        if self._settings.cover is not None:
            return "no clip: with `mask`, no clips are stored"
        start_s, end_s = _time(header, "start_s"), _time(header, "end_s")
        if not start_s <= end_s <= start_s + LONGEST_S:
            raise ValueError(f"a clip of {end_s - start_s:.6g} s")
        return _Command(header, end_s, self._deadline(end_s))

    def _deadline(self, end_s: float) -> float:
        newest_s = self._newest_s
        missing_s = 0.0 if newest_s is None else min(max(end_s - newest_s, 0.0), LONGEST_S)
        return time.monotonic() + missing_s + LATE_S

    @property
    def _newest_s(self) -> float | None:
        if self.ring.newest_s is not None:
            return self.ring.newest_s
        return None if self._newest is None else self._newest.at_s

    def _start(self) -> None:
        if self._thread is None and not self._stop:
            self._thread = threading.Thread(target=self._run, name="punctum-media", daemon=True)
            self._thread.start()

    # The methods below run in the thread.

    def _run(self) -> None:
        if hasattr(os, "setpriority"):
            niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + _NICE, 19)
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        while True:
            with self._changed:
                command = self._ready()
                keep, self._to_keep = self._to_keep, None
                if command is None and keep is None:
                    if self._stop and not self._commands:
                        return
                    self._changed.wait(_POLL_S if self._commands else None)
                    continue
            if keep is not None:
                self._keep(keep)
            if command is not None:
                answer = self._done(command.header)
                self.ring.release(command)
                self._made[command.header["type"]] += bool(answer["ok"])
                try:
                    self._send(answer)
                except OSError:
                    return  # the supervisor has gone

    def _ready(self) -> _Command | None:
        """Take the first command that need not wait any longer."""
        now, newest_s = time.monotonic(), self._newest_s
        for command in self._commands:
            arrived = newest_s is not None and newest_s >= command.end_s
            if arrived or self._stop or self._ended or command.end_s == -math.inf or now >= command.deadline:
                self._commands.remove(command)
                return command
        return None

    def _keep(self, picture: pictures.Picture) -> None:
        av = load_av()
        try:
            self._kept.add(picture.at_s, pictures.encode(picture, KEPT_WIDTH, self._settings.cover))
        except (av.FFmpegError, ValueError):
            self._kept_s = -math.inf

    def _done(self, header: Header) -> Header:
        av = load_av()
        make = {"clip": self._clip, "picture": self._picture, "live_picture": self._live_picture}[header["type"]]
        try:
            return make(header)
        except OSError as error:
            return _answer(header, why=f"the file cannot be written ({error.strerror or type(error).__name__})")
        except (av.FFmpegError, ValueError, RuntimeError, IndexError, StopIteration, MemoryError) as error:
            return _answer(
                header, why=f"the video cannot be used ({type(error).__name__}: {printable(str(error))[:120]})"
            )

    def _clip(self, header: Header) -> Header:
        part = cutting.cut(self.ring, float(header["start_s"]), float(header["end_s"]))
        if isinstance(part, str):
            return _answer(header, why=f"no clip: {part}")
        path = Path(header["path"]).with_suffix(part.suffix)
        size = cutting.store(part, path)
        return _answer(
            header,
            path=path,
            why=part.why,
            start_s=part.start_s,
            end_s=part.end_s,
            bytes=size,
            media_type=part.media_type,
            codec=part.section.template.codec,
            plays_in_browsers=part.plays_in_browsers,
        )

    def _picture(self, header: Header) -> Header:
        at_s = float(header["at_s"])
        found = pictures.picture_at(self.ring, at_s)
        if not isinstance(found, str):
            return self._stored(header, found)
        kept = self._kept.nearest(at_s)
        if kept is None or abs(kept[0] - at_s) > NEAR_S:
            return _answer(header, why=f"no picture: {found}")
        time_s, data = kept
        width = header.get("width")
        if width is not None and width < KEPT_WIDTH:
            data = pictures.encode(pictures.Picture(pictures.decode_jpeg(data), time_s, 1.0), width)
        return self._file(header, time_s, data)

    def _live_picture(self, header: Header) -> Header:
        newest = self._newest
        if newest is None:
            return _answer(header, why="no picture: the source has delivered none yet")
        return self._stored(header, newest)

    def _stored(self, header: Header, picture: pictures.Picture) -> Header:
        return self._file(header, picture.at_s, pictures.encode(picture, header.get("width"), self._settings.cover))

    def _file(self, header: Header, at_s: float, data: bytes) -> Header:
        path = Path(header["path"])
        size = pictures.store(data, path)
        return _answer(header, path=path, start_s=at_s, end_s=at_s, bytes=size, media_type="image/jpeg")


def _time(header: Header, name: str) -> float:
    value = float(header[name])
    if not math.isfinite(value):
        raise ValueError(f"`{name}` is {value}")
    return value


def _answer(header: Header, *, path: Path | None = None, why: str = "", **more: Any) -> Header:
    """The fields of "media". why: the reason without a file; else what the clip lacks, if anything."""
    fixed = {"type": "media", "request": header.get("request"), "ok": path is not None}
    return fixed | {"path": None if path is None else str(path), "why": why, "start_s": None, "end_s": None} | more

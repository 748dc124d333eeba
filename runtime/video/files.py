"""Frames of a video file, and the videos of a folder."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ._faults import explain
from ._frames import Gap, Policy, Sampled, VideoInfo, VideoOptions
from ._picture import Picture
from .clock import MediaClock
from .decode import VideoReader, load_av
from .redact import Address
from .sampler import Cell, GridSampler

SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".h264", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
FALLBACK_RATE = 25.0  # frames a second where neither stamps nor header tell
MAX_JUMP_S = 3600.0  # a step of stamps that a file may take when its header does not tell how long it is
_OPTIONS = {"protocol_whitelist": "file,crypto,data"}  # a playlist that poses as a video opens no connection


class FileFrames:
    """A file on the sampling grid of `fps`. See `FrameSource`."""

    live = False
    policy: Policy = "wait"

    def __init__(self, address: Address, *, fps: float, options: VideoOptions | None = None) -> None:
        self.name = address.shown
        self.info = VideoInfo(0, 0, 0.0, None, "", 0, False)
        self.dropped: dict[str, int] = {}
        self._address, self._fps, self._options = address, fps, options or VideoOptions()
        self._sampler: GridSampler[Picture] = GridSampler(fps, max_hold_s=self._options.max_hold_s)
        self._reader: VideoReader | None = None
        self._pictures: Iterator[Picture | None] = iter(())
        self._first: Picture | None = None
        self._clock: MediaClock | None = None
        self._stopped = False
        self._end = 0.0  # media time at which the last frame leaves the screen
        self._busy = threading.Lock()  # a container must not be closed while it decodes

    def open(self) -> None:
        load_av()
        check_file(self._address)
        self.dropped.clear()
        limits = (self._options.open_timeout_s, self._options.open_timeout_s)
        reader = VideoReader(
            self._address,
            dropped=self.dropped,
            live=False,
            options=_OPTIONS,
            limits=limits,
            threads=self._options.threads,
        )
        reader.open()
        self._reader, self._stopped = reader, False
        self._pictures = reader.pictures()
        self._first = next((picture for picture in self._pictures if picture is not None), None)
        if self._first is None:
            self.close()
            raise InputError(
                "video-no-frames",
                f"{self.name} holds no frame that can be decoded{_told(self.dropped)}",
                "a video with at least one frame",
                "record or copy it again",
            )
        self.info = reader.info(self._first)
        duration = self.info.duration_s or 0.0
        self._clock = MediaClock(period_s=1 / (self.info.rate or FALLBACK_RATE), max_jump_s=max(duration, MAX_JUMP_S))
        self._sampler = GridSampler(self._fps, max_hold_s=max(self._options.max_hold_s, 2 * self._clock.period_s))

    def frames(self) -> Iterator[Sampled | Gap | None]:
        if self._reader is None:
            self.open()
        reader, clock, picture = self._reader, self._clock, self._first
        if reader is None or clock is None:
            return
        self._first = None
        while not self._stopped:
            if picture is not None:
                yield from self._show(self._push(picture, clock))
            with self._busy:
                if self._stopped:
                    return
                try:
                    picture = next(self._pictures)
                except StopIteration:
                    break
        yield from self._show(self._sampler.finish(lost=reader.lost + self._missing(reader, clock)))

    def close(self) -> None:
        self._stopped = True
        with self._busy:
            reader, self._reader = self._reader, None
            self._pictures, self._first = iter(()), None
            if reader is not None:
                reader.close()

    def _show(self, items: list[Cell[Picture] | Gap]) -> Iterator[Sampled | Gap]:
        for item in items:
            yield item if isinstance(item, Gap) else Sampled(item.picture.image(), item.index, item.at, item.lost)

    def _push(self, picture: Picture, clock: MediaClock) -> list[Cell[Picture] | Gap]:
        tick = clock.tell(picture.raw_s)
        self.dropped.update(clock.counts)
        unseen = max(tick.missing - picture.lost, 0)
        if unseen:
            self.dropped["missing"] = self.dropped.get("missing", 0) + unseen
        shown_s = picture.duration_s or clock.period_s
        self._end = tick.at + shown_s
        broken = "stamps-jumped" if tick.broken else None
        return self._sampler.push(picture, tick.at, duration_s=shown_s, lost=picture.lost + unseen, broken=broken)

    def _missing(self, reader: VideoReader, clock: MediaClock) -> int:
        """Frames that the header announces after the last one that there is: a file that was cut off."""
        short_s = (reader.video_s or 0.0) - self._end
        if short_s <= max(1 / self._fps, 2 * clock.period_s):
            return 0
        by_time = round(short_s / clock.period_s)
        self.dropped["missing-at-end"] = min(by_time, reader.announced or by_time)
        # Without a count of frames there is only a length, which damaged headers claim at will.
        return max(min(by_time, reader.announced) - reader.lost, 0)


def check_file(address: Address) -> None:
    """Raise InputError for what is no regular, readable file with something in it. Opening a pipe may take forever."""
    name, path = address.shown, Path(address.target)
    fault = None
    try:
        found = path.stat()
    except OSError as error:
        fault = explain(error, address)
    if fault is not None:
        raise fault.error()
    if stat.S_ISDIR(found.st_mode):
        raise InputError("video-directory", f"{name} is a folder", "a video file", "give one of the videos in it")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            "video-special",
            f"{name} is no regular file (a pipe, socket or device)",
            "a video file",
            "write it to a file first; a camera is camera:/dev/video0",
        )
    if not found.st_size:
        raise InputError("video-empty", f"{name} is empty (0 bytes)", "a video file", "record or copy it again")
    if not os.access(path, os.R_OK):
        raise explain(PermissionError(), address).error()


def video_files(path: str | Path) -> list[Path]:
    """The videos of a folder, or the one file, sorted by name; known by their endings, hidden files left out.

    Raises InputError when there is none.
    """
    path = Path(path)
    if not path.is_dir():
        check_file(Address("file", str(path), str(path)))
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise InputError(
            "video-permission", f"the folder {path} ({reason})", "a folder this user may read", "change its mode"
        ) from None
    found = [
        entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.name[0] != "." and entry.is_file()
    ]
    if not found:
        raise InputError(
            "video-folder-empty",
            f"{path} holds no video",
            f"files that end in {', '.join(sorted(SUFFIXES))}",
            "check the path",
        )
    return found


def _told(dropped: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in sorted(dropped.items()))})" if dropped else ""

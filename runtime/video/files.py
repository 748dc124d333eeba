"""Frames of a video file, and the list of videos of a folder."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ..credentials.redact import Address
from ..errors import InputError
from ..text.display import counted, printable
from ._containers import refused
from ._decoded import DecodedFrame
from ._faults import explain
from ._frames import Gap, Policy, Sampled, VideoInfo, VideoOptions
from ._header import MAX_PIXELS
from ._opening import load_av
from ._time import FALLBACK_RATE
from .decode import VideoReader
from .packets import PacketTap
from .sampler import Cell, check_fps
from .timeline import Timeline

_log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".264", ".265", ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m2v", ".m4v"}
    | {".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm"}
    | {".dv", ".f4v", ".gif", ".nut", ".wmv", ".y4m"}
)
_OPTIONS = {"protocol_whitelist": "file,crypto,data"}


class FileFrames:
    """Frames of a file on a sampling grid. See `FrameSource`.

    Args:
        address: The file.
        fps: Cells of the grid per second.
        options: Options of the source.
        warn: Called with each warning about media time; default: the log.
        decode_all: Whether to decode frames that no cell shows as well, for comparison.
    """

    live = False
    policy: Policy = "wait"

    def __init__(
        self,
        address: Address,
        *,
        fps: float,
        options: VideoOptions | None = None,
        warn: Callable[[str], None] | None = None,
        decode_all: bool = False,
    ) -> None:
        check_fps(fps)
        self.name = address.shown
        self._decode_all = decode_all
        self.info = VideoInfo(0, 0, 0.0, None, "", 0, False)
        self.dropped: dict[str, int] = {}
        self._address, self._fps, self._options = address, fps, options or VideoOptions()
        self._warn = warn or log_warning
        self._reader: VideoReader | None = None
        self._decoded: Iterator[DecodedFrame | None] = iter(())
        self._first: DecodedFrame | None = None
        self._timeline: Timeline[DecodedFrame] | None = None
        self._stopped = False
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
            decoder=self._options.decoder,
            rate=self._options.rate,
            packets=self._options.packets,
        )
        self._open(reader)
        self._reader, self._stopped = reader, False
        self._decoded = reader.decoded_frames()
        self._first = next((frame for frame in self._decoded if frame is not None), None)
        if self._first is None:
            self.close()
            if reader.strict and "not-decodable" in self.dropped:
                raise reader.unsuited()
            raise InputError(
                "video-no-frames",
                f"{self.name} contains no decodable frame{_counts(self.dropped)}",
                required=f"a video with at least one frame of up to {MAX_PIXELS} pixels"
                if "too-large" in self.dropped
                else "a video with at least one frame",
                next_step="record or copy it again",
            )
        self.info = reader.info(self._first)
        self._timeline = make_timeline(self.info, self._fps, self._options)
        if not self._decode_all:
            reader.watch(self._timeline.shows)
        warn_of_rate(self.name, self.info, self._warn)

    def _open(self, reader: VideoReader) -> None:
        """Open the reader, unless the file is of a kind that is never opened."""
        wrong = refused(Path(self._address.target))
        if wrong is not None:
            raise wrong
        reader.open()

    @property
    def lost_at_start_s(self) -> float:
        """Seconds of video at the start that could not be decoded."""
        return 0.0 if self._timeline is None else self._timeline.lost_at_start_s

    @property
    def unplaced(self) -> int:
        """Number of frames lost after the last item."""
        return 0 if self._timeline is None else self._timeline.unplaced

    def frames(self) -> Iterator[Sampled | Gap | None]:
        if self._reader is None:
            self.open()
        reader, timeline, frame = self._reader, self._timeline, self._first
        if reader is None or timeline is None:
            return
        self._first = None
        while not self._stopped:
            if frame is not None:
                items = timeline.push(frame)
                self.dropped.update(timeline.tallies())
                yield from self._show(items)
            with self._busy:
                if self._stopped:
                    return
                try:
                    frame = next(self._decoded)
                except StopIteration:
                    break
        if not self._stopped:
            yield from self._show(self._finish(reader, timeline))

    def close(self) -> None:
        self._stopped = True
        with self._busy:
            reader, self._reader = self._reader, None
            self._decoded, self._first = iter(()), None
            if reader is not None:
                reader.close()

    def _show(self, items: list[Cell[DecodedFrame] | Gap]) -> Iterator[Sampled | Gap]:
        for item in items:
            yield item if isinstance(item, Gap) else show(item)

    def _finish(self, reader: VideoReader, timeline: Timeline[DecodedFrame]) -> list[Cell[DecodedFrame] | Gap]:
        """Return the last items. Frames that the header announces beyond the end are missing."""
        items = timeline.settle()
        short, certain = timeline.missing_at_end(announced=reader.announced, slack_s=1 / self._fps)
        items += timeline.finish(lost=max(certain, reader.lost))
        self.dropped.update(timeline.tallies())
        if short:
            self.dropped["missing-at-end"] = short
        odd = timeline.disagreement(self._options.align_s or 2 / self._fps)
        if odd is not None:
            self._warn(f"{self.name}: {odd}")
        return items


def make_timeline(
    info: VideoInfo, fps: float, options: VideoOptions, *, rhythm: bool = False
) -> Timeline[DecodedFrame]:
    """Create the timeline of a source once its first frame has been decoded."""
    tap = options.packets
    return Timeline(
        fps,
        info.time,
        period_s=1 / (info.rate or FALLBACK_RATE),
        hold_s=options.max_hold_s,
        rhythm=rhythm,
        align_s=options.align_s,
        placed=None if tap is None else lambda frame, at: _place(tap, frame, at),
    )


def _place(tap: PacketTap, frame: DecodedFrame, at: float) -> None:
    if frame.packet is not None:
        tap.place(frame.packet, at)


def warn_of_rate(name: str, info: VideoInfo, warn: Callable[[str], None]) -> None:
    """Warn if the frame rate of a recording had to be assumed."""
    if info.time.assumed_rate:
        warn(
            f"{name} carries no time stamps and does not declare its frame rate; assuming {info.time.assumed_rate:g}"
            " frames per second (set it with `rate`)"
        )


def show(cell: Cell[DecodedFrame]) -> Sampled:
    """Convert the frame of a cell to an image."""
    frame = cell.frame
    return Sampled(frame.image(), cell.index, cell.at, cell.lost, frame.aspect)


def log_warning(text: str) -> None:
    """Log a warning."""
    _log.warning("%s", printable(text))


def check_file(address: Address) -> None:
    """Raise InputError unless the address is a readable, non-empty regular file. Opening a pipe may block forever."""
    name, path = address.shown, Path(address.target)
    fault = None
    try:
        status = path.stat()
    except OSError as error:
        fault = explain(error, address)
    if fault is not None:
        raise fault.error()
    if stat.S_ISDIR(status.st_mode):
        raise InputError("video-directory", f"{name} is a folder", "a video file", "use one of the videos in it")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            "video-special",
            f"{name} is not a regular file but a pipe, socket or device",
            "a video file",
            "write it to a file first; a camera is camera:/dev/video0",
        )
    if not status.st_size:
        raise InputError("video-empty", f"{name} is empty (0 bytes)", next_step="record or copy it again")
    if not os.access(path, os.R_OK):
        raise explain(PermissionError(), address).error()


def video_files(path: str | Path) -> list[Path]:
    """List the videos of a folder, sorted by name.

    Args:
        path: A folder, or one video file. In a folder, videos are recognized by suffix; hidden files are ignored.

    Raises:
        InputError: There is no video, or the path cannot be read.
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
            "video-permission", f"The folder {path} cannot be read ({reason})", next_step="change its permissions"
        ) from None
    videos = [
        entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.name[0] != "." and entry.is_file()
    ]
    if not videos:
        raise InputError(
            "video-folder-empty",
            f"{path} contains no video{videos_below(path)}",
            required=f"files with one of the suffixes {', '.join(sorted(SUFFIXES))}",
            next_step="check the path",
        )
    return videos


def videos_below(folder: Path, *, most: int = 1000) -> str:
    """For an error about a folder without videos: how many there are in its subfolders, "" for none.

    Args:
        folder: The folder.
        most: Largest number of files and folders to look at; a home folder has millions.
    """
    found, seen = 0, 0
    for _, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        seen += len(files) + len(folders)
        found += sum(Path(name).suffix.lower() in SUFFIXES and name[0] != "." for name in files)
        if seen > most:
            break
    if not found:
        return ""
    more = "at least " if seen > most else ""
    return f" ({more}{counted(found, 'video')} in its subfolders, which are not read)"


def _counts(dropped: dict[str, int]) -> str:
    return f" ({', '.join(f'{count} {reason}' for reason, count in sorted(dropped.items()))})" if dropped else ""

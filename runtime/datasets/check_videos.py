"""The part of `punctum data check` that looks at videos: the first frame is decoded, the rest only leafed through."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, PunctumError

if TYPE_CHECKING:
    from .dataset import Dataset
    from .findings import Report

SHORT = 0.05  # share of the stated length that a whole file may lack


def check_videos(data: Dataset, report: Report) -> dict[str, tuple[float, float]]:
    """Media time of the first and last picture of the videos that can be decoded.

    {} where PyAV is not installed, with a warning.
    """
    found: dict[str, tuple[float, float]] = {}
    able = find_spec("av") is not None
    if not able and data.videos_dir is not None:
        report.warn(
            "videos-unread", data.videos_dir, "videos not opened: PyAV is missing", "pip install 'punctum[video]'"
        )
    for video in dict.fromkeys(data.train + data.test):
        path: Path | str = video
        try:
            path = data.video_file(video)
            if able:
                found[video] = _look(path, report)
        except InputError as error:
            report.error(error.code, path, error.given, error.next_step)
        except PunctumError as error:
            report.error(error.code, path, error.given, error.next_step or "record or copy it again")
    return found


def _look(path: Path, report: Report) -> tuple[float, float]:
    """From when to when the file really holds pictures. Raises what opening it for training would raise."""
    from ..video import open_frames

    source = open_frames(str(path), fps=1.0)
    try:
        stated = source.info.duration_s
    finally:
        source.close()
    begin, held, damaged = _packets(path)
    if stated is not None and stated - held > max(SHORT * stated, 1.0):
        report.warn(
            "video-truncated",
            path,
            f"the file says {stated:.1f} s and holds {held:.1f} s",
            "copy it again, or check its points: later ones have no pictures",
        )
    if damaged:
        report.warn(
            "video-damaged", path, f"{damaged} damaged packets", "copy it again; what cannot be decoded counts as lost"
        )
    return begin, max(held, begin) or stated or 0.0


def _packets(path: Path) -> tuple[float, float, int]:
    """Media time at the beginning of the first and at the end of the last packet of the first video stream, and how
    many are damaged. Nothing is decoded.
    """
    import av

    begin, end, damaged = math.inf, 0.0, 0
    container: Any
    try:
        # Not as options: see VideoReader.open.
        with av.open(str(path), container_options={"protocol_whitelist": "file,crypto,data"}) as container:
            stream = container.streams.video[0]
            origin = (container.start_time or 0) / 1e6
            for packet in container.demux(stream):
                damaged += bool(packet.is_corrupt)
                at = packet.pts if packet.pts is not None else packet.dts
                if at is not None:
                    begin = min(begin, float(at * stream.time_base) - origin)
                    end = max(end, float((at + (packet.duration or 0)) * stream.time_base) - origin)
    except (av.FFmpegError, OSError, IndexError):
        damaged += 1
    return max(begin, 0.0) if begin < math.inf else 0.0, end, damaged

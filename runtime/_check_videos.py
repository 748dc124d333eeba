"""The part of `punctum data check` that looks at videos: the first frame is decoded, the rest only leafed through."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, PunctumError

if TYPE_CHECKING:
    from ._findings import Report
    from .dataset import Dataset

SHORT = 0.05  # share of the stated length that a whole file may lack


def check_videos(data: Dataset, report: Report) -> dict[str, float]:
    """Seconds of the videos that can be decoded; {} where PyAV is not installed, with a warning."""
    found: dict[str, float] = {}
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


def _look(path: Path, report: Report) -> float:
    """Seconds that the file really holds. Raises what opening it for training would raise."""
    from .video import open_frames

    source = open_frames(str(path), fps=1.0)
    try:
        stated = source.info.duration_s
    finally:
        source.close()
    held, damaged = _packets(path)
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
    return held or stated or 0.0


def _packets(path: Path) -> tuple[float, int]:
    """(media time at the end of the last packet of the first video stream, damaged packets). Nothing is decoded."""
    import av

    end, damaged = 0.0, 0
    container: Any
    try:
        with av.open(str(path), options={"protocol_whitelist": "file,crypto,data"}) as container:
            stream = container.streams.video[0]
            origin = (container.start_time or 0) / 1e6
            for packet in container.demux(stream):
                damaged += bool(packet.is_corrupt)
                at = packet.pts if packet.pts is not None else packet.dts
                if at is not None:
                    end = max(end, float((at + (packet.duration or 0)) * stream.time_base) - origin)
    except (av.FFmpegError, OSError, IndexError):
        return end, damaged + 1
    return end, damaged

"""The checks of videos in `punctum data check`: the first frame is decoded, the other packets are only read."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, PunctumError
from ..text.display import as_utf8, counted, some
from ..text.name_index import NameIndex

if TYPE_CHECKING:
    from .dataset import Dataset
    from .findings import CheckResult

SHORT = 0.05  # share of its stated duration that may be missing from an intact file


def check_videos(data: Dataset, result: CheckResult) -> dict[str, tuple[float, float]]:
    """Check all listed videos.

    Returns:
        Media time of the first and the last frame of each video that can be decoded. Empty if PyAV is not installed,
        with a warning.
    """
    spans: dict[str, tuple[float, float]] = {}
    has_av = find_spec("av") is not None
    if not has_av and data.videos_dir is not None:
        result.warn(
            "videos-unread",
            data.videos_dir,
            "videos are not checked, because PyAV is not installed",
            "pip install 'punctum[video]'",
        )
    for video in dict.fromkeys(data.train + data.test):
        path: Path | str = video
        try:
            path = data.video_file(video)
            if has_av:
                spans[video] = _check_video(path, result)
        except InputError as error:
            result.error(error.code, path, error.given, error.next_step)
        except PunctumError as error:
            result.error(error.code, path, error.given, error.next_step or "record or copy it again")
    _check_unlisted(data, result)
    return spans


def _check_unlisted(data: Dataset, result: CheckResult) -> None:
    """Warn about videos of the folder that no list names: those without an action are easily forgotten."""
    from ..video.files import video_files

    known = NameIndex(data.train + data.test, media=True)
    if data.videos_dir is None or not (data.train or data.test):
        return
    try:
        names = [as_utf8(path.stem) for path in video_files(data.videos_dir)]
    except InputError:
        return  # an error of every listed video, too
    if unlisted := [name for name in names if known.find(name) is None]:
        plain = data.unlabeled > 0
        result.warn(
            "videos-unlisted",
            data.videos_dir,
            f"{counted(len(unlisted), 'video')} {'without a click' if plain else 'in neither list'}, not used "
            f"({some(unlisted, 3)})",
            "add those in which none of the actions happens to train.txt"
            + (" (`punctum data init` writes it)" if plain else "")
            + ": training learns from them what is no action",
        )


def _check_video(path: Path, result: CheckResult) -> tuple[float, float]:
    """Media time of the first and the last frame in the file. Raises the errors of opening it for training."""
    from ..video import open_frames

    source = open_frames(str(path), fps=1.0)
    try:
        stated = source.info.duration_s
    finally:
        source.close()
    begin, end, damaged = _packets(path)
    if stated is not None and stated - end > max(SHORT * stated, 1.0):
        result.warn(
            "video-truncated",
            path,
            f"the file states {stated:.1f} s and contains {end:.1f} s",
            "copy it again, or check its points: later ones have no frames",
        )
    if damaged:
        result.warn(
            "video-damaged",
            path,
            f"{damaged} damaged packets",
            "copy it again; frames that cannot be decoded count as lost",
        )
    return begin, max(end, begin) or stated or 0.0


def _packets(path: Path) -> tuple[float, float, int]:
    """Read the first video stream without decoding.

    Returns:
        Media time of the start of the first packet, of the end of the last one, and the number of damaged packets.
    """
    import av

    begin, end, damaged = math.inf, 0.0, 0
    try:
        # Not as options: see VideoReader.open.
        with av.open(str(path), container_options={"protocol_whitelist": "file,crypto,data"}) as container:
            stream = container.streams.video[0]
            origin = (container.start_time or 0) / 1e6
            for packet in container.demux(stream):
                damaged += bool(packet.is_corrupt)
                at = packet.pts if packet.pts is not None else packet.dts
                if at is not None and stream.time_base is not None:
                    begin = min(begin, float(at * stream.time_base) - origin)
                    end = max(end, float((at + (packet.duration or 0)) * stream.time_base) - origin)
    except (av.FFmpegError, OSError, IndexError):
        damaged += 1
    return max(begin, 0.0) if begin < math.inf else 0.0, end, damaged

"""Pictures of moments of the videos of a data set. Needs PyAV (extra `video`)."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import PunctumError
from ..text.display import printable
from .thumbnails import encode_jpeg

if TYPE_CHECKING:
    from ..datasets.dataset import Dataset
    from ..diagnosis.cases import Case
    from ..diagnosis.suspects import Suspect

_log = logging.getLogger(__name__)

HEIGHT = 120  # pixels
RATE = 10.0  # frames per second to choose from


def moment_of(item: Case | Suspect) -> float:
    """The time that the picture shows: the middle of the event or the action, rounded to the sampling grid."""
    return math.floor((item.start_s + item.end_s) / 2 * RATE) / RATE


def pictures_of(
    data: Dataset,
    items: Sequence[Case | Suspect],
    *,
    watch: Callable[[Sequence[str]], Iterable[str]] | None = None,
) -> dict[tuple[str, float], bytes]:
    """A JPEG file for the moment of each item, by video and time. Videos that cannot be read are left out.

    Args:
        data: A data set; without videos there are no pictures.
        items: Cases and suspects.
        watch: Wraps the list of videos, for a progress bar.
    """
    if data.videos_dir is None:
        return {}
    wanted: dict[str, set[float]] = {}
    for item in items:
        wanted.setdefault(item.video, set()).add(moment_of(item))
    found: dict[tuple[str, float], bytes] = {}
    videos = sorted(wanted)
    for video in videos if watch is None else watch(videos):
        try:
            taken = _take(data, video, sorted(wanted[video]))
        except PunctumError as error:
            _log.warning("%s: no pictures: %s", printable(video), printable(error.given))
            continue
        found |= {(video, at): jpeg for at, jpeg in taken.items()}
    return found


def _take(data: Dataset, video: str, times: list[float]) -> dict[float, bytes]:
    """The frames at these times, in rising order; a time beyond the end gets the last frame."""
    from ..video import Sampled, open_frames

    taken: dict[float, bytes] = {}
    last: Sampled | None = None
    with contextlib.closing(open_frames(str(data.video_file(video)), fps=RATE)) as frames:
        frames.open()
        for item in frames.frames():
            if not isinstance(item, Sampled):
                continue
            last = item
            while times and item.at >= times[0] - 1e-6:
                taken[times.pop(0)] = encode_jpeg(item.image, height=HEIGHT, aspect=item.aspect)
            if not times:
                break
    if last is not None:
        rest = encode_jpeg(last.image, height=HEIGHT, aspect=last.aspect) if times else b""
        taken |= dict.fromkeys(times, rest)
    return taken

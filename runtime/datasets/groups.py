"""groups.csv of a data set: which videos come from the same camera, person or site."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..text.delimited import TableError, read_table
from ..text.display import counted, some
from ..text.name_index import NameIndex
from .tables import read_text

FILE = "groups.csv"


def read_groups(folder: Path, videos: Sequence[str]) -> dict[str, str]:
    """The group of each video that the file names; empty without a file.

    Videos of one group are held out together where training judges itself: a network that has seen a room knows more
    about another video of that room than about a new one.

    Args:
        folder: The data set folder.
        videos: Its videos. Rows of other videos are not used.

    Raises:
        InputError: The file cannot be read, a row is incomplete, or a video is in two groups.
    """
    path = folder / FILE
    try:
        table = read_table(read_text(path))
        columns = [table.column("video_id", "video", "video_name"), table.column("group")]
    except FileNotFoundError:
        return {}
    except (TableError, OSError, UnicodeDecodeError) as error:
        raise _invalid(path, f"cannot be read ({error})") from None
    if None in columns:
        raise _invalid(path, f"line {table.line} has the columns {table.written}")
    index, found = NameIndex(videos, media=True), dict[str, str]()
    for row in table.rows:
        video, group = (row.cell(column) for column in columns)
        if row.problem or not video or not group:
            raise _invalid(path, f"line {row.line} has video {video!r} and group {group!r}")
        name = index.find(video)
        if name is None:
            continue
        if found.setdefault(name, group) != group:
            raise _invalid(path, f"line {row.line} puts {video!r} in group {group!r}; it is in {found[name]!r} already")
    return found


def warn_ungrouped(folder: Path, groups: Mapping[str, str], videos: Sequence[str]) -> None:
    """Warn if the folder has groups and some videos have none: names in the file may be misspelled.

    Args:
        folder: The data set folder.
        groups: Of `read_groups`.
        videos: The training videos.
    """
    alone = [video for video in videos if video not in groups]
    if alone and (folder / FILE).exists():
        number = f"{len(alone)} of {counted(len(videos), 'training video')}"
        warnings.warn(f"{FILE} names no group for {number} ({some(alone, 3)}): each is held out alone", stacklevel=2)


def _invalid(path: Path, given: str) -> InputError:
    return InputError(
        "groups-unreadable",
        f"{path} {given}",
        required="a CSV file with the columns video_id and group, and one group for each video",
        next_step="write a row with video_id and group for each video, or remove the file",
    )

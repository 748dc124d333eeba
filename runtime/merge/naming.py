"""Names of the videos of a merged data set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from ..text.names import video_name
from .folders import file_part
from .same import Owned

_LONGEST = 240  # bytes: file systems take 255 with the ending, and lists 250


def new_names(videos: Sequence[Owned]) -> list[str]:
    """The name of each video: its own where no other has it, else that of its folder before it.

    Names that differ in case only are taken for one: readers refuse them, and some systems cannot keep both. A name
    that is taken after that gets a number. Names depend on the set of videos, and not on the order of the command.

    Args:
        videos: The videos, in the order of the names of their folders.
    """
    counts = Counter(_key(video.name) for _, video in videos)
    names = [video.name if counts[_key(video.name)] == 1 else "" for _, video in videos]
    taken = {_key(name) for name in names if name}
    for k, (source, video) in enumerate(videos):
        if names[k]:
            continue
        wanted = f"{file_part(source.name)}-{video.name}"
        free, number = _short(wanted), 2
        while _key(free) in taken:
            free, number = f"{_short(wanted)}-{number}", number + 1
        names[k] = free
        taken.add(_key(free))
    return names


def _key(name: str) -> str:
    return video_name(name).casefold()


def _short(name: str) -> str:
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name.rstrip()

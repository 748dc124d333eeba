"""Names of videos, and what to do if two of them would have the same name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ..errors import InputError
from ..text.names import clean_name, media_name, media_path
from ._model import Timelines, merge
from ._options import SameVideo

_OPTION = "set `same_video=apart` (adds folder, extension or origin to the names) or `same_video=merge` (one video)"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a name. Two origins with different paths or owners are two videos.

    Attributes:
        name: The name.
        path: Path of the media as written.
        owner: What contains the annotations of one video in the file, such as a task.
    """

    name: str
    path: str = ""
    owner: str = ""

    @classmethod
    def of(cls, text: str, owner: str = "") -> Origin:
        """The origin of a path or of a plain name."""
        return cls(media_name(text), text.strip() if media_path(text) is not None else "", owner)


def settle(where: str, origins: Sequence[Origin], same: SameVideo) -> list[str]:
    """The name of each origin. Raises InputError if two videos would have the same name and `same` is "refuse"."""
    groups: dict[str, list[Origin]] = {}
    for origin in dict.fromkeys(origins):
        groups.setdefault(clean_name(origin.name), []).append(origin)
    chosen = {origin: origin.name for origin in origins}
    for name, group in groups.items():
        paths = {_canonical(o.path) for o in group if o.path}
        owners = {o.owner for o in group if o.owner}
        if same == "merge" or (len(paths) < 2 and len(owners) < 2):
            continue
        if same == "refuse":
            shown = dict.fromkeys(" of ".join(filter(None, (o.path, o.owner))) or o.name for o in group)
            raise InputError(
                "video-ambiguous",
                f"{where}: several videos would be called {name!r}: {', '.join(list(shown)[:5])}",
                required="a name for each video",
                next_step=_OPTION,
            )
        chosen.update(_apart(group))
    return [chosen[origin] for origin in origins]


def settle_files(parts: Sequence[tuple[str, Timelines]], same: SameVideo) -> Timelines:
    """Merge timelines of several files, given with their names without extension. Raises as `settle`."""
    holders: dict[str, list[str]] = {}
    for stem, lines in parts:
        for video in lines.videos:
            holders.setdefault(clean_name(video), []).append(stem)
    shared = {video for video, stems in holders.items() if len(stems) > 1}
    if shared and same == "refuse":
        video = next(video for video in holders if video in shared)
        raise InputError(
            "video-ambiguous",
            f"{len(holders[video])} files contain annotations of a video called {video!r}: "
            f"{', '.join(holders[video][:5])}",
            required="one file per video",
            next_step=f"convert them one by one, or {_OPTION}",
        )
    if same == "apart":
        parts = [(stem, _renamed(lines, stem, shared)) for stem, lines in parts]
    return merge([lines for _, lines in parts])


def _renamed(lines: Timelines, stem: str, shared: set[str]) -> Timelines:
    name = stem if len(lines.videos) == 1 else None
    new = {v: (name or f"{stem}/{v}") if clean_name(v) in shared else v for v in lines.videos}
    return replace(
        lines,
        marks=tuple(
            m
            if new[m.video] == m.video
            else replace(m, video=new[m.video], event=m.event and replace(m.event, stream=new[m.video]))
            for m in lines.marks
        ),
        videos=tuple(new.values()),
        fps={new.get(v, v): rate for v, rate in lines.fps.items()},
        duration={new.get(v, v): seconds for v, seconds in lines.duration.items()},
    )


def _apart(group: Sequence[Origin]) -> dict[Origin, str]:
    """Different names: with the folder, if necessary with the extension, and if necessary with the owner."""
    for way in (_folder, _ending, _owner):
        names = {origin: way(origin) for origin in group}
        places = {(_canonical(o.path), o.owner): name for o, name in names.items()}
        if len(set(places.values())) == len(places):
            return names
    return {origin: f"{_owner(origin)}-{number}" for number, origin in enumerate(group, 1)}


def _folder(origin: Origin) -> str:
    return media_path(origin.path) or origin.name


def _ending(origin: Origin) -> str:
    ending = PurePosixPath(origin.path).suffix.lstrip(".").lower()
    return _folder(origin) + (f"-{ending}" if ending else "")


def _owner(origin: Origin) -> str:
    owner = re.sub(r"[^\w.-]+", "-", origin.owner).strip("-.")
    return _folder(origin) + (f"-{owner}" if owner else "")


def _canonical(path: str) -> str:
    return path.strip().replace("\\", "/").removeprefix("./")

"""Groups of a merged data set: the folders, unless a folder names the groups of its videos itself."""

from __future__ import annotations

from collections.abc import Mapping

from .source import Source, Video


def groups_of(
    videos: Mapping[str, Video], owner: Mapping[str, Source], trained: set[str], notes: list[str]
) -> dict[str, str]:
    """The group of each video. Videos of a group are held out together where training judges itself.

    A video of a folder with groups.csv has the group that stands there, or none; videos of other folders have the name
    of their folder. Only videos that are labeled as a whole can be held out. If all of those are of one folder, a group
    for each folder would leave nothing to hold out: the groups of groups.csv are kept, and no others made.

    Args:
        videos: New name -> video.
        owner: New name -> folder.
        trained: Names of the training videos.
        notes: Gets a sentence where the folders are no groups.
    """
    stated = {name: video.group for name, video in videos.items() if video.group}
    made = {name: source.name for name, source in owner.items() if not source.grouped and name not in stated}
    judged = [name for name in videos if name in trained and videos[name].clicks and not videos[name].in_part]
    units = {stated.get(name) or made.get(name) or f"\0{name}" for name in judged}
    sources = {id(source) for source in owner.values()}
    if len(units) > 1 and len(sources) > 1:
        return {name: group for name in videos if (group := stated.get(name) or made.get(name))}
    if len(sources) > 1 and made:
        where = "only one group has" if units else "none has"
        notes.append(
            f"the folders are no groups for the hold-out: {where} videos with clicks that are labeled as a whole"
        )
    return stated

"""`punctum data merge`: from folders to one data set, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..text.display import counted
from .folders import named_folders
from .merged import Merged, counts, merge
from .output import Watch, check_output, write_merged
from .reading import read_source
from .source import Video


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What was written.

    Attributes:
        merged: The data set.
        out: Its folder.
        copied: Number of videos that were copied; the others are linked.
        folders: A line for each folder that was merged.
    """

    merged: Merged
    out: Path
    copied: int
    folders: tuple[str, ...]

    def lines(self) -> list[str]:
        """A line for each folder, the totals, and what else there is to know."""
        return [*self.folders, *self._total()]

    def losses(self) -> list[str]:
        """What is not in the result, and why."""
        sources = self.merged.sources
        return [*(f"{one.name}: left out: {what}" for one in sources for what in one.left_out), *self.merged.lost]

    def _total(self) -> Iterator[str]:
        merged = self.merged
        yield f"together: {_described(list(merged.videos.values()))}"
        if merged.twice:
            yield f"{counted(merged.twice, 'video')} that another folder has, too: taken once, with the labels of both"
        if merged.released:
            yield f"{counted(merged.released, 'withheld span')} became background: there are clicks of the class"
        if merged.withheld:
            yield f"{counted(len(merged.withheld), 'span')} withheld: no folder has a click of the class"
        if merged.test:
            yield f"{counted(len(merged.test), 'test video')}"
        if merged.groups:
            yield f"{counted(len(set(merged.groups.values())), 'group')} in groups.csv, each held out as a whole"
        yield from merged.notes
        linked = len(merged.videos) - self.copied
        yield f"wrote {self.out} ({counted(linked, 'video')} linked, {self.copied} copied)"


def merge_folders(
    folders: Sequence[Path], out: Path, *, replace: bool = False, copy: bool = False, watch: Watch | None = None
) -> MergeResult:
    """Join folders of labeled videos into one data set. The result does not depend on their order.

    Args:
        folders: Folders that `punctum train` or `punctum label` takes.
        out: The folder to write.
        replace: Replace an earlier result.
        copy: Copy all videos in place of linking them.
        watch: Wraps the list of videos, for a progress bar.

    Raises:
        InputError: A folder cannot be merged, or `out` may not be written.
        PunctumError: A file cannot be written.
    """
    named = named_folders(folders)
    place = check_output(out, [folder for _, folder in named], replace=replace)
    sources = [read_source(folder, name) for name, folder in named]
    told = tuple(f"{source.name}: {_described(source.videos)}" for source in sources)  # joining changes the videos
    merged = merge(sources)
    return MergeResult(merged, out, write_merged(merged, place, replace=replace, copy=copy, watch=watch), told)


def _described(videos: Sequence[Video]) -> str:
    clicks, spans, in_part = counts(videos)
    withheld = sum(len(video.withheld) for video in videos)
    more = [f"{in_part} labeled in part"] if in_part else []
    silent = sum(not (v.clicks or v.spans or v.withheld or v.nothing) for v in videos)
    more += [f"{silent} without labels"] if silent else []
    kinds = f" ({', '.join(more)})" if more else ""
    told = f"{counted(len(videos), 'video')}{kinds}, {counted(clicks, 'click')}, {counted(spans, 'background span')}"
    return told + (f", {counted(withheld, 'withheld span')}" if withheld else "")

"""Videos that several folders have: found by their content, and joined where the labels agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from ..datasets.annotators import SAME_ACTION_S
from ..datasets.background import BackgroundRow
from ..errors import InputError
from ..files.atomic import sha256_file
from ..labeling.clicks import Click
from .source import Source, Video

Owned = tuple[Source, Video]


def same_videos(sources: Sequence[Source]) -> list[list[Owned]]:
    """Videos of several folders that have the same content, one of each folder, in the order of the folders.

    Only files of one size are read. Copies within a folder stay as they are.

    Args:
        sources: The folders.

    Raises:
        InputError: A video cannot be read.
    """
    every = [(source, video) for source in sources for video in source.videos]
    digests: dict[tuple[int, int], str] = {}  # a file that is linked in several folders is read once

    def size(owned: Owned) -> int:
        return owned[1].file.stat().st_size

    def digest(owned: Owned) -> str:
        status = owned[1].file.stat()
        key = (status.st_dev, status.st_ino)
        if key not in digests:
            digests[key] = sha256_file(owned[1].file)
        return digests[key]

    found = []
    try:
        for length, alike in _grouped(every, size):
            if length:
                found += [_one_each(same) for _, same in _grouped(alike, digest)]
    except OSError as error:
        raise InputError(
            "video-permission",
            f"{error.filename} cannot be read ({error.strerror or error})",
            next_step="check the file and its permissions",
        ) from None
    return found


def join(group: Sequence[Owned]) -> None:
    """Give the first of the videos the labels of all.

    A video that is labeled as a whole says that there are no other actions; one that is labeled in part says nothing
    about the rest. Clicks of different annotators that mark the same action are all kept.

    Args:
        group: The same video in several folders.

    Raises:
        InputError: The labels contradict each other.
    """
    (source, first), *others = group
    for other, second in others:
        if reason := _contradiction(first, second):
            raise InputError(
                "merge-conflict",
                f"{first.file} and {second.file} are the same video with different labels: {reason}",
                required=f"labels that agree, or the video in one of {source.folder} and {other.folder}",
                next_step="correct the labels in one of the folders, or remove the video and its rows there",
            )
        _take(first, second)


def add_spans(mine: list[BackgroundRow], theirs: Iterable[BackgroundRow]) -> list[BackgroundRow]:
    """Add the spans of a video that are not there yet. Returns those that were added."""
    covered = {_span_key(span) for span in mine}
    new = [span for span in theirs if _span_key(span) not in covered]
    mine += new
    return new


def _grouped(every: Iterable[Owned], key: Callable[[Owned], Hashable]) -> list[tuple[Hashable, list[Owned]]]:
    """Those with the same key, where they are of several folders."""
    by_key: defaultdict[Hashable, list[Owned]] = defaultdict(list)
    for owned in every:
        by_key[key(owned)].append(owned)
    return [(value, same) for value, same in by_key.items() if len({id(source) for source, _ in same}) > 1]


def _one_each(same: Iterable[Owned]) -> list[Owned]:
    first: dict[int, Owned] = {}
    for source, video in same:
        first.setdefault(id(source), (source, video))
    return list(first.values())


def _contradiction(first: Video, second: Video) -> str:
    """Why the labels of two videos cannot both be right; empty if they can."""
    known = {_key(click) for click in first.clicks}
    theirs = {_key(click) for click in second.clicks}
    for click in second.clicks:
        if _key(click) in known:
            continue
        if any(click.id == mine.id for mine in first.clicks):
            return f"the click {click.id} was changed in one of them"
        for mine in first.clicks:
            if mine.annotator == click.annotator and _key(mine) not in theirs and _same_action(mine, click):
                return f"{_shown(mine)} is at {click.time_s:.3f} s in the other"
    for one, other in ((first, second), (second, first)):
        for click in one.clicks:
            if other.whole and not any(_same_action(click, each) for each in other.clicks):
                return f"{_shown(click)} is in one of them only, and the other is labeled as a whole"
            if _key(click) not in {_key(each) for each in other.clicks} and (span := _excluding(click, other)):
                return f"{_shown(click)} is in a span of {span.start_s:.3f} to {span.end_s:.3f} s that excludes it"
    if first.truth is not None and second.truth is not None and first.truth != second.truth:
        return f"the entries of gt.json for {first.name} and {second.name} differ"
    return ""


def _excluding(click: Click, video: Video) -> BackgroundRow | None:
    """A span of a video that says that the action of a click is not there."""
    spans = (span for span in [*video.spans, *video.withheld] if span.label in ("", click.label))
    return next((span for span in spans if span.start_s <= click.time_s <= span.end_s), None)


def _same_action(one: Click, other: Click) -> bool:
    return one.label == other.label and abs(one.time_s - other.time_s) <= SAME_ACTION_S


def _take(first: Video, second: Video) -> None:
    """Add what is new in the second video to the first."""
    known = {_key(click) for click in first.clicks}
    first.clicks += [click for click in second.clicks if _key(click) not in known]
    add_spans(first.spans, second.spans)
    add_spans(first.withheld, second.withheld)
    for kind in ("nothing", "finished", "partly"):
        setattr(first, kind, {**getattr(second, kind), **getattr(first, kind)})
    for ident, marks in second.confirmed.items():
        first.confirmed[ident] = {**marks, **first.confirmed.get(ident, {})}
    first.whole |= second.whole
    first.group = first.group or second.group
    first.truth = second.truth if first.truth is None else first.truth


def _key(click: Click) -> tuple[str, int, str]:
    return click.label, _milli(click.time_s), click.annotator


def _span_key(span: BackgroundRow) -> tuple[str, int, int]:
    return span.label, _milli(span.start_s), _milli(span.end_s)


def _milli(time_s: float) -> int:
    return round(time_s * 1000)


def _shown(click: Click) -> str:
    return f"a click {click.label} at {click.time_s:.3f} s"

"""The content of a merged data set: the videos of all folders under their new names, with what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..datasets.background import BackgroundRow
from ..datasets.labeled import Labeling
from ..errors import InputError
from ..labeling.clicks import Click
from ..text.display import counted, some
from .classes import all_classes, trained_classes
from .grouping import groups_of
from .naming import new_names
from .same import add_spans, join, same_videos
from .source import Source, Video


@dataclass(slots=True)
class Merged:
    """A merged data set before it is written.

    Attributes:
        sources: The folders, in the order of their names.
        videos: New name -> video.
        owner: New name -> the folder that the video is taken from.
        classes: The classes of dataset.json; empty: it gets none, and the classes are those with clicks.
        train: Names of the training videos; None: those that are labeled.
        test: Names of the test videos.
        clicks: All clicks.
        spans: Certified background.
        withheld: Certified background of classes that have no click in any folder.
        record: The content of labeling.json.
        groups: Name of a video -> group.
        truth: Name of a video -> entry of the ground truth.
        twice: Number of videos that several folders have.
        released: Number of withheld spans that are certified background now.
        notes: What else is to be said.
        lost: What is left out because folders differ in it.
    """

    sources: Sequence[Source]
    videos: dict[str, Video] = field(default_factory=dict)
    owner: dict[str, Source] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    train: list[str] | None = None
    test: list[str] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    spans: list[BackgroundRow] = field(default_factory=list)
    withheld: list[BackgroundRow] = field(default_factory=list)
    record: Labeling = field(default_factory=Labeling)
    groups: dict[str, str] = field(default_factory=dict)
    truth: dict[str, Any] = field(default_factory=dict)
    twice: int = 0
    released: int = 0
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def merge(sources: Sequence[Source]) -> Merged:
    """Join folders.

    Args:
        sources: The folders, in the order of their names.

    Raises:
        InputError: Classes or labels contradict each other, or no folder has a click.
    """
    made = Merged(sources)
    known, learned = all_classes(sources), trained_classes(sources)
    stated = any(source.fixed for source in sources)
    if not learned or not (stated or any(source.clicks for source in sources)):
        raise InputError(
            "points-empty",
            f"{some([str(source.folder) for source in sources], 3)} contain no click",
            required="one click per action, and at least one action",
            next_step="label the videos with `punctum label`, or review more events",
        )
    names = _place(made)
    _release(made, set(learned))
    _lists(made, names, set(learned))
    _rows(made)
    made.classes = learned if stated else ()
    made.record.classes = list(known)
    _others(made)
    _unknown_spans(made, set(learned), set(known))
    made.groups = groups_of(made.videos, made.owner, _trained(made, set(learned)), made.notes)
    made.truth = {name: video.truth for name, video in made.videos.items() if video.truth is not None}
    if made.test and (
        others := [n for n in made.truth if made.truth[n].get("subset") == "test" and n not in made.test]
    ):
        many = counted(len(others), "video")
        made.notes.append(f"{many} that only gt.json marks as test videos: not in test.txt ({some(others, 3)})")
    if made.truth and (open_ones := [name for name in made.test if name not in made.truth]):
        made.notes.append(f"{counted(len(open_ones), 'test video')} without ground truth ({some(open_ones, 3)})")
    return made


def _place(made: Merged) -> dict[Video, str]:
    """Join the videos that several folders have, and name all. Returns the new name of each video of the folders."""
    first_of: dict[Video, Video] = {}
    for group in same_videos(made.sources):
        join(group)
        first_of |= {video: group[0][1] for _, video in group[1:]}
    made.twice = len(first_of)
    kept = [(source, video) for source in made.sources for video in source.videos if video not in first_of]
    for name, (source, video) in zip(new_names(kept), kept, strict=True):
        made.videos[name], made.owner[name] = video, source
    names = {video: name for name, video in made.videos.items()}
    return names | {video: names[first] for video, first in first_of.items()}


def _release(made: Merged, learned: set[str]) -> None:
    """Make certified background of the withheld spans whose class has a click now."""
    for video in made.videos.values():
        free = [span for span in video.withheld if not span.label or span.label in learned]
        video.withheld = [span for span in video.withheld if span not in free]
        made.released += len(add_spans(video.spans, free))


def _lists(made: Merged, names: dict[Video, str], learned: set[str]) -> None:
    """The test videos of all folders, and the training videos where a folder lists its own."""
    made.test = list(dict.fromkeys(names[video] for source in made.sources for video in source.test))
    tested = set(made.test)
    both = {names[video] for source in made.sources for video in source.train} & tested
    if made.twice and both:
        made.notes.append(
            f"test videos of one folder and training videos of another, kept for testing: {some(sorted(both), 3)}"
        )
    if not any(source.lists for source in made.sources):
        return
    train: dict[str, None] = {}
    for source in made.sources:
        for video in source.train if source.lists else source.videos:
            if source.lists or _is_labeled(video, learned):
                train[names[video]] = None
    made.train = [name for name in train if name not in tested]


def _is_labeled(video: Video, learned: set[str]) -> bool:
    """Whether training uses a video without lists."""
    return bool(video.clicks or video.nothing or any(not s.label or s.label in learned for s in video.spans))


def _trained(made: Merged, learned: set[str]) -> set[str]:
    if made.train is not None:
        return set(made.train)
    return {name for name, video in made.videos.items() if _is_labeled(video, learned)} - set(made.test)


def _rows(made: Merged) -> None:
    """All rows and marks with the new names, and with ids of their own."""
    clicked: set[str] = set()
    spanned: set[str] = set()
    record = made.record
    for name, video in made.videos.items():
        for click in video.clicks:
            ident = _free(click.id, clicked)
            made.clicks.append(replace(click, id=ident, video=name))
            if marks := video.confirmed.get(click.id):
                record.confirmed[ident] = dict(marks)
        for rows, target in ((video.spans, made.spans), (video.withheld, made.withheld)):
            target += [replace(row, id=_free(row.id, spanned) if row.id else "", video=name, line=0) for row in rows]
        for kind in ("nothing", "finished", "partly"):
            marks = getattr(video, kind)
            if marks and not (kind == "partly" and video.whole):
                getattr(record, kind)[name] = dict(marks)


def _free(ident: str, taken: set[str]) -> str:
    free, number = ident, 2
    while free in taken:
        free, number = f"{ident}-{number}", number + 1
    taken.add(free)
    return free


def _others(made: Merged) -> None:
    """Reaction times and entries of other programs: those of the first folder that has them."""
    for source in made.sources:
        for ours, theirs, what in (
            (made.record.reaction_s, source.record.reaction_s, "reaction time of"),
            (made.record.others, source.record.others, "entry of labeling.json"),
        ):
            _add(ours, theirs, f"{source.name}: left out: {what}", made.lost)


def _add(ours: dict[str, Any], theirs: dict[str, Any], what: str, lost: list[str]) -> None:
    for key, value in theirs.items():
        if ours.setdefault(key, value) != value:
            lost.append(f"{what} {key}, which another folder has with another value")


def _unknown_spans(made: Merged, learned: set[str], known: set[str]) -> None:
    """Raise InputError for certified background of a class that no folder has: a slip of the pen, say."""
    listed: set[str] = set(learned)
    for source in made.sources:
        listed |= {*source.known, *source.classes}
    for span in made.spans:
        if span.label and span.label not in listed:
            raise InputError(
                "label-unknown",
                f"{made.owner[span.video].folder} has certified background of {span.label!r}, which has no click",
                some(sorted(known & listed)),
                "correct the class in background.csv, or remove the row",
            )


def counts(videos: Iterable[Video]) -> tuple[int, int, int]:
    """Clicks, spans of certified background, and videos that are labeled in part."""
    every = list(videos)
    return sum(len(v.clicks) for v in every), sum(len(v.spans) for v in every), sum(v.in_part for v in every)

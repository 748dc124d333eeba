"""What a folder contributes to a merged data set: its videos with everything that is said about each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.background import BackgroundRow
from ..datasets.labeled import Labeling
from ..labeling.clicks import Click

Marks = dict[str, str]
"""Annotator -> time of day."""
NOTE = "punctum data merge"
"""Who says that a video is labeled in part, where only the absence of other labels says so."""


@dataclass(slots=True, eq=False)
class Video:
    """A video of a folder and its labels. The names in the rows are replaced when they are written.

    Attributes:
        file: The video file.
        name: Its name without the ending.
        clicks: Its clicks; times in seconds.
        spans: Its certified background.
        withheld: Certified background of classes that have no click in the folder (withheld.csv).
        nothing: Who says that nothing happens in it.
        finished: Who has finished it.
        partly: Who labeled it in part.
        confirmed: Id of a click -> who confirmed it.
        whole: Whether footage without a click is background.
        group: The group that groups.csv of the folder gives it; empty: none.
        truth: Its entry of gt.json.
    """

    file: Path
    name: str
    clicks: list[Click] = field(default_factory=list)
    spans: list[BackgroundRow] = field(default_factory=list)
    withheld: list[BackgroundRow] = field(default_factory=list)
    nothing: Marks = field(default_factory=dict)
    finished: Marks = field(default_factory=dict)
    partly: Marks = field(default_factory=dict)
    confirmed: dict[str, Marks] = field(default_factory=dict)
    whole: bool = False
    group: str = ""
    truth: Any = None

    @property
    def in_part(self) -> bool:
        """Whether only a part of the video is labeled."""
        return bool(self.partly) and not self.whole

    def first_to_say(self) -> Marks:
        """Who certified background of the video, and when: the mark of a video that has nothing else."""
        return {span.annotator or NOTE: span.created for span in [*self.withheld, *self.spans][:1]}


@dataclass(slots=True, eq=False)
class Source:
    """A folder that is merged.

    Attributes:
        folder: The folder as given.
        name: What it is called in groups, in new names of videos and in messages.
        videos: Its videos, in the order of their names.
        classes: The classes of dataset.json; without one, those with clicks, in the order of their keys.
        known: The classes of labeling.json, some of which may have no click.
        fixed: Whether the folder states its classes (dataset.json, or a published layout).
        lists: Whether the folder lists its training videos. Otherwise, they are those that are labeled.
        train: The training videos that it lists.
        test: Its test videos.
        grouped: Whether it has a groups.csv.
        record: The rest of labeling.json: reaction times and entries of other programs.
        left_out: What is not taken, with the reason.
    """

    folder: Path
    name: str
    videos: list[Video]
    classes: tuple[str, ...]
    known: tuple[str, ...]
    fixed: bool
    lists: bool
    train: list[Video]
    test: list[Video]
    grouped: bool
    record: Labeling
    left_out: list[str] = field(default_factory=list)

    @property
    def clicks(self) -> int:
        """Number of clicks."""
        return sum(len(video.clicks) for video in self.videos)

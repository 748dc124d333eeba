"""The tables of a folder, and the division of their rows among its videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..datasets.background import FILE as BACKGROUND
from ..datasets.background import WITHHELD, BackgroundRow, read_background
from ..datasets.feature_files import find_video
from ..datasets.labeled import Labeling, read_labeling
from ..datasets.truth import read_record
from ..errors import InputError
from ..labeling.clicks import Click, read_clicks
from ..text.display import counted
from ..text.name_index import NameIndex
from .source import Marks, Video


@dataclass(frozen=True, slots=True)
class Labels:
    """All rows of a folder.

    Attributes:
        clicks: Clicks; times in seconds.
        spans: Certified background.
        withheld: Certified background that waits for a click of its class.
        record: The content of labeling.json.
        truth: Name of a video -> its entry of gt.json.
    """

    clicks: list[Click]
    spans: list[BackgroundRow]
    withheld: list[BackgroundRow]
    record: Labeling
    truth: dict[str, Any]

    @classmethod
    def read(
        cls, folder: Path, points: Path, truth: Path, seconds: Callable[[str, float], float] | None = None
    ) -> Labels:
        """Read the tables; those that do not exist are empty. Raises InputError.

        Args:
            folder: The folder.
            points: Its points file.
            truth: Its ground truth.
            seconds: Media time of a frame number of a video.
        """
        spans = read_background(points.with_name(BACKGROUND))
        known = {span.id for span in spans if span.id}
        # The service writes a row that moves where it goes to before it removes it where it was.
        withheld = [span for span in read_background(points.with_name(WITHHELD)) if span.id not in known]
        return cls(read_clicks(points, seconds), spans, withheld, read_labeling(folder), _entries(truth))

    def give(
        self,
        videos: Mapping[str, Video],
        index: NameIndex,
        label: Callable[[str], str],
        needed: Iterable[str],
        folder: Path,
    ) -> list[str]:
        """Give each video its rows, marks and entry.

        Args:
            videos: Name -> video.
            index: Finds the names.
            label: One spelling of a class.
            needed: Names of videos that have to be there.
            folder: The folder of the videos.

        Returns:
            What belongs to none of the videos, and is left out.

        Raises:
            InputError: A needed video is not there.
        """
        for name in dict.fromkeys(needed):
            if index.find(name) is None:
                raise _missing(folder, name)
        gone: Counter[str] = Counter()

        def found(name: str, thing: str) -> Video | None:
            known = index.find(name)
            gone[thing] += known is None
            return None if known is None else videos[known]

        for click in self.clicks:
            if video := found(click.video, "click"):
                click.label = label(click.label)
                video.clicks.append(click)
                if click.id in self.record.confirmed:
                    video.confirmed[click.id] = self.record.confirmed[click.id]
        for rows, background in ((self.spans, True), (self.withheld, False)):
            for row in rows:
                if video := found(row.video, "background span"):
                    row = replace(row, label=label(row.label))
                    (video.spans if background else video.withheld).append(row)
        for kind in ("nothing", "finished", "partly"):
            every: dict[str, Marks] = getattr(self.record, kind)
            for name, marks in every.items():
                if video := found(name, "mark"):
                    getattr(video, kind).update(marks)
        for name, entry in self.truth.items():
            if video := found(name, "entry of the ground truth"):
                video.truth = entry
        plural = {"entry of the ground truth": "entries of the ground truth"}
        return [
            f"{counted(count, thing, plural.get(thing, ''))} of videos that are not in the folder"
            for thing, count in gone.items()
            if count
        ]


def _missing(folder: Path, name: str) -> InputError:
    """Why a video is not found: the error that training raises, or that several files match."""
    try:
        found = find_video(folder, name)
    except InputError as error:
        return error
    return InputError(
        "video-ambiguous",
        f"{folder} contains {found.name} and other videos that {name!r} may stand for",
        required="one video of that name",
        next_step="rename the others",
    )


def _entries(path: Path) -> dict[str, Any]:
    """Name of a video -> its entry of a ground truth file; none without a file. Raises InputError."""
    if not path.exists():
        return {}
    record = read_record(path)
    database = record.get("database") if isinstance(record, dict) else None
    if not isinstance(database, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("annotations"), list) for entry in database.values()
    ):
        raise InputError(
            "truth-form",
            f"{path} is not in ActivityNet format",
            required='database.<video>.annotations: [{"label", "segment": [start_s, end_s]}]',
            next_step="see docs/reference/data-sets.md",
        )
    return database

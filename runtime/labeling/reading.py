"""Reading the files of a labeled folder: names of videos and classes in one spelling, and an id for each row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..datasets.background import BackgroundRow, read_background
from ..datasets.labeled import Labeling, read_labeling
from ..errors import InputError
from ..text.name_index import NameIndex
from .class_names import current_name
from .clicks import Click, read_clicks
from .undo import Labels


class LabelReader:
    """Reads the labels of a folder.

    Args:
        files: Role (record, spans, clicks) -> file.
        videos: Names of the videos.
        fixed: Whether dataset.json gives the classes.
        seconds: See `read_clicks`.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        videos: Iterable[str],
        *,
        fixed: bool,
        seconds: Callable[[str, float], float] | None,
    ) -> None:
        self._files, self._fixed, self._seconds = files, fixed, seconds
        self._index = NameIndex(videos, media=True)

    def read(self, given: Iterable[str], old: Mapping[str, Click], labeling: Labeling | None) -> tuple[Labels, str]:
        """The labels, and the text of labeling.json.

        Args:
            given: Classes that come first. Those that were renamed since have their present name.
            old: The clicks as they were known, for their revisions.
            labeling: What labeling.json had when it was read last: if it was removed meanwhile, nothing of it is lost.

        Raises:
            InputError: A file cannot be read.
        """
        record, text = self._read_record(labeling)
        mine = [] if self._fixed else record.classes
        first = [name if self._fixed or name in mine else current_name(record.renamed, name) for name in given]
        classes = list(dict.fromkeys([*first, *mine]))
        clicks = self._read_clicks(classes, old)
        spans = self._read_spans(classes)
        if not self._fixed:
            known = NameIndex(classes)
            classes += dict.fromkeys(s.label for s in spans.values() if s.label and known.find(s.label) is None)
        return Labels(clicks, record, classes, spans), text

    def _read_record(self, labeling: Labeling | None) -> tuple[Labeling, str]:
        path = self._files["record"]
        if not path.exists():
            return labeling or Labeling(), ""
        found = read_labeling(path.parent)
        try:
            return found, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):  # in another encoding: it is written again
            return found, ""

    def _read_clicks(self, classes: list[str], old: Mapping[str, Click]) -> dict[str, Click]:
        """The clicks by id; classes that only they have are added to `classes`."""
        found, known = read_clicks(self._files["clicks"], self._seconds), NameIndex(classes)
        videos: dict[str, str] = {}
        for click in found:
            if click.video not in videos:
                videos[click.video] = self._index.find(click.video) or click.video
            click.video = videos[click.video]
            label = known.find(click.label)
            if label is None and self._fixed:
                raise InputError(
                    "label-unknown",
                    f"{self._files['clicks']} contains the class {click.label!r}, which dataset.json does not list",
                    ", ".join(classes),
                    "correct one of the two",
                )
            if label is None:
                classes.append(click.label)
                known = NameIndex(classes)
            click.label = label or click.label
            was = old.get(click.id)
            click.rev = 1 if was is None else was.rev + (was.to_record() != {**click.to_record(), "rev": was.rev})
        return {click.id: click for click in found}

    def _read_spans(self, classes: Iterable[str]) -> dict[str, BackgroundRow]:
        """Certified background by id; rows of another program get one."""
        known, spans = NameIndex(classes), dict[str, BackgroundRow]()
        for row in read_background(self._files["spans"]):
            video, label = self._index.find(row.video) or row.video, known.find(row.label) or row.label
            base = row.id or f"{video}-{row.start_s:g}-{row.end_s:g}"
            ident, number = base, 2
            while ident in spans:
                ident, number = f"{base}-{number}", number + 1
            spans[ident] = replace(row, id=ident, video=video, label=label)
        return spans


def text_of(labeling: Labeling) -> str:
    """The text of labeling.json."""
    return json.dumps(labeling.to_record(), indent=1, ensure_ascii=False) + "\n"

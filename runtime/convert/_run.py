"""Conversion from one format to another: read, select, and write atomically."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..datatypes import compact
from ..errors import InputError
from ._effect import check_rates, check_writing
from ._forms import FORMATS, Format, detect_target, format_named
from ._input import read
from ._model import Timelines, counted, similar_names
from ._options import Clicks, ReadOptions, WriteOptions
from ._output import check_target, make_files, publish


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Conversion:
    """The result of a conversion, as sentences.

    Attributes:
        read: What was read.
        wrote: What was written.
        notes: What was left out when reading.
        lost: What the output format cannot represent.
        assumed: What had to be assumed.
        text: The output, if it goes to standard output.
    """

    read: str
    wrote: str
    notes: tuple[str, ...]
    lost: tuple[str, ...]
    assumed: tuple[str, ...]
    text: str | bytes | None = None

    def lines(self) -> list[str]:
        """All sentences, for display."""
        lines = [self.read, *self.notes]
        lines += [f"lost: {what}" for what in self.lost]
        lines += [f"assumed: {what}" for what in self.assumed]
        return [*lines, self.wrote]


def convert(
    source: str,
    target: str,
    *,
    source_form: str | None = None,
    target_form: str | None = None,
    reading: ReadOptions | None = None,
    writing: WriteOptions | None = None,
    only: str | None = None,
    labels: Sequence[str] = (),
    min_score: float | None = None,
    replace_target: bool = False,
) -> Conversion:
    """Convert annotations from one format to another.

    Args:
        source: File or folder to read, or "-" for standard input.
        target: File or folder to write, or "-" for standard output.
        source_form: Format of the source; default: detected from name and content.
        target_form: Format of the target; default: from its extension.
        reading: Options for reading.
        writing: Options for writing.
        only: "actions" or "clicks".
        labels: Classes to keep; empty: all.
        min_score: Minimum confidence of annotations to keep; those without confidence are kept.
        replace_target: Whether to replace an existing target.

    Raises:
        InputError: The input or an option is invalid. Nothing has been written.
    """
    to, how_to = (
        (format_named(target_form, "target_form"), "as requested") if target_form else detect_target(Path(target))
    )
    check_target(source, target, replace_target)
    reading = reading or ReadOptions()
    lines, origin = read(source, source_form, reading)
    lines = _chosen(lines, reading.clicks, only, labels, min_score)
    _check_kinds(lines, to)
    _check_points(lines, target, to)
    clicking = lines.clicks > 0 and not lines.actions
    writing = writing or WriteOptions()
    if writing.media and "{video}" not in writing.media and len(lines.videos) > 1:
        raise InputError(
            "convert-media",
            f"`media` is {writing.media!r}, but there are {counted(len(lines.videos), 'video')}",
            required="a path with {video} for the name of the video",
            next_step="add {video} to `media`",
        )
    check_writing(writing, to.name)
    options = replace(writing, target=Path(target), root=Path(target).parent, clicking=clicking)
    files = make_files(lines, to, target, options)
    total = (
        f"{counted(lines.actions, 'action')}, {counted(lines.clicks, 'click')}, {counted(len(lines.videos), 'video')}"
    )
    shown = lines.classes
    check_rates(reading.rates)
    text = publish(files, to, target, replace_target)
    many = counted(len(files), "file") + " in " if text is None and "" not in files else ""
    wrote = "standard output" if text is not None else target
    return Conversion(
        read=f"read {origin}: {total}; classes: {', '.join(shown[:20])}{', ...' * (len(shown) > 20)}",
        wrote=f"wrote {many}{wrote} as {to.name} ({to.title}), {how_to}",
        notes=(
            *lines.notes,
            *similar_names(lines.classes, "classes"),
            *similar_names(lines.videos, "videos", media=True),
        ),
        lost=tuple(dict.fromkeys(what for one in files.values() for what in one.lost)),
        assumed=tuple(dict.fromkeys(what for one in files.values() for what in one.assumed)),
        text=text,
    )


def _chosen(
    lines: Timelines, clicks: Clicks, only: str | None, labels: Sequence[str], min_score: float | None
) -> Timelines:
    if only not in (None, "actions", "clicks"):
        raise InputError("convert-only", f"`only` is {only!r}", "actions or clicks", "correct `only`")
    for label in labels:
        if label not in lines.classes:
            raise InputError(
                "label-unknown",
                f"The input has no class {label!r}",
                ", ".join(lines.classes) or "no classes in this input",
                "correct `labels`",
            )
    if clicks == "none" and lines.clicks:
        raise InputError(
            "convert-option",
            f"`clicks=none` cannot be applied to {counted(lines.clicks, 'click')} without an end",
            required="annotations with a start and an end",
            next_step="leave out `clicks`",
        )
    marks, notes = lines.marks, list(lines.notes)
    if clicks == "all" and lines.actions:
        notes.append(f"left out: start and end of {counted(lines.actions, 'annotation')}, read as clicks")
        marks = tuple(m if m.end is None else replace(m, start=_middle(m.start, m.end), end=None) for m in marks)
    selected = tuple(
        mark
        for mark in marks
        if (only is None or mark.is_click == (only == "clicks"))
        and (not labels or mark.label in labels)
        and (min_score is None or mark.score is None or mark.score >= min_score)
    )
    if len(selected) < len(marks):
        notes.append(
            f"left out: {counted(len(marks) - len(selected), 'annotation')}, by `only`, `labels` or `min_score`"
        )
    return replace(
        lines, marks=selected, labels=tuple(c for c in lines.labels if not labels or c in labels), notes=tuple(notes)
    )


def _middle(start: float, end: float) -> float:
    """To the microsecond: 1.8 and not 1.7999999999999998."""
    return round((start + end) / 2, 6)


def _check_points(lines: Timelines, target: str | Path, form: Format) -> None:
    """Refuse to write actions under the name of a points file: nothing could be trained on it."""
    name = Path(target).name.lower()
    if form.name == "csv" and lines.actions and (name in ("points.csv", "points.tsv") or name.startswith("points_")):
        raise InputError(
            "points-no-clicks",
            f"The input has {counted(lines.actions, 'action')} with start and end; {Path(target).name} is the name of "
            "a points file",
            required="clicks in a points file",
            next_step="set `clicks=all` to take the middle of every action, or write actions to a file of another name",
        )


def _check_kinds(lines: Timelines, form: Format) -> None:
    if lines.clicks and not form.clicks:
        able = ", ".join(f.name for f in FORMATS.values() if f.clicks)
        raise InputError(
            "form-no-clicks",
            f"The format {form.name} cannot represent the {counted(lines.clicks, 'click')} of the input",
            required=f"a format for clicks: {able}",
            next_step="choose one of these" + (", or set `only=actions`" if lines.actions else ""),
        )
    if lines.actions and not form.actions:
        raise InputError(
            "form-no-actions",
            f"The format {form.name} cannot represent the {counted(lines.actions, 'action')} of the input",
            required="clicks",
            next_step="set `clicks=all` (every action at its middle)" + (", or `only=clicks`" if lines.clicks else ""),
        )
    if lines.clicks and lines.actions and not form.mixed:
        raise InputError(
            "form-one-kind",
            f"A {form.name} file cannot contain both {counted(lines.actions, 'action')} and "
            f"{counted(lines.clicks, 'click')}",
            required="one kind per file",
            next_step="set `only=actions` or `only=clicks`",
        )
